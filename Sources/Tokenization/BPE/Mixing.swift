/// Hashes of keys and byte strings: own and fixed, so that table layouts never depend on a process.
enum Mixing {
  static let first: UInt64 = 0x9E37_79B9_7F4A_7C15
  static let second: UInt64 = 0xD6E8_FEB8_6659_FD93

  /// High and low half of the product, folded.
  @inline(__always)
  static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }

  @inline(__always)
  static func hash(_ low: UInt64, _ high: UInt64) -> UInt64 {
    mix(low ^ first, high ^ second)
  }

  /// Hash of `count` bytes.
  @inline(__always)
  static func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    let raw = UnsafeRawPointer(bytes)
    var state = first ^ UInt64(count)
    var at = 0
    while at + 8 <= count {
      state = mix(
        state ^ UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)), second
      )
      at += 8
    }
    var tail: UInt64 = 0
    while at < count {
      tail = tail << 8 | UInt64(bytes[at])
      at += 1
    }
    return mix(state ^ tail, second)
  }
}
