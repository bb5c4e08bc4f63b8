import Foundation
import Support

/// The text form of a grammar:
///
///     # A comment goes to the end of its line.
///     root: 22
///     terminals: 1..3
///
///     22 -> 20 21 | 20 19 21
///
/// `root:` and `terminals:` stand once, before the rules; each symbol has one line with all its
/// alternatives. Symbols are decimal numbers without sign or leading zero; terminals are 1..A.
extension Grammar {
  /// Reads the grammar file at `path`; the grammar's name is the file's without its extension.
  /// - Throws: `UserError` naming path and line if the file cannot be read or is no valid grammar.
  package init(contentsOfFile path: String) throws {
    try self.init(bytes: FileBytes.read(path), source: path)
  }

  /// Reads the contents `bytes` of the grammar file `source`.
  package init(bytes: [UInt8], source: String) throws {
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw UserError(
        "\(source): grammar", expected: "text in UTF-8", found: "other bytes",
        remedy: "Name a grammar file.")
    }
    let name = URL(fileURLWithPath: source).deletingPathExtension().lastPathComponent
    try self.init(lines: ByteLines(bytes), source: source, name: name)
  }

  /// Reads a grammar from its text form. `source` stands before every message, and is the grammar's
  /// name unless `name` is given.
  package init(parsing text: String, source: String, name: String? = nil) throws {
    try self.init(lines: ByteLines(Array(text.utf8)), source: source, name: name ?? source)
  }

  private init(lines: ByteLines, source: String, name: String) throws {
    var reader = GrammarReader(source: source)
    for (index, line) in lines.enumerated() { try reader.read(line, number: index + 1) }
    let (root, terminalCount) = try reader.header()
    try self.init(
      name: name, root: root, terminalCount: terminalCount, rules: reader.rules,
      source: source)
  }

  /// The grammar in its text form, levels from the top down; reading it gives the same grammar.
  package var text: String {
    var lines = ["root: \(root)", "terminals: 1..\(terminalCount)"]
    let width = symbols.map { String($0.id).count }.max() ?? 0
    for level in levels.indices.dropFirst().reversed() {
      lines.append("")
      for id in levels[level] {
        let left = String(repeating: " ", count: width - String(id).count) + String(id)
        let right = (symbol(id)?.alternatives ?? []).map { alternative in
          alternative.map(String.init).joined(separator: " ")
        }
        lines.append("\(left) -> " + right.joined(separator: " | "))
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// The state of reading a grammar line by line.
private struct GrammarReader {
  private typealias Word = ArraySlice<UInt8>

  let source: String
  var root: Int?
  var terminalCount: Int?
  var rules: [Int: [[Int]]] = [:]
  private var lineOf: [Int: Int] = [:]

  init(source: String) { self.source = source }

  private func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
  }

  mutating func read(_ line: ArraySlice<UInt8>, number: Int) throws {
    let place = "\(source):\(number)"
    let content = line.prefix { $0 != UInt8(ascii: "#") }
    let words = content.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    guard let first = words.first else { return }
    if first.elementsEqual("root:".utf8) {
      guard root == nil else { throw repeated("root:", place) }
      guard words.count == 2 else {
        throw UserError("\(place): root", expected: "`root: SYMBOL`", found: "`\(text(content))`")
      }
      root = try parseSymbol(words[1], place)
    } else if first.elementsEqual("terminals:".utf8) {
      guard terminalCount == nil else { throw repeated("terminals:", place) }
      guard words.count == 2, words[1].starts(with: "1..".utf8) else {
        throw UserError(
          "\(place): terminals", expected: "`terminals: 1..A`", found: "`\(text(content))`",
          remedy: "Number the terminals from 1.")
      }
      terminalCount = try parseSymbol(words[1].dropFirst(3), place)
    } else {
      try readRule(words, place, number)
    }
  }

  private mutating func readRule(_ words: [Word], _ place: String, _ number: Int) throws {
    guard words.count >= 2, words[1].elementsEqual("->".utf8) else {
      throw UserError(
        "\(place): rule", expected: "`SYMBOL -> SYMBOL … | SYMBOL …`, `root:` or `terminals:`",
        found: "`\(text(words.joined(separator: " ".utf8)))`",
        remedy: "Separate all parts by spaces.")
    }
    guard root != nil, terminalCount != nil else {
      throw UserError(
        "\(place): rule", expected: "`root:` and `terminals:` before the first rule",
        found: root == nil ? "no `root:`" : "no `terminals:`", remedy: "Move them to the top.")
    }
    let id = try parseSymbol(words[0], place)
    if let line = lineOf[id] {
      throw UserError(
        "\(place): duplicate rule for symbol \(id)",
        expected: "all its alternatives on one line", found: "a line for it before, \(line)",
        remedy: "Join the two with `|`.")
    }
    lineOf[id] = number
    let parts = words[2...].split(omittingEmptySubsequences: false) { $0.elementsEqual("|".utf8) }
    if let index = parts.firstIndex(where: \.isEmpty) {
      throw UserError(
        "\(place): empty alternative \(index + 1) of symbol \(id)",
        expected: "at least one symbol", remedy: "Remove it: the grammar has no empty words.")
    }
    rules[id] = try parts.map { try $0.map { try parseSymbol($0, place) } }
  }

  private func parseSymbol(_ word: Word, _ place: String) throws -> Int {
    let isNumber = !word.isEmpty && word.allSatisfy { 48...57 ~= $0 }
    let hasLeadingZero = word.count > 1 && word.first == UInt8(ascii: "0")
    guard isNumber, word.count <= 5, !hasLeadingZero, let value = Int(text(word)) else {
      throw UserError(
        "\(place): symbol", expected: "a number of at most 5 digits", found: "`\(text(word))`")
    }
    return value
  }

  private func repeated(_ key: String, _ place: String) -> UserError {
    UserError("\(place): \(key)", expected: "it once", found: "it again", remedy: "Remove one.")
  }

  func header() throws -> (root: Int, terminalCount: Int) {
    guard let root, let terminalCount else {
      throw UserError(
        "\(source): grammar", expected: "`root: SYMBOL` and `terminals: 1..A`",
        found: root == nil ? "no `root:`" : "no `terminals:`", remedy: "Add the line at the top.")
    }
    return (root, terminalCount)
  }
}
