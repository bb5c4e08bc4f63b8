/// What one element of a shard is; all columns of a set share it. Little-endian on disk.
package enum ElementType: String, CaseIterable, Sendable {
  case u8, u16, u32, f64, u64

  /// Bytes of one element.
  package var width: Int {
    switch self {
    case .u8: 1
    case .u16: 2
    case .u32: 4
    case .f64, .u64: 8
    }
  }

  /// The number in the header.
  var code: UInt8 {
    switch self {
    case .u8: 1
    case .u16: 2
    case .u32: 3
    case .f64: 4
    case .u64: 5
    }
  }

  /// The most ids of a column: 2⁸, 2¹⁶ or 2³², and 2⁶³ − 1 for u64, so that every id and every count
  /// is an `Int`. Doubles are no ids.
  package var largestCardinality: Int {
    width < 8 ? 1 << (8 * width) : Int.max
  }

  init?(code: UInt8) {
    guard let type = ElementType.allCases.first(where: { $0.code == code }) else { return nil }
    self = type
  }

  /// The narrowest integer type that holds 0..<cardinality.
  package static func smallest(cardinality: Int) -> ElementType {
    switch cardinality {
    case ...0x100: .u8
    case ...0x1_0000: .u16
    case ...0x1_0000_0000: .u32
    default: .u64
    }
  }
}

/// A Swift type that a shard can hold.
package protocol ShardElement: BitwiseCopyable, Sendable {
  static var elementType: ElementType { get }
}

extension UInt8: ShardElement {
  package static var elementType: ElementType { .u8 }
}
extension UInt16: ShardElement {
  package static var elementType: ElementType { .u16 }
}
extension UInt32: ShardElement {
  package static var elementType: ElementType { .u32 }
}
extension UInt64: ShardElement {
  package static var elementType: ElementType { .u64 }
}
extension Double: ShardElement {
  package static var elementType: ElementType { .f64 }
}

/// One column of a shard set.
package struct Column: Sendable, Equatable {
  package let name: String
  /// Ids lie in 0..<cardinality; nil for values that are not ids.
  package let cardinality: Int?

  package init(_ name: String, cardinality: Int? = nil) {
    self.name = name
    self.cardinality = cardinality
  }
}
