import Tokenization

/// The readable twin of the encoder: the published patterns, alternative by alternative over an
/// array of scalars, and merging that looks at every pair for every merge.
struct ReferenceTokenizer {
  var pattern: PretokenPattern
  var ranks: [[UInt8]: [[UInt8]: Int]] = [:]

  /// Merge rules as byte strings, most urgent first.
  init(_ pattern: PretokenPattern, merges: [([UInt8], [UInt8])] = []) {
    self.pattern = pattern
    for (rank, merge) in merges.enumerated() { ranks[merge.0, default: [:]][merge.1] = rank }
  }

  // MARK: Pretokens

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  private static func isNumber(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .decimalNumber, .letterNumber, .otherNumber: true
    default: false
    }
  }

  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }

  private static func isOther(_ scalar: Unicode.Scalar) -> Bool {
    !isLetter(scalar) && !isNumber(scalar) && !isSpace(scalar)
  }

  private static func isLineEnd(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "\r" || scalar == "\n"
  }

  func pretokens(_ text: String) -> [String] {
    let scalars = Array(text.unicodeScalars)
    if pattern == .none { return scalars.isEmpty ? [] : [text] }
    var result: [String] = []
    var start = 0
    while start < scalars.count {
      let end =
        switch pattern {
        case .gpt2: gpt2(scalars, start)
        case .o200k: o200k(scalars, start)
        default: cl100k(scalars, start)
        }
      result.append(String(String.UnicodeScalarView(scalars[start..<end])))
      start = end
    }
    return result
  }

  private func run(
    _ scalars: [Unicode.Scalar], _ start: Int, _ belongs: (Unicode.Scalar) -> Bool
  ) -> Int {
    var end = start
    while end < scalars.count && belongs(scalars[end]) { end += 1 }
    return end
  }

  private func contraction(_ scalars: [Unicode.Scalar], _ start: Int, folded: Bool) -> Int? {
    guard scalars[start] == "'" else { return nil }
    for ending in ["s", "t", "re", "ve", "m", "ll", "d"] {
      let wanted = Array(ending.unicodeScalars)
      if start + 1 + wanted.count > scalars.count { continue }
      let found = scalars[start + 1..<start + 1 + wanted.count].map { scalar in
        folded ? (scalar == "ſ" ? "s" : scalar.properties.lowercaseMapping) : String(scalar)
      }
      if found == wanted.map({ String($0) }) { return start + 1 + wanted.count }
    }
    return nil
  }

  /// `\s+(?!\S)|\s+`
  private func spaces(_ scalars: [Unicode.Scalar], _ start: Int) -> Int {
    let end = run(scalars, start, Self.isSpace)
    return end == scalars.count || end == start + 1 ? end : end - 1
  }

  private func gpt2(_ scalars: [Unicode.Scalar], _ start: Int) -> Int {
    if let end = contraction(scalars, start, folded: false) { return end }
    let first = scalars[start] == " " ? start + 1 : start
    for belongs in [Self.isLetter, Self.isNumber, Self.isOther] {
      let end = run(scalars, first, belongs)
      if end > first { return end }
    }
    return spaces(scalars, start)
  }

  private func cl100k(_ scalars: [Unicode.Scalar], _ start: Int) -> Int {
    if let end = contraction(scalars, start, folded: true) { return end }
    let first = scalars[start]
    let prefix =
      Self.isLineEnd(first) || Self.isLetter(first) || Self.isNumber(first) ? start : start + 1
    let word = run(scalars, prefix, Self.isLetter)
    if word > prefix { return word }
    let digits = run(scalars, start, Self.isNumber)
    if digits > start { return min(digits, start + (pattern == .qwen2 ? 1 : 3)) }
    let mark = first == " " ? start + 1 : start
    let marks = run(scalars, mark, Self.isOther)
    if marks > mark { return run(scalars, marks, Self.isLineEnd) }
    let end = run(scalars, start, Self.isSpace)
    if pattern == .cl100kTiktoken && end == scalars.count { return end }
    if let line = (start..<end).last(where: { Self.isLineEnd(scalars[$0]) }) { return line + 1 }
    return spaces(scalars, start)
  }

  private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: true
    default: false
    }
  }

  private static func isUpper(_ scalar: Unicode.Scalar) -> Bool {
    isMark(scalar) || isLetter(scalar) && scalar.properties.generalCategory != .lowercaseLetter
  }

  private static func isLower(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .lowercaseLetter, .modifierLetter, .otherLetter: true
    default: isMark(scalar)
    }
  }

  /// As a regular expression engine goes: every alternative, the longest choices first, giving back.
  private func o200k(_ scalars: [Unicode.Scalar], _ start: Int) -> Int {
    let suffix = { (end: Int) in
      end < scalars.count ? contraction(scalars, end, folded: true) ?? end : end
    }
    let first = scalars[start]
    let takesPrefix = !Self.isLineEnd(first) && !Self.isLetter(first) && !Self.isNumber(first)
    let begins = takesPrefix ? [start + 1, start] : [start]
    for begin in begins {
      for end in (begin...max(begin, run(scalars, begin, Self.isUpper))).reversed() {
        let lower = run(scalars, end, Self.isLower)
        if lower > end { return suffix(lower) }
      }
    }
    for begin in begins {
      let upper = run(scalars, begin, Self.isUpper)
      if upper > begin { return suffix(run(scalars, upper, Self.isLower)) }
    }
    let digits = run(scalars, start, Self.isNumber)
    if digits > start { return min(digits, start + 3) }
    let mark = first == " " ? start + 1 : start
    let marks = run(scalars, mark, Self.isOther)
    if marks > mark { return run(scalars, marks) { Self.isLineEnd($0) || $0 == "/" } }
    let end = run(scalars, start, Self.isSpace)
    if let line = (start..<end).last(where: { Self.isLineEnd(scalars[$0]) }) { return line + 1 }
    return spaces(scalars, start)
  }

  // MARK: Merging

  /// The byte strings of the tokens of one pretoken.
  func merged(_ pretoken: [UInt8]) -> [[UInt8]] {
    var parts = pretoken.map { [$0] }
    while true {
      var best: (rank: Int, at: Int)?
      for at in 0..<max(0, parts.count - 1) {
        if let rank = ranks[parts[at]]?[parts[at + 1]], rank < best?.rank ?? .max {
          best = (rank, at)
        }
      }
      guard let best else { return parts }
      parts[best.at] += parts.remove(at: best.at + 1)
    }
  }
}
