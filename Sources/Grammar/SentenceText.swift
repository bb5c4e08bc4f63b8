import Foundation

/// Sentences as lines of text: digits without separators for up to 9 terminals, otherwise numbers
/// separated by spaces.
package struct SentenceText: Sendable {
  package static let inputRule =
    "Up to 9 terminals: a symbol is one digit; more: numbers separated by spaces."

  package let grammar: Grammar
  private let isDigits: Bool

  package init(_ grammar: Grammar) {
    self.grammar = grammar
    isDigits = grammar.terminalCount <= 9
  }

  package func line(_ sentence: [UInt8]) -> String {
    isDigits
      ? String(decoding: sentence.map { $0 + UInt8(ascii: "0") }, as: UTF8.self)
      : sentence.map(String.init).joined(separator: " ")
  }

  /// The symbols of a line. Blanks between digits are skipped; what is no terminal becomes 0, which is
  /// no terminal of any grammar: one for each scalar value of Unicode, where a symbol is a digit.
  package func symbols(_ line: String) -> [UInt8] {
    let words = line.unicodeScalars.split(whereSeparator: \.properties.isWhitespace)
    let parts = isDigits ? words.flatMap { $0.map { String($0) } } : words.map { String($0) }
    return parts.map { part in
      guard part.utf8.allSatisfy({ 48...57 ~= $0 }), let value = UInt8(part),
        Int(value) <= grammar.terminalCount
      else { return 0 }
      return value
    }
  }
}

/// One CSV row for each string: length, membership, number of derivations, log2 probability.
package struct ParseTable {
  package static let header = "length,member,derivations,log2_probability"

  private let text: SentenceText
  private var parser: Parser

  package init(_ text: SentenceText) {
    self.text = text
    parser = Parser(text.grammar)
  }

  package mutating func row(_ line: String) -> String {
    let symbols = text.symbols(line)
    let count = parser.derivationCount(symbols)
    let derivations = count.isExact ? "\(count.value)" : ">=\(count.value)"
    let probability = parser.log2Probability(symbols)
    return [
      "\(symbols.count)", parser.contains(symbols) ? "yes" : "no", derivations,
      fixed(probability, 6),
    ].joined(separator: ",")
  }
}

/// CSV rows of the next-symbol distributions after every prefix of a string.
package struct PrefixTable {
  private let text: SentenceText
  private var parser: PrefixParser

  package init(_ text: SentenceText) {
    self.text = text
    parser = PrefixParser(text.grammar)
  }

  package var header: String {
    let symbols = (1...text.grammar.terminalCount).map { "p\($0)" }
    return (["string", "prefix_length", "log2_prefix_probability"] + symbols + ["p_end"])
      .joined(separator: ",")
  }

  /// The rows of string number `number`, up to its longest prefix of positive probability.
  package mutating func rows(_ line: String, number: Int) -> [String] {
    let distributions = parser.distributions(of: text.symbols(line))
    return (0..<distributions.viableCount).map { k in
      (["\(number)", "\(k)", fixed(distributions.log2PrefixProbabilities[k], 6)]
        + (distributions[k] ?? []).map { fixed($0, 9) }).joined(separator: ",")
    }
  }
}

/// What is known of a grammar, as text.
package struct GrammarDescription {
  package let lines: [String]

  package init(_ grammar: Grammar, samples: Int, seed: UInt64) {
    let lengths = grammar.lengthDistribution
    let mean = grammar.meanLength
    let variance = lengths.enumerated().reduce(0) { sum, entry in
      let deviation = Double(entry.offset) - mean
      return sum + entry.element * deviation * deviation
    }
    let quantiles = [0.01, 0.5, 0.99].map { share in
      var sum = 0.0
      return lengths.firstIndex {
        sum += $0
        return sum >= share
      } ?? grammar.lengthRange.upperBound
    }
    let entropy = StringEntropy(grammar, samples: samples, seed: seed)
    let error = entropy.bits.standardError
    let loss = log(2.0) / mean * error
    let rows: [(String, String)] = [
      ("grammar", "\(grammar.name), root \(grammar.root)"),
      ("terminals", "1..\(grammar.terminalCount)"),
      ("levels", grammar.levels.reversed().map { "\($0.count)" }.joined(separator: " ")),
      ("productions", "\(grammar.productionCount)"),
      ("length", "\(grammar.lengthRange.lowerBound)...\(grammar.lengthRange.upperBound) symbols"),
      ("mean length", "\(fixed(mean, 4)), standard deviation \(fixed(variance.squareRoot(), 2))"),
      ("1 %, 50 %, 99 %", quantiles.map(String.init).joined(separator: ", ")),
      ("derivation entropy", "\(fixed(grammar.derivationEntropyBits, 4)) bits (exact)"),
      (
        "string entropy",
        "\(fixed(entropy.bits.value, 4)) ± \(fixed(error, 4)) bits (\(samples) samples)"
      ),
      ("ambiguous strings", "\(fixed(100 * entropy.ambiguousShare, 1)) %"),
      (
        "loss floor",
        "\(fixed(entropy.floorPerSymbol, 5)) ± \(fixed(loss, 5)) nats a symbol, "
          + "\(fixed(entropy.floorPerToken, 5)) with the end counted"
      ),
    ]
    let width = rows.map(\.0.count).max() ?? 0
    lines = rows.map { $0.0 + String(repeating: " ", count: width - $0.0.count + 2) + $0.1 }
  }
}

/// `value` with `digits` decimals; what rounds to zero has no sign.
private func fixed(_ value: Double, _ digits: Int) -> String {
  let isZero = abs(value) < 0.5 * pow(10, -Double(digits))
  return String(format: "%.\(digits)f", isZero ? 0 : value)
}
