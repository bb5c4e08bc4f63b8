import Support

/// A levelled context-free grammar: every alternative of a symbol of level *l* consists of symbols of
/// level *l* − 1, level 0 are the terminals 1...A, and all alternatives of a symbol are equally likely.
/// So the language is finite, without recursion, and a derivation is a tree of fixed depth.
///
/// Source: Allen-Zhu & Li, "Physics of Language Models: Part 1" (arXiv 2305.13673).
package struct Grammar: Sendable, Equatable {
  /// A nonterminal and its equally likely alternatives.
  package struct Symbol: Sendable, Equatable {
    package let id: Int
    /// Height above the terminals: 1 for a symbol that rewrites to terminals.
    package let level: Int
    package let alternatives: [[Int]]
  }

  package let name: String
  package let root: Int
  /// A: the terminals are 1...A.
  package let terminalCount: Int
  /// All nonterminals that the root reaches, itself included, from the lowest level up, ids ascending
  /// inside a level; the root is the last.
  package let symbols: [Symbol]
  /// The ids of each level in ascending order: `levels[0]` are the terminals, `levels[depth]` the root.
  package let levels: [[Int]]

  /// The longest sentence that a grammar may have.
  package static let maximalLength = 65_535
  /// The longest alternative that a symbol may have.
  package static let maximalAlternativeLength = 255
  /// The most symbols that one level may have (they are numbered with one byte).
  package static let maximalLevelWidth = 256

  /// Number of rewriting levels.
  package var depth: Int { levels.count - 1 }

  /// Number of productions.
  package var productionCount: Int { symbols.reduce(0) { $0 + $1.alternatives.count } }

  /// The symbol `id`, nil if it is a terminal or none of this grammar.
  package func symbol(_ id: Int) -> Symbol? {
    symbols.first { $0.id == id }
  }

  /// The grammar with `root` and the alternatives of each nonterminal.
  ///
  /// Symbols that the root does not reach are an error here; `rooted(at:)` drops them.
  /// - Parameter source: what to call the grammar's origin in messages.
  /// - Throws: `UserError` for a terminal out of range, an undefined or unreachable symbol, an empty
  ///   or repeated alternative, a cycle, a violation of the levels, or a grammar beyond the limits.
  package init(
    name: String, root: Int, terminalCount: Int, rules: [Int: [[Int]]], source: String? = nil
  ) throws {
    let source = source ?? name
    let levels = try Grammar.checkedLevels(
      root: root, terminalCount: terminalCount, rules: rules, source: source)
    let terminals = Set(1...terminalCount)
    let unreached = Set(rules.keys).union(terminals).subtracting(levels.keys)
    if let first = unreached.min() {
      let kind = terminals.contains(first) ? "terminal" : "symbol"
      throw UserError(
        "\(source): unreachable \(kind) \(first)",
        expected: "every symbol to be reached from the root \(root)",
        found: unreached.count == 1 ? "no way to it" : "no way to \(unreached.count) of them",
        remedy: "Remove it, or give it to an alternative of a symbol that is reached.")
    }
    try self.init(
      name: name, root: root, terminalCount: terminalCount, rules: rules, levelOf: levels,
      source: source)
  }

  /// The sub-grammar of another root: the symbols that `root` does not reach are dropped. The
  /// terminals stay 1...A.
  /// - Throws: `UserError` if `root` is not a nonterminal of this grammar.
  package func rooted(at root: Int) throws -> Grammar {
    if root == self.root { return self }
    guard symbol(root) != nil else {
      let known = symbols.reversed().map { String($0.id) }.joined(separator: ", ")
      throw UserError(
        "\(name): root", expected: "one of the grammar's nonterminals \(known)", found: "\(root)",
        remedy: "Choose another root.")
    }
    let rules = Dictionary(uniqueKeysWithValues: symbols.map { ($0.id, $0.alternatives) })
    let levels = try Grammar.checkedLevels(
      root: root, terminalCount: terminalCount, rules: rules, source: name)
    return try Grammar(
      name: name, root: root, terminalCount: terminalCount, rules: rules, levelOf: levels,
      source: name)
  }

  private init(
    name: String, root: Int, terminalCount: Int, rules: [Int: [[Int]]], levelOf: [Int: Int],
    source: String
  ) throws {
    self.name = name
    self.root = root
    self.terminalCount = terminalCount
    let ids = levelOf.keys.sorted { (levelOf[$0] ?? 0, $0) < (levelOf[$1] ?? 0, $1) }
    symbols = ids.compactMap { id in
      rules[id].map { Symbol(id: id, level: levelOf[id] ?? 0, alternatives: $0) }
    }
    var levels = [[Int]](repeating: [], count: (levelOf[root] ?? 0) + 1)
    levels[0] = Array(1...terminalCount)
    for symbol in symbols { levels[symbol.level].append(symbol.id) }
    self.levels = levels
    try checkLimits(source: source)
  }

  private func checkLimits(source: String) throws {
    if let level = levels.indices.first(where: { levels[$0].count > Grammar.maximalLevelWidth }) {
      throw UserError(
        "\(source): level \(level)", expected: "at most \(Grammar.maximalLevelWidth) symbols",
        found: "\(levels[level].count)", remedy: "Split the grammar.")
    }
    var longest: [Int: Int] = [:]
    for symbol in symbols {
      let length =
        symbol.alternatives.map { alternative in
          alternative.reduce(0) { $0 + (longest[$1] ?? 1) }
        }.max() ?? 0
      guard length <= Grammar.maximalLength else {
        throw UserError(
          "\(source): symbol \(symbol.id)",
          expected: "sentences of at most \(Grammar.maximalLength) symbols",
          found: "up to \(length)", remedy: "Use fewer levels or shorter alternatives.")
      }
      longest[symbol.id] = length
    }
    let deviation = logScaleDeviation
    guard deviation <= Grammar.maximalDeviation else {
      throw UserError(
        "\(source): probabilities",
        expected: "derivations within \(Int(Grammar.maximalDeviation)) bits of the mean per symbol",
        found: "one \(Int(deviation)) bits away",
        remedy: "Use fewer levels or alternatives of more equal length.")
    }
  }
}

// MARK: - Validation

extension Grammar {
  /// The level of every symbol that the root reaches, terminals included, after all checks but the
  /// one of reachability.
  private static func checkedLevels(
    root: Int, terminalCount: Int, rules: [Int: [[Int]]], source: String
  ) throws -> [Int: Int] {
    guard (1...255).contains(terminalCount) else {
      throw UserError(
        "\(source): terminals", expected: "1..A with A in 1...255", found: "\(terminalCount)",
        remedy: "Number the terminals from 1.")
    }
    for id in rules.keys.sorted() {
      try checkRules(of: id, rules[id] ?? [], terminalCount: terminalCount, rules, source)
    }
    guard rules[root] != nil else {
      throw UserError(
        "\(source): root", expected: "a symbol with alternatives", found: "\(root)",
        remedy: "Name a symbol that stands left of an arrow.")
    }
    var levels: [Int: Int] = [:]
    var path: [Int] = []
    func visit(_ id: Int) throws -> Int {
      if id <= terminalCount {
        levels[id] = 0
        return 0
      }
      if let level = levels[id] { return level }
      if let start = path.firstIndex(of: id) {
        let cycle = (path[start...] + [id]).map(String.init).joined(separator: " -> ")
        throw UserError(
          "\(source): cycle \(cycle)", expected: "every symbol to rewrite to lower levels only",
          remedy: "Remove the alternative that leads back.")
      }
      path.append(id)
      defer { path.removeLast() }
      var level: Int?
      for alternative in rules[id] ?? [] {
        for child in alternative {
          let childLevel = try visit(child)
          if let level, level != childLevel + 1 {
            throw UserError(
              "\(source): level violation in \(id) -> "
                + alternative.map(String.init).joined(separator: " "),
              expected:
                "symbols of level \(level - 1) only, as before in the alternatives of \(id)",
              found: "\(child) of level \(childLevel)",
              remedy: "Let every alternative rewrite to the next level.")
          }
          level = childLevel + 1
        }
      }
      levels[id] = level
      return level ?? 0
    }
    _ = try visit(root)
    return levels
  }

  private static func checkRules(
    of id: Int, _ alternatives: [[Int]], terminalCount: Int, _ rules: [Int: [[Int]]],
    _ source: String
  ) throws {
    guard id > terminalCount else {
      throw UserError(
        "\(source): symbol \(id)", expected: "symbols with alternatives above \(terminalCount)",
        found: id >= 1 ? "a terminal (1..\(terminalCount))" : "\(id)", remedy: "Renumber it.")
    }
    let rewritesToTerminals = alternatives.contains { $0.contains { 1...terminalCount ~= $0 } }
    for (index, alternative) in alternatives.enumerated() {
      let text = "\(id) -> " + alternative.map(String.init).joined(separator: " ")
      guard !alternative.isEmpty else {
        throw UserError(
          "\(source): empty alternative \(index + 1) of symbol \(id)",
          expected: "at least one symbol", remedy: "Remove it: the grammar has no empty words.")
      }
      guard alternative.count <= maximalAlternativeLength else {
        throw UserError(
          "\(source): alternative \(index + 1) of symbol \(id)",
          expected: "at most \(maximalAlternativeLength) symbols", found: "\(alternative.count)",
          remedy: "Split it.")
      }
      guard !alternatives[..<index].contains(alternative) else {
        throw UserError(
          "\(source): duplicate rule \(text)", expected: "every alternative once",
          remedy: "Remove one of them: all alternatives of a symbol are equally likely.")
      }
      for child in alternative where !(1...terminalCount ~= child) && rules[child] == nil {
        if rewritesToTerminals || child < 1 {
          throw UserError(
            "\(source): terminal out of range in \(text)", expected: "1..\(terminalCount)",
            found: "\(child)", remedy: "Correct it, or the line `terminals:`.")
        }
        throw UserError(
          "\(source): undefined symbol \(child) in \(text)",
          expected: "a symbol that has alternatives or a terminal 1..\(terminalCount)",
          remedy: "Add a line `\(child) -> …`.")
      }
    }
    guard !alternatives.isEmpty else {
      throw UserError(
        "\(source): symbol \(id)", expected: "at least one alternative", found: "none",
        remedy: "Give it one.")
    }
  }
}
