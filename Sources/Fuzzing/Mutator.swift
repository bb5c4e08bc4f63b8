import Support

/// Damaged versions of seed files: input number *i* of a target is a function of seed, target and *i*,
/// so a finding is named by three words and needs no corpus on disk.
package struct Mutator: Sendable {
  private let seeds: [[UInt8]]
  private let words: [[UInt8]]
  private let stream: RandomStream

  /// Bytes of a mutated input, at most.
  private static let largest = 1 << 16

  /// Numbers at the edges of what readers compute with.
  private static let edges: [UInt64] = [
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 24, 0x7FFF_FFFF, 0x8000_0000,
    0xFFFF_FFFF, 1 << 32, 1 << 47, (1 << 48) - 1, 1 << 48, 1 << 62, 1 << 63, .max - 1, .max,
  ]

  /// Texts at the edges of what readers of text accept.
  private static let texts: [[UInt8]] =
    [
      "0", "-1", "1", "4294967296", "9223372036854775807", "9223372036854775808",
      "-9223372036854775809", "18446744073709551616", "1e999", "-0.0", "5e-324", "1e-400", "nan",
      "null", "true", "{}", "[]", "\"\"", "\\u0000", "\\ud800", "\\", "\"", "{", "}", "[", "]", ":",
      ",", " ", "\n", "\r\n", "\t", "\0", "\u{FEFF}", "é", "😀", "%s", "../", "/",
    ].map { Array($0.utf8) } + [
      [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
    ]

  /// - Precondition: at least one seed.
  package init(seeds: [[UInt8]], words: [String], seed: UInt64, name: String) {
    precondition(!seeds.isEmpty, "\(name): nothing to mutate")
    self.seeds = seeds
    self.words = Mutator.texts + words.map { Array($0.utf8) }
    stream = RandomStream(seed: seed, name: "fuzz \(name)")
  }

  /// Input number `index`, and how many draws it took; one to eight changes of one of the seeds.
  package func input(_ index: UInt64) -> [UInt8] {
    var draw = Draw(stream: stream.at(index: index))
    var bytes = seeds[draw.below(seeds.count)]
    for _ in 0..<(1 << draw.below(4)) { change(&bytes, &draw) }
    if bytes.count > Mutator.largest { bytes.removeLast(bytes.count - Mutator.largest) }
    return bytes
  }

  private struct Draw {
    var stream: RandomStream
    mutating func below(_ limit: Int) -> Int {
      limit <= 1 ? 0 : Int(stream.next32()) % limit
    }
  }

  private func change(_ bytes: inout [UInt8], _ draw: inout Draw) {
    let place = draw.below(bytes.count + 1)
    switch draw.below(12) {
    case 0, 1:
      if place < bytes.count { bytes[place] ^= 1 << UInt8(draw.below(8)) }
    case 2:
      if place < bytes.count { bytes[place] = UInt8(truncatingIfNeeded: draw.below(256)) }
    case 3:
      let width = 1 << draw.below(4)
      guard place + width <= bytes.count else { return }
      let value = Mutator.edges[draw.below(Mutator.edges.count)]
      for i in 0..<width { bytes[place + i] = UInt8(truncatingIfNeeded: value >> UInt64(8 * i)) }
    case 4:
      let width = min(bytes.count - place, 1 + draw.below(32))
      bytes.removeSubrange(place..<place + width)
    case 5: bytes.removeLast(bytes.count - place)
    case 6:
      let width = min(bytes.count - place, 1 + draw.below(64))
      bytes.insert(contentsOf: Array(bytes[place..<place + width]), at: draw.below(bytes.count + 1))
    case 7:
      bytes.insert(contentsOf: words[draw.below(words.count)], at: place)
    case 8:
      let word = words[draw.below(words.count)]
      let length = min(4096, word.count << draw.below(11))
      var run: [UInt8] = []
      run.reserveCapacity(length + word.count)
      while run.count < length { run += word }
      bytes.insert(contentsOf: run[..<length], at: place)
    case 9: replaceNumber(&bytes, from: place, &draw)
    case 10:
      let other = seeds[draw.below(seeds.count)]
      let start = draw.below(other.count + 1)
      let width = min(other.count - start, 1 + draw.below(256))
      let end = min(bytes.count, place + draw.below(256))
      bytes.replaceSubrange(place..<end, with: other[start..<start + width])
    default:
      let width = min(bytes.count - place, 1 + draw.below(16))
      let other = draw.below(max(1, bytes.count - width))
      for i in 0..<width where place + i < bytes.count && other + i < bytes.count {
        bytes.swapAt(place + i, other + i)
      }
    }
  }

  /// Puts an edge in the place of the next decimal number.
  private func replaceNumber(_ bytes: inout [UInt8], from place: Int, _ draw: inout Draw) {
    let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    guard let start = bytes[place...].firstIndex(where: isDigit) else { return }
    let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
    bytes.replaceSubrange(start..<end, with: words[draw.below(16)])
  }
}
