import Foundation
import Grammar
import Support
import Testing

@Suite struct SentenceSamplerTests {
  /// χ² of the counts of sampled strings, in standard deviations of its distribution.
  private func deviation(_ grammar: Grammar, samples: Int, seed: UInt64) -> Double {
    let all = Enumeration(grammar)
    let sampler = SentenceSampler(grammar, seed: seed, stream: "test")
    var bytes: [UInt8] = []
    var lengths: [Int] = []
    sampler.appendSentences(0..<UInt64(samples), to: &bytes, lengths: &lengths)
    var counts: [[UInt8]: Int] = [:]
    var start = 0
    for length in lengths {
      counts[Array(bytes[start..<start + length]), default: 0] += 1
      start += length
    }
    #expect(start == bytes.count)
    #expect(Set(counts.keys).isSubset(of: all.strings.keys))
    var statistic = 0.0
    for (string, entry) in all.strings {
      let expected = entry.probability * Double(samples)
      let difference = Double(counts[string] ?? 0) - expected
      statistic += difference * difference / expected
    }
    let freedom = Double(all.strings.count - 1)
    return freedom == 0 ? 0 : (statistic - freedom) / (2 * freedom).squareRoot()
  }

  @Test func frequenciesAreTheProbabilities() throws {
    for grammar in try Fixtures.small() {
      #expect(abs(deviation(grammar, samples: 100_000, seed: 7)) < 4, "\(grammar.name)")
    }
  }

  /// Three levels in two steps of tables: entries that repeat strings are counted too.
  @Test func frequenciesAcrossSteps() throws {
    let text = """
      root: 40
      terminals: 1..2
      40 -> 30 31 | 31 | 30 30
      30 -> 20 21 | 21
      31 -> 20 20 20 | 21 20
      20 -> 10 | 11 | 10 10 | 11 11 | 10 11 10
      21 -> 11 11 | 10
      10 -> 1 2 | 1 | 2 2 | 1 1
      11 -> 2 | 1 | 2 1
      """
    let grammar = try Grammar(parsing: text, source: "steps")
    let lengths = grammar.lengthDistribution
    let sampler = SentenceSampler(grammar, seed: 2, stream: "test")
    var bytes: [UInt8] = []
    var drawn: [Int] = []
    let samples = 200_000
    sampler.appendSentences(0..<UInt64(samples), to: &bytes, lengths: &drawn)
    var statistic = 0.0
    var freedom = -1.0
    for (length, probability) in lengths.enumerated() where probability * Double(samples) > 5 {
      let expected = probability * Double(samples)
      let difference = Double(drawn.count { $0 == length }) - expected
      statistic += difference * difference / expected
      freedom += 1
    }
    #expect(freedom > 10)
    #expect(abs((statistic - freedom) / (2 * freedom).squareRoot()) < 4)
    // Mean information of the samples: their mean is the string entropy, which the sum of exact
    // derivation entropy and mean ambiguity gives as well.
    var parser = Parser(grammar)
    var start = 0
    var information: [Double] = []
    for length in drawn.prefix(20_000) {
      information.append(-parser.log2Probability(Array(bytes[start..<start + length])))
      start += length
    }
    let direct = Estimate(samples: information)
    let entropy = StringEntropy(grammar, samples: 20_000)
    let error = hypot(direct.standardError, entropy.bits.standardError)
    #expect(abs(direct.value - entropy.bits.value) < 4 * error)
    #expect(entropy.bits.standardError < direct.standardError)
  }

  @Test func sentencesDependOnTheirIndexAlone() throws {
    let sampler = SentenceSampler(try Fixtures.grammar("cfg3f"), seed: 1, stream: "train")
    var together: [UInt8] = []
    var lengths: [Int] = []
    sampler.appendSentences(0..<100, to: &together, lengths: &lengths)
    var single: [UInt8] = []
    for index in 0..<100 { sampler.appendSentence(UInt64(index), to: &single) }
    #expect(single == together)
    #expect(lengths.reduce(0, +) == together.count)
    var late: [UInt8] = []
    sampler.appendSentence(99, to: &late)
    #expect(late == Array(together.suffix(lengths[99])))
    var none: [UInt8] = []
    var noLengths: [Int] = []
    sampler.appendSentences(5..<5, to: &none, lengths: &noLengths)
    #expect(none.isEmpty && noLengths.isEmpty)
  }

  @Test func seedsAndStreamsDiffer() throws {
    let grammar = try Fixtures.grammar("cfg3f")
    var sentences: Set<[UInt8]> = []
    for (seed, stream) in [(1, "train"), (2, "train"), (1, "heldout")] as [(UInt64, String)] {
      for index: UInt64 in [0, 1, 1 << 32, .max - 1] {
        var sentence: [UInt8] = []
        SentenceSampler(grammar, seed: seed, stream: stream).appendSentence(index, to: &sentence)
        sentences.insert(sentence)
      }
    }
    #expect(sentences.count == 12)
  }

  @Test func allGrammarsGiveMembers() throws {
    for name in ["cfg3b", "cfg3e1", "cfg3e2", "cfg3f", "cfg3g", "cfg3h", "cfg3i", "cfg3j", "cfg3k"]
    {
      let grammar = try Fixtures.grammar(name)
      let sampler = SentenceSampler(grammar, seed: 4, stream: "test")
      var parser = Parser(grammar)
      var total = 0
      for index in 0..<200 {
        var sentence: [UInt8] = []
        sampler.appendSentence(UInt64(index), to: &sentence)
        #expect(parser.contains(sentence) == true, "\(name) \(index)")
        total += sentence.count
      }
      // The mean of 200 lengths within 5 standard errors.
      let lengths = grammar.lengthDistribution
      let variance = lengths.enumerated().reduce(0) {
        $0 + ($1.element * pow(Double($1.offset) - grammar.meanLength, 2))
      }
      let error = (variance / 200).squareRoot()
      #expect(abs(Double(total) / 200 - grammar.meanLength) < 5 * error, "\(name)")
    }
  }

  /// The format: these bytes never change without a new version of the sample stage.
  @Test func knownAnswer() throws {
    let sampler = SentenceSampler(try Fixtures.grammar("cfg3f"), seed: 1, stream: "train")
    var bytes: [UInt8] = []
    for index in 0..<1_000 { sampler.appendSentence(UInt64(index), to: &bytes) }
    #expect(
      SHA256.hex(of: bytes)
        == "227fd7ee5f15f606db90455f59eaea748cd2c514b1de571b6a63f60f424927f1")
  }
}
