extension PretokenCache.Key {
  /// For each length up to `longestShort`, the bits of a key that its bytes fill. The caller frees.
  static func masks() -> UnsafeMutablePointer<Self> {
    let masks = UnsafeMutablePointer<Self>.allocate(capacity: PretokenCache.longestShort + 1)
    for length in 0...PretokenCache.longestShort {
      masks[length] = Self(
        low: length >= 8 ? .max : 1 << UInt64(8 * length) - 1,
        high: length > 8 ? 1 << UInt64(8 * (length - 8)) - 1 : 0)
    }
    return masks
  }

  /// The key of a short pretoken; reads 16 bytes.
  @inline(__always)
  init(_ bytes: UnsafeRawPointer, _ length: Int, _ mask: Self) {
    low = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)) & mask.low
    high =
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) & mask.high
      | UInt64(length) << 56
  }

  /// The key of a short pretoken without reading behind it; a `high` of 0 for a long one.
  @inline(never)
  init(careful bytes: UnsafePointer<UInt8>, _ length: Int) {
    self.init(low: 0, high: 0)
    if length > PretokenCache.longestShort { return }
    for index in 0..<length {
      if index < 8 {
        low |= UInt64(bytes[index]) << UInt64(8 * index)
      } else {
        high |= UInt64(bytes[index]) << UInt64(8 * (index - 8))
      }
    }
    high |= UInt64(length) << 56
  }
}
