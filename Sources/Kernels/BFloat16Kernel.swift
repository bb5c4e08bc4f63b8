import CKernels
import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What multiplies factors of bfloat16. Each sums pairs in an order of its own, so bits depend on it.
package enum BFloat16Kernel: String, CaseIterable, Sendable {
  /// Vectors (AVX512-BF16): pair after pair.
  case avx512
  /// The tiles of AMX: of each sixteen pairs the first and the second numbers apart, then both.
  case amx
  /// AMX's tiles in plain C: its bits on any CPU that has AVX512-BF16, some hundred times as slow.
  case emulatedAMX = "amx-emulated"

  /// The environment variable that names one.
  package static let variable = "OVERTOKEN_BFLOAT16"

  /// The one that this process multiplies by.
  package static var current: Self {
    let used = ott_bf16_used()
    return allCases.first { $0.number == used } ?? .avx512
  }

  /// The kernel whose bits it has.
  package var bits: Self { self == .emulatedAMX ? .amx : self }

  private var number: Int32 {
    switch self {
    case .avx512: Int32(ott_bf16_vectors)
    case .amx: Int32(ott_bf16_amx)
    case .emulatedAMX: Int32(ott_bf16_emulated_amx)
    }
  }

  /// Whether this CPU and build have it.
  package var isAvailable: Bool { ott_bf16_has(number) }

  /// Makes the whole process multiply by it, before anything is multiplied.
  ///
  /// - Precondition: it is available.
  package func use() {
    precondition(isAvailable, "\(rawValue) is not here")
    ott_bf16_use(number)
  }

  /// Chooses for the process: what the environment names, else what `source`, a checkpoint, was made by,
  /// else AMX where there is one. By what the CPU can do and not by a race, which two equal machines might
  /// decide in different ways: then their bits would differ.
  ///
  /// - Throws: `UserError` for a kernel that is not here.
  static func configure(_ wanted: String?, source: String?) throws {
    guard ott_bf16_is_built() else { return }
    if let name = getenv(variable).map({ String(cString: $0) }), !name.isEmpty {
      guard let kernel = Self(rawValue: name) else {
        throw UserError(
          variable, expected: allCases.map(\.rawValue).joined(separator: ", ") + " or nothing",
          found: "\"\(name)\"", remedy: "Set it to one of these, or unset it.")
      }
      guard kernel.isAvailable else {
        throw UserError(
          "\(variable): \(name)", expected: "a CPU with AMX for bfloat16",
          found: "one without it, or a system that does not lend it",
          remedy:
            "Unset it, or set it to \(emulatedAMX.rawValue), which has the same bits and is slow.")
      }
      return kernel.use()
    }
    guard let wanted else { return amx.isAvailable ? amx.use() : avx512.use() }
    guard let kernel = Self(rawValue: wanted), kernel.isAvailable else {
      throw UserError(
        "\(source ?? ""): begun with other products of bfloat16", expected: wanted,
        found: "a CPU or build without it",
        remedy: "Go on where there is one, delete it to train from the start, or set "
          + "\(variable)=\(emulatedAMX.rawValue), which goes on to the same bits, slowly.")
    }
    kernel.use()
  }
}
