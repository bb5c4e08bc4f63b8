/// Cuts bytes into pretokens.
///
/// The cut after a cut depends on nothing in front of it, so a scan can stop and go on at any cut.
/// Where 64 bytes of ASCII lie ahead they are cut at once by bit arithmetic
/// (`PretokenScanner+Blocks.swift`); everything else goes character by character, here.
package struct PretokenScanner: Sendable {
  package let pattern: PretokenPattern
  let classes = CharacterClasses.shared

  package init(_ pattern: PretokenPattern) { self.pattern = pattern }

  /// Where the pretoken that starts at `start` ends. Precondition: `start < end`.
  @inline(__always)
  func pretokenEnd(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    switch pattern {
    case .gpt2: gpt2End(bytes, start, end)
    case .cl100k, .llama3: cl100kEnd(bytes, start, end, digits: 3, trailingSpaceIsOne: false)
    case .cl100kTiktoken: cl100kEnd(bytes, start, end, digits: 3, trailingSpaceIsOne: true)
    case .qwen2: cl100kEnd(bytes, start, end, digits: 1, trailingSpaceIsOne: false)
    case .o200k: o200kEnd(bytes, start, end)
    case .none: end
    }
  }

  // MARK: GPT-2

  /// `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  private func gpt2End(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    if bytes[start] == UInt8(ascii: "'") {
      let length = contraction(bytes, start, end)
      if length > 0 { return start + length }
    }
    var (bits, length) = classes.character(bytes, start, end)
    var position = start + length
    if bytes[start] == UInt8(ascii: " "), position < end {
      let next = classes.character(bytes, position, end)
      if next.bits & CharacterClasses.space == 0 {
        bits = next.bits
        position += next.length
      }
    }
    let kinds = CharacterClasses.letter | CharacterClasses.number | CharacterClasses.space
    let kind = bits & kinds
    if kind == CharacterClasses.space { return spaceEnd(bytes, start, end) }
    while position < end {
      (bits, length) = classes.character(bytes, position, end)
      if bits & kinds != kind { break }
      position += length
    }
    return position
  }

  /// Length of a lower-case English contraction at an apostrophe, or 0.
  private func contraction(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    if start + 1 >= end { return 0 }
    switch bytes[start + 1] {
    case UInt8(ascii: "s"), UInt8(ascii: "d"), UInt8(ascii: "m"), UInt8(ascii: "t"): return 2
    case UInt8(ascii: "l"): return start + 2 < end && bytes[start + 2] == UInt8(ascii: "l") ? 3 : 0
    case UInt8(ascii: "v"), UInt8(ascii: "r"):
      return start + 2 < end && bytes[start + 2] == UInt8(ascii: "e") ? 3 : 0
    default: return 0
    }
  }

  /// `\s+(?!\S)|\s+`: all white space, less its last character when something follows.
  private func spaceEnd(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = start
    var last = start
    while position < end {
      let (bits, length) = classes.character(bytes, position, end)
      if bits & CharacterClasses.space == 0 { return last > start ? last : position }
      last = position
      position += length
    }
    return end
  }

  // MARK: cl100k

  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|`
  /// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, and with `trailingSpaceIsOne` the
  /// alternative `\s+$` in front of the three for white space. `digits` is how many numbers go together.
  private func cl100kEnd(
    _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, digits: Int, trailingSpaceIsOne: Bool
  ) -> Int {
    if bytes[start] == UInt8(ascii: "'") {
      let length = foldedContraction(bytes, start, end)
      if length > 0 { return start + length }
    }
    let kinds = CharacterClasses.letter | CharacterClasses.number | CharacterClasses.space
    let first = classes.character(bytes, start, end)
    let position = start + first.length
    if first.bits & CharacterClasses.letter != 0 { return letterEnd(bytes, position, end) }
    if first.bits & CharacterClasses.number != 0 {
      return numberEnd(bytes, position, end, more: digits - 1)
    }
    let next = position < end ? classes.character(bytes, position, end) : nil
    if let next, next.bits & CharacterClasses.letter != 0,
      first.bits & CharacterClasses.newline == 0
    {
      return letterEnd(bytes, position + next.length, end)
    }
    if first.bits & kinds == 0 { return otherEnd(bytes, position, end) }
    if bytes[start] == UInt8(ascii: " "), let next, next.bits & kinds == 0 {
      return otherEnd(bytes, position + next.length, end)
    }
    return lineSpaceEnd(bytes, start, end, trailingSpaceIsOne: trailingSpaceIsOne)
  }

  /// As `contraction`, in either case; U+017F (ſ) is an s to the patterns' `(?i)`.
  func foldedContraction(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    if start + 1 >= end { return 0 }
    switch bytes[start + 1] | 0x20 {
    case UInt8(ascii: "s"), UInt8(ascii: "d"), UInt8(ascii: "m"), UInt8(ascii: "t"): return 2
    case UInt8(ascii: "l"):
      return start + 2 < end && bytes[start + 2] | 0x20 == UInt8(ascii: "l") ? 3 : 0
    case UInt8(ascii: "v"), UInt8(ascii: "r"):
      return start + 2 < end && bytes[start + 2] | 0x20 == UInt8(ascii: "e") ? 3 : 0
    default:
      return start + 2 < end && bytes[start + 1] == 0xC5 && bytes[start + 2] == 0xBF ? 3 : 0
    }
  }

  /// Behind up to `more` numbers.
  @inline(__always)
  func numberEnd(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, more: Int) -> Int {
    var position = start
    for _ in 0..<more where position < end {
      let next = classes.character(bytes, position, end)
      if next.bits & CharacterClasses.number == 0 { break }
      position += next.length
    }
    return position
  }

  private func letterEnd(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = start
    while position < end {
      let (bits, length) = classes.character(bytes, position, end)
      if bits & CharacterClasses.letter == 0 { break }
      position += length
    }
    return position
  }

  /// Behind other characters and then line ends, and `also`.
  @inline(__always)
  func otherEnd(
    _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, also: UInt8 = 0x0A
  ) -> Int {
    let kinds = CharacterClasses.letter | CharacterClasses.number | CharacterClasses.space
    var position = start
    while position < end {
      let (bits, length) = classes.character(bytes, position, end)
      if bits & kinds != 0 { break }
      position += length
    }
    while position < end,
      bytes[position] == 0x0A || bytes[position] == 0x0D || bytes[position] == also
    {
      position += 1
    }
    return position
  }

  /// White space through its last line end; without one, as `spaceEnd`.
  func lineSpaceEnd(
    _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, trailingSpaceIsOne: Bool
  ) -> Int {
    var position = start
    var last = start
    var lineEnd = start
    while position < end {
      let (bits, length) = classes.character(bytes, position, end)
      if bits & CharacterClasses.space == 0 {
        return lineEnd > start ? lineEnd : last > start ? last : position
      }
      last = position
      position += length
      if bits & CharacterClasses.newline != 0 { lineEnd = position }
    }
    return trailingSpaceIsOne || lineEnd == start ? end : lineEnd
  }
}

extension PretokenScanner {
  /// The ranges of all pretokens, end to end.
  package func pretokens(of bytes: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    guard let base = bytes.baseAddress else { return [] }
    var result: [Range<Int>] = []
    var start = 0
    withUnsafeTemporaryAllocation(of: Int.self, capacity: 1 + Self.slack) { ends in
      guard let ends = ends.baseAddress else { return }
      var position = 0
      while position < bytes.count {
        let found = scan(base, &position, bytes.count, into: ends, capacity: 1)
        for index in 0..<found {
          result.append(start..<ends[index])
          start = ends[index]
        }
      }
    }
    return result
  }
}
