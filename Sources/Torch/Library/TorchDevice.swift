/// A release of libtorch.
package struct TorchVersion: Sendable, Equatable, Comparable, CustomStringConvertible {
  package let major, minor, patch: Int

  package init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
    (self.major, self.minor, self.patch) = (major, minor, patch)
  }

  /// From what `aoti_torch_abi_version` gives.
  init(abi: UInt64) { self.init(Int(abi >> 56 & 255), Int(abi >> 48 & 255), Int(abi >> 40 & 255)) }

  var abi: UInt64 { UInt64(major) << 56 | UInt64(minor) << 48 | UInt64(patch) << 40 }

  package var description: String { "\(major).\(minor).\(patch)" }

  package static func < (a: Self, b: Self) -> Bool {
    (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch)
  }
}

/// The form of a tensor's elements.
package enum ElementForm: Sendable, Equatable {
  case float32, float64, bfloat16, int32, int64

  var bytes: Int {
    switch self {
    case .bfloat16: 2
    case .float32, .int32: 4
    case .float64, .int64: 8
    }
  }
}
