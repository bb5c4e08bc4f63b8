import Foundation
import NGrams
import Support
import Testing

@Suite struct KneserNeyTests {
  /// Against KenLM's `lmplz` and `query`, which print six to eight digits; Tests/Peers/kenlm_fixture.py
  /// made the file. A line is ⟨s⟩ 0, its words, and ⟨/s⟩ 1.
  @Test func scoresOfKenLM() throws {
    let url = try #require(Bundle.module.url(forResource: "Fixtures/kenlm", withExtension: "json"))
    let file = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url))
    #expect(file.cases.count == 2)
    for entry in file.cases {
      var counts = GramCounts(order: 5, vocabulary: file.vocabulary)
      for line in entry.train { counts.add(line) }
      #expect(entry.models.map(\.order) == [2, 3, 4, 5])
      for model in entry.models {
        let own = KneserNey(counts, order: model.order, classes: entry.classes)
        for (order, discounts) in model.discounts.enumerated() {
          for (value, expected) in zip(own.discounts(order + 1).values, discounts) {
            #expect(abs(value - expected) < 1e-5 * expected, "discounts of order \(order + 1)")
          }
        }
        for (line, scores) in zip(entry.test, model.scores) {
          let found = own.logProbabilities(line)
          #expect(found.count == scores.count)
          for (value, expected) in zip(found, scores) {
            #expect(abs(value / log(10) - expected) < 2e-6, "order \(model.order): \(line)")
          }
        }
      }
    }
  }

  private struct Fixture: Decodable {
    struct Case: Decodable {
      let classes: Int
      let train: [[UInt32]]
      let test: [[UInt32]]
      let models: [Model]
    }
    struct Model: Decodable {
      let order: Int
      let discounts: [[Double]]
      let scores: [[Double]]
    }
    let vocabulary: Int
    let cases: [Case]
  }

  private static func sequences(_ count: Int, vocabulary: UInt32, seed: UInt64) -> [[UInt32]] {
    var stream = RandomStream(seed: seed, name: "sequences")
    return (0..<count).map { number in
      (0..<number % 9).map { _ in min(stream.below(vocabulary), stream.below(vocabulary)) }
    }
  }

  /// Counts by dictionaries of whole grams, as the definition says.
  @Test(arguments: [1, 2, 3, 5]) func countsOfGrams(order: Int) {
    let sequences = Self.sequences(60, vocabulary: 7, seed: 3)
    var counts = GramCounts(order: order, vocabulary: 7)
    for sequence in sequences { counts.add(sequence) }
    #expect(counts.events == sequences.reduce(0) { $0 + max(0, $1.count - 1) })
    for k in 1...order {
      var grams: Set<[UInt32]> = []
      for sequence in sequences where sequence.count > 1 {
        for end in max(1, k - 1)..<max(sequence.count, max(1, k - 1)) {
          grams.insert(Array(sequence[(end - k + 1)...end]))
        }
      }
      #expect(counts.distinct(k) == grams.count, "order \(k)")
    }
  }

  /// Behind any context, seen or not, the probabilities of all tokens sum to 1.
  @Test(arguments: 1...4) func probabilitiesSumToOne(order: Int) {
    let vocabulary: UInt32 = 7
    var counts = GramCounts(order: 4, vocabulary: Int(vocabulary))
    for sequence in Self.sequences(40, vocabulary: 6, seed: 5) { counts.add(sequence) }
    let model = KneserNey(counts, order: order)
    for context in Self.sequences(40, vocabulary: vocabulary, seed: 6) where !context.isEmpty {
      let sum = (0..<vocabulary).reduce(0.0) { sum, token in
        sum + exp(model.logProbabilities(context + [token]).last ?? 0)
      }
      #expect(abs(sum - 1) < 1e-12, "behind \(context)")
    }
  }

  /// Without any text every token is as likely as any other.
  @Test func nothingCounted() {
    var counts = GramCounts(order: 3, vocabulary: 4)
    counts.add([])
    counts.add([2])
    #expect(counts.events == 0)
    let scores = KneserNey(counts, order: 3).logProbabilities([0, 1, 3])
    #expect(scores == [-log(4), -log(4)])
  }
}
