import Foundation
import Grammar
import Support
import Testing

@Suite struct ParserTests {
  @Test func goldenSentences() throws {
    var parser = Parser(try Fixtures.grammar("cfg3f"))
    for golden in GoldenSentence.all {
      #expect(SHA256.hex(of: Array(golden.digits.utf8)).hasPrefix(golden.digest))
      #expect(parser.contains(golden.symbols) == true)
      let count = parser.derivationCount(golden.symbols)
      #expect(count == DerivationCount(value: golden.derivations))
      #expect(abs(parser.log2Probability(golden.symbols) - golden.log2Probability) < 6e-7)
    }
    var flipped = GoldenSentence.all[0].symbols
    flipped[0] = 1
    #expect(parser.contains(flipped) == false)
    #expect(parser.derivationCount(flipped).value == 0)
    #expect(parser.log2Probability(flipped) == -.infinity)
  }

  @Test func agreesWithEnumerationOnAllSmallStrings() throws {
    for grammar in try Fixtures.small() {
      let all = Enumeration(grammar)
      #expect(isClose(all.strings.values.reduce(0) { $0 + $1.probability }, 1))
      var parser = Parser(grammar)
      let symbols = (0...UInt8(grammar.terminalCount + 1)).map { $0 }
      let length = min(grammar.lengthRange.upperBound + 1, symbols.count > 4 ? 6 : 8)
      let strings = Set(allStrings(over: symbols, upTo: length)).union(all.strings.keys)
      for string in strings {
        let expected = all.strings[string]
        #expect(parser.contains(string) == (expected != nil))
        #expect(
          parser.derivationCount(string)
            == DerivationCount(value: expected?.derivations ?? 0))
        let log2Probability = parser.log2Probability(string)
        guard let expected else {
          #expect(log2Probability == -.infinity)
          continue
        }
        #expect(isClose(log2Probability, log2(expected.probability)))
        let entropy = log2(expected.probability) + expected.information / expected.probability
        #expect(abs(parser.derivationEntropyBits(string.span) - entropy) < 1e-12)
      }
    }
  }

  @Test func agreesWithEnumerationOfThreeLevels() throws {
    let grammar = try Fixtures.grammar("cfg3f", root: 15)
    let all = Enumeration(grammar)
    var parser = Parser(grammar)
    var total = 0.0
    for (index, (string, expected)) in all.strings.enumerated() {
      total += expected.probability
      if index % 97 != 0 { continue }
      #expect(parser.derivationCount(string).value == expected.derivations)
      #expect(isClose(parser.log2Probability(string), log2(expected.probability)))
      var other = string
      other[string.count / 2] = other[string.count / 2] % 3 + 1
      #expect(parser.contains(other) == (all.strings[other] != nil))
    }
    #expect(isClose(total, 1, 1e-9))
  }

  @Test func strangeStringsAreNoSentences() throws {
    var parser = Parser(try Fixtures.grammar("cfg3f"))
    let golden = GoldenSentence.all[2].symbols
    for length in [0, 1, 2, 63, 64, 65, 729, 730, 5_000] {
      for symbol: UInt8 in [0, 1, 2, 3, 4, 255] {
        #expect(parser.contains([UInt8](repeating: symbol, count: length)) == false)
      }
    }
    for position in [0, 71, golden.count - 1] {
      for symbol: UInt8 in [0, 4, 255] {
        var foreign = golden
        foreign[position] = symbol
        #expect(parser.contains(foreign) == false)
        #expect(parser.log2Probability(foreign) == -.infinity)
      }
    }
    #expect(parser.contains(Array(golden.dropLast())) == false)
    #expect(parser.contains(Array(golden.dropFirst())) == false)
    #expect(parser.contains(golden + [1]) == false)
    #expect(parser.contains(golden) == true)
  }

  @Test func countsReportOverflow() throws {
    for (levels, expected) in [
      (2, DerivationCount(value: 2)),
      (64, DerivationCount(value: 1 << 63)),
      (65, DerivationCount(value: .max, isExact: false)),
      (80, DerivationCount(value: .max, isExact: false)),
    ] {
      var parser = Parser(try Fixtures.chain(levels: levels))
      #expect(parser.derivationCount([1]) == expected)
      #expect(parser.log2Probability([1]) == 0)
      #expect(isClose(parser.derivationEntropyBits([1].span), Double(levels - 1)))
    }
  }

  @Test func longestSentencesDoNotUnderflow() throws {
    for name in ["cfg3b", "cfg3e1", "cfg3e2", "cfg3f", "cfg3g", "cfg3h", "cfg3i", "cfg3j", "cfg3k"]
    {
      let grammar = try Fixtures.grammar(name)
      let sentence = Fixtures.longestSentence(grammar)
      #expect(sentence.count == grammar.lengthRange.upperBound)
      var parser = Parser(grammar)
      let log2Probability = parser.log2Probability(sentence)
      #expect(log2Probability.isFinite)
      var prefixes = PrefixParser(grammar)
      for symbol in sentence { prefixes.extend(symbol) }
      #expect(isClose(prefixes.log2SentenceProbability, log2Probability))
    }
  }
}
