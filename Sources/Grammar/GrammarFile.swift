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
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw UserError(
        "\(source): grammar", expected: "text in UTF-8", found: "other bytes",
        remedy: "Name a grammar file.")
    }
    let name = URL(fileURLWithPath: source).deletingPathExtension().lastPathComponent
    try self.init(parsing: text, source: source, name: name)
  }

  /// Reads a grammar from its text form. `source` stands before every message, and is the grammar's
  /// name unless `name` is given.
  package init(parsing text: String, source: String, name: String? = nil) throws {
    var reader = GrammarReader(source: source)
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() { try reader.read(line, number: index + 1) }
    let (root, terminalCount) = try reader.header()
    try self.init(
      name: name ?? source, root: root, terminalCount: terminalCount, rules: reader.rules,
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
  let source: String
  var root: Int?
  var terminalCount: Int?
  var rules: [Int: [[Int]]] = [:]
  private var lineOf: [Int: Int] = [:]

  init(source: String) { self.source = source }

  mutating func read(_ line: Substring, number: Int) throws {
    let place = "\(source):\(number)"
    let content = line.prefix { $0 != "#" }
    let words = content.split { $0 == " " || $0 == "\t" }
    guard let first = words.first else { return }
    switch first {
    case "root:":
      guard root == nil else { throw repeated("root:", place) }
      guard words.count == 2 else {
        throw UserError("\(place): root", expected: "`root: SYMBOL`", found: "`\(content)`")
      }
      root = try parseSymbol(words[1], place)
    case "terminals:":
      guard terminalCount == nil else { throw repeated("terminals:", place) }
      guard words.count == 2, words[1].hasPrefix("1..") else {
        throw UserError(
          "\(place): terminals", expected: "`terminals: 1..A`", found: "`\(content)`",
          remedy: "Number the terminals from 1.")
      }
      terminalCount = try parseSymbol(words[1].dropFirst(3), place)
    default:
      try readRule(words, place, number)
    }
  }

  private mutating func readRule(_ words: [Substring], _ place: String, _ number: Int) throws {
    guard words.count >= 2, words[1] == "->" else {
      throw UserError(
        "\(place): rule", expected: "`SYMBOL -> SYMBOL … | SYMBOL …`, `root:` or `terminals:`",
        found: "`\(words.joined(separator: " "))`", remedy: "Separate all parts by spaces.")
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
    let parts = words[2...].split(separator: "|", omittingEmptySubsequences: false)
    if let index = parts.firstIndex(where: \.isEmpty) {
      throw UserError(
        "\(place): empty alternative \(index + 1) of symbol \(id)",
        expected: "at least one symbol", remedy: "Remove it: the grammar has no empty words.")
    }
    rules[id] = try parts.map { try $0.map { try parseSymbol($0, place) } }
  }

  private func parseSymbol(_ word: Substring, _ place: String) throws -> Int {
    let isNumber = !word.isEmpty && word.utf8.allSatisfy { 48...57 ~= $0 }
    guard isNumber, word.count <= 5, word == "0" || word.first != "0", let value = Int(word) else {
      throw UserError(
        "\(place): symbol", expected: "a number of at most 5 digits", found: "`\(word)`")
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
