import Foundation
import Grammar

/// A grammar enumerated derivation by derivation: the slow twin of parsers and sampler.
struct Enumeration {
  struct Entry {
    var derivations: UInt64 = 0
    var probability = 0.0
    /// Σ p(d) · −log2 p(d) over the derivations.
    var information = 0.0
  }

  let grammar: Grammar
  var strings: [[UInt8]: Entry] = [:]

  init(_ grammar: Grammar) {
    self.grammar = grammar
    var derivations: [Int: [(string: [UInt8], probability: Double)]] = [:]
    for terminal in 1...grammar.terminalCount {
      derivations[terminal] = [([UInt8(terminal)], 1)]
    }
    for symbol in grammar.symbols {
      var list: [(string: [UInt8], probability: Double)] = []
      for alternative in symbol.alternatives {
        var partial: [(string: [UInt8], probability: Double)] = [
          ([], 1 / Double(symbol.alternatives.count))
        ]
        for child in alternative {
          partial = partial.flatMap { head in
            (derivations[child] ?? []).map {
              (head.string + $0.string, head.probability * $0.probability)
            }
          }
        }
        list += partial
      }
      derivations[symbol.id] = list
    }
    for (string, probability) in derivations[grammar.root] ?? [] {
      strings[string, default: Entry()].derivations += 1
      strings[string, default: Entry()].probability += probability
      strings[string, default: Entry()].information -= probability * log2(probability)
    }
  }

  var derivationEntropy: Double { strings.values.reduce(0) { $0 + $1.information } }

  var stringEntropy: Double {
    strings.values.reduce(0) { $0 - $1.probability * log2($1.probability) }
  }

  /// P(the sentence begins with the prefix), for all prefixes of all sentences.
  var prefixProbabilities: [[UInt8]: Double] {
    var probabilities: [[UInt8]: Double] = [:]
    for (string, entry) in strings {
      for k in 0...string.count {
        probabilities[Array(string.prefix(k)), default: 0] += entry.probability
      }
    }
    return probabilities
  }
}

/// All strings over `symbols` of at most `length` symbols.
func allStrings(over symbols: [UInt8], upTo length: Int) -> [[UInt8]] {
  var all: [[UInt8]] = [[]]
  var last: [[UInt8]] = [[]]
  for _ in 0..<length {
    last = last.flatMap { head in symbols.map { head + [$0] } }
    all += last
  }
  return all
}

enum Fixtures {
  /// The repository's root, from where this file was compiled.
  static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  static func path(_ name: String) -> String { "\(repository)/data/grammars/\(name).grammar" }

  static func grammar(_ name: String, root: Int? = nil) throws -> Grammar {
    let grammar = try Grammar(contentsOfFile: path(name))
    return try root.map { try grammar.rooted(at: $0) } ?? grammar
  }

  /// Two levels, alternatives of one symbol, much ambiguity.
  static let ambiguous = """
    root: 9
    terminals: 1..2
    9 -> 5 6 | 6 5 | 5 5 6
    5 -> 1 | 1 1
    6 -> 1 1 | 2 1 | 1
    """

  /// Three levels, alternatives of one to four symbols.
  static let uneven = """
    root: 20
    terminals: 1..2
    20 -> 10 11 | 11 10 10 | 10
    10 -> 5 | 5 6 | 5 6 5 5
    11 -> 6 6 | 5
    5 -> 1 2 | 1
    6 -> 1 | 2 1 | 1 2
    """

  /// Everything derives runs of one symbol.
  static let runs = """
    root: 9
    terminals: 1..1
    9 -> 7 7 | 8 7 | 7 8 7
    7 -> 5 5 | 6 5 5
    8 -> 5 6 | 6 6 | 6
    5 -> 1 | 1 1
    6 -> 1 1 | 1 1 1
    """

  /// One sentence, one derivation.
  static let single = """
    root: 4
    terminals: 1..3
    4 -> 3 1 2
    """

  static func small() throws -> [Grammar] {
    try [("ambiguous", ambiguous), ("uneven", uneven), ("runs", runs), ("single", single)].map {
      try Grammar(parsing: $0.1, source: $0.0)
    } + [10, 11, 12].map { try grammar("cfg3f", root: $0) }
  }

  /// A chain of `levels` levels with two interchangeable symbols each: the one sentence "1" has
  /// 2^(levels − 1) derivations.
  static func chain(levels: Int) throws -> Grammar {
    var lines = ["root: 1000", "terminals: 1..1", "10 -> 1", "11 -> 1"]
    for level in 2..<levels {
      let (lower, upper) = (10 * (level - 1), 10 * level)
      for symbol in [upper, upper + 1] { lines.append("\(symbol) -> \(lower) | \(lower + 1)") }
    }
    lines.append("1000 -> \(10 * (levels - 1)) | \(10 * (levels - 1) + 1)")
    return try Grammar(parsing: lines.joined(separator: "\n"), source: "chain")
  }

  /// The longest sentence of a grammar, or one of them.
  static func longestSentence(_ grammar: Grammar) -> [UInt8] {
    var longest: [Int: [UInt8]] = [:]
    for terminal in 1...grammar.terminalCount { longest[terminal] = [UInt8(terminal)] }
    for symbol in grammar.symbols {
      longest[symbol.id] = symbol.alternatives.map { $0.flatMap { longest[$0] ?? [] } }
        .max { $0.count < $1.count }
    }
    return longest[grammar.root] ?? []
  }
}

func isClose(_ a: Double, _ b: Double, _ tolerance: Double = 1e-12) -> Bool {
  abs(a - b) <= tolerance * max(1, abs(a), abs(b))
}
