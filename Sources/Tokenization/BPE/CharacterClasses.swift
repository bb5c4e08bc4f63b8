/// What the published pre-tokenizer patterns ask of a character, for every Unicode scalar value.
///
/// The classes are bits of one byte, looked up in two steps: 128 scalars a block, equal blocks
/// stored once (about 40 KiB). Pinned to one Unicode version, whatever the standard library's is.
struct CharacterClasses: @unchecked Sendable {
  /// General category L.
  static let letter: UInt8 = 1
  /// General category N.
  static let number: UInt8 = 2
  /// White_Space.
  static let space: UInt8 = 4
  /// Lu, Lt, Lm, Lo or M.
  static let upper: UInt8 = 8
  /// Ll, Lm, Lo or M.
  static let lower: UInt8 = 16
  /// CR or LF.
  static let newline: UInt8 = 32

  static let shared = CharacterClasses()

  private let blockOfScalar: UnsafeMutablePointer<UInt8>
  private let classes: UnsafeMutablePointer<UInt8>

  /// The one instance lives as long as the process.
  private init() {
    var flat = [UInt8](repeating: 0, count: 0x110000)
    for (index, run) in Self.runs.enumerated() {
      let first = Int(run >> 8)
      let end = index + 1 < Self.runs.count ? Int(Self.runs[index + 1] >> 8) : flat.count
      for scalar in first..<end { flat[scalar] = UInt8(truncatingIfNeeded: run) }
    }
    flat[0x0A] |= Self.newline
    flat[0x0D] |= Self.newline
    var blocks: [[UInt8]] = []
    var known: [[UInt8]: Int] = [:]
    blockOfScalar = .allocate(capacity: flat.count >> 7)
    for block in 0..<(flat.count >> 7) {
      let bytes = Array(flat[block << 7..<(block + 1) << 7])
      if known[bytes] == nil {
        known[bytes] = blocks.count
        blocks.append(bytes)
      }
      blockOfScalar[block] = UInt8(known[bytes] ?? 0)
    }
    classes = .allocate(capacity: blocks.count << 7)
    for (index, block) in blocks.enumerated() {
      (classes + index << 7).update(from: block, count: 128)
    }
  }

  /// Class bits of a scalar value below 0x110000.
  @inline(__always)
  subscript(scalar: UInt32) -> UInt8 {
    let block = Int(blockOfScalar[Int(truncatingIfNeeded: scalar >> 7)])
    return classes[block << 7 | Int(truncatingIfNeeded: scalar & 0x7F)]
  }

  /// Class bits and length in bytes of the character at `position`, which is below `end`.
  ///
  /// A byte that belongs to no well-formed UTF-8 sequence is a character of its own, one byte long
  /// and of no class, as U+FFFD would be. Bytes at `end` and beyond are never read.
  @inline(__always)
  func character(_ bytes: UnsafePointer<UInt8>, _ position: Int, _ end: Int) -> (
    bits: UInt8, length: Int
  ) {
    let first = bytes[position]
    if first < 0x80 { return (classes[Int(blockOfScalar[0]) << 7 | Int(first)], 1) }
    return wide(bytes, position, end)
  }

  @inline(never)
  private func wide(_ bytes: UnsafePointer<UInt8>, _ position: Int, _ end: Int) -> (
    bits: UInt8, length: Int
  ) {
    let length = UTF8Sequence.length(bytes, position, end)
    if length <= 1 { return (0, 1) }
    return (self[UTF8Sequence.scalar(bytes, position, length)], length)
  }
}

/// Well-formed UTF-8 as the Unicode standard's table 3-7 has it.
enum UTF8Sequence {
  /// Length of the well-formed sequence at `position` (1…4), or 0 when there is none before `end`.
  @inline(__always)
  static func length(_ bytes: UnsafePointer<UInt8>, _ position: Int, _ end: Int) -> Int {
    let first = bytes[position]
    if first < 0x80 { return 1 }
    let length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0
    if length == 0 || position + length > end { return 0 }
    let second = bytes[position + 1]
    let lowest: UInt8 = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80
    let highest: UInt8 = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF
    if second < lowest || second > highest { return 0 }
    for index in 2..<max(2, length) where bytes[position + index] & 0xC0 != 0x80 { return 0 }
    return length
  }

  /// The scalar value of a well-formed sequence of `length` bytes.
  @inline(__always)
  static func scalar(_ bytes: UnsafePointer<UInt8>, _ position: Int, _ length: Int) -> UInt32 {
    if length == 1 { return UInt32(bytes[position]) }
    var scalar = UInt32(bytes[position]) & (0x7F >> UInt32(length))
    for index in 1..<length { scalar = scalar << 6 | UInt32(bytes[position + index] & 0x3F) }
    return scalar
  }
}
