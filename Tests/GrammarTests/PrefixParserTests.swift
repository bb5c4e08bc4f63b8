import Foundation
import Grammar
import Support
import Testing

@Suite struct PrefixParserTests {
  @Test func agreesWithEnumerationAfterEveryPrefix() throws {
    for grammar in try Fixtures.small() {
      let all = Enumeration(grammar)
      let prefixes = all.prefixProbabilities
      var parser = PrefixParser(grammar)
      func check(_ prefix: [UInt8]) {
        let expected = prefixes[prefix] ?? 0
        #expect(isClose(exp2(parser.log2PrefixProbability), expected))
        #expect(
          isClose(exp2(parser.log2SentenceProbability), all.strings[prefix]?.probability ?? 0))
        #expect(parser.count == prefix.count)
        #expect(parser.isViable == (expected > 0))
        guard expected > 0 else {
          #expect(parser.distribution == nil)
          #expect(parser.endProbability == nil)
          #expect(parser.probability(ofNext: 1) == nil)
          return
        }
        let distribution = parser.distribution ?? []
        #expect(isClose(distribution.reduce(0, +), 1))
        for symbol in 1...UInt8(grammar.terminalCount) {
          let next = (prefixes[prefix + [symbol]] ?? 0) / expected
          #expect(isClose(distribution[Int(symbol) - 1], next))
          #expect(parser.probability(ofNext: symbol) == distribution[Int(symbol) - 1])
          parser.extend(symbol)
          if next > 0 { check(prefix + [symbol]) } else { #expect(!parser.isViable) }
          parser.retract()
        }
        let end = (all.strings[prefix]?.probability ?? 0) / expected
        #expect(isClose(distribution[grammar.terminalCount], end))
        #expect(parser.probability(ofNext: 0) == 0)
        #expect(parser.probability(ofNext: UInt8(grammar.terminalCount + 1)) == 0)
      }
      check([])
    }
  }

  @Test func chainRuleGivesTheSentenceProbability() throws {
    for name in ["cfg3b", "cfg3e1", "cfg3e2", "cfg3f", "cfg3i", "cfg3k"] {
      let grammar = try Fixtures.grammar(name)
      let sampler = SentenceSampler(grammar, seed: 3, stream: "test")
      var parser = Parser(grammar)
      var prefixes = PrefixParser(grammar)
      for index in 0..<20 {
        var sentence: [UInt8] = []
        sampler.appendSentence(UInt64(index), to: &sentence)
        let distributions = prefixes.distributions(of: sentence)
        #expect(distributions.viableCount == sentence.count + 1)
        var sum = 0.0
        for (k, symbol) in sentence.enumerated() {
          let row = distributions[k] ?? []
          #expect(isClose(row.reduce(0, +), 1))
          sum += log2(row[row.startIndex + Int(symbol) - 1])
          #expect(isClose(distributions.log2PrefixProbabilities[k + 1], sum, 1e-10))
        }
        sum += log2(distributions[sentence.count]?.last ?? 0)
        #expect(isClose(sum, parser.log2Probability(sentence), 1e-10))
      }
    }
  }

  @Test func membershipAgreesWithTheChart() throws {
    let grammar = try Fixtures.grammar("cfg3f", root: 18)
    let sampler = SentenceSampler(grammar, seed: 5, stream: "test")
    var random = RandomStream(seed: 5, name: "mutations")
    var parser = Parser(grammar)
    var prefixes = PrefixParser(grammar)
    var members = 0
    for index in 0..<2_000 {
      var sentence: [UInt8] = []
      sampler.appendSentence(UInt64(index), to: &sentence)
      sentence[Int(random.below(UInt32(sentence.count)))] = UInt8(random.below(3)) + 1
      prefixes.retract(to: 0)
      for symbol in sentence { prefixes.extend(symbol) }
      let expected = parser.log2Probability(sentence)
      if expected == -.infinity {
        #expect(prefixes.log2SentenceProbability == -.infinity)
      } else {
        members += 1
        #expect(isClose(prefixes.log2SentenceProbability, expected))
      }
    }
    #expect(members > 500 && members < 1_900)
  }

  @Test func deadPrefixesStayDeadAndCanBeUndone() throws {
    var parser = PrefixParser(try Fixtures.grammar("cfg3f"))
    let sentence = GoldenSentence.all[2].symbols
    for symbol in sentence { #expect(parser.extend(symbol) == true) }
    let end = parser.distribution
    #expect(parser.extend(9) == false)
    #expect(parser.extend(1) == false)
    #expect(parser.distribution == nil)
    #expect(parser.log2PrefixProbability == -.infinity)
    #expect(parser.count == sentence.count + 2)
    parser.retract(to: sentence.count)
    #expect(parser.distribution == end)
    let dead = parser.distributions(of: sentence.dropLast() + [7, 1])
    #expect(dead.viableCount == sentence.count)
    #expect(dead[sentence.count - 1] != nil)
    #expect(dead[sentence.count] == nil)
    #expect(parser.distributions(of: []).viableCount == 1)
  }

  @Test func branchesAreIndependentAndUndoIsExact() throws {
    let grammar = try Fixtures.grammar("cfg3f")
    let sentence = GoldenSentence.all[1].symbols
    var straight = PrefixParser(grammar)
    var wandering = PrefixParser(grammar)
    var random = RandomStream(seed: 11, name: "wandering")
    for symbol in sentence {
      let steps = random.below(4)
      let copy = wandering
      for _ in 0..<steps { wandering.extend(UInt8(random.below(3)) + 1) }
      wandering.retract(to: straight.count)
      straight.extend(symbol)
      wandering.extend(symbol)
      #expect(copy.count == straight.count - 1)
      #expect(wandering.distribution == straight.distribution)
      #expect(wandering.log2PrefixProbability == straight.log2PrefixProbability)
    }
    #expect(isClose(straight.log2SentenceProbability, GoldenSentence.all[1].log2Probability, 3e-9))
  }
}
