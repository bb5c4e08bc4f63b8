import Contracts
import Shards
import Statistics
import Support

/// The sentences that a model's training stream has, for the question which strings it was never shown.
///
/// Held-out sentences are drawn apart, but a language of few likely strings has them in both streams, and a
/// model may generate what it has read. A run may read less than the whole stream: a string is unseen only
/// when no sentence of the stream equals it, so that the unseen ones surely are.
struct TrainingStream {
  private let symbols: ShardSet

  /// - Throws: `UserError` for a set that is no train stream of sentences below `root` of the grammar.
  init(_ input: StageConfiguration.Input, grammarDigest: String, root: Int) throws {
    symbols = try ShardSet(input: input)
    var metadata = try symbols.metadataReader()
    let stream = try metadata.string("stream")
    let found = (try metadata.string("grammarDigest"), try metadata.int("root"))
    guard found == (grammarDigest, root), stream == SentenceStream.train.rawValue else {
      throw UserError(
        "\(symbols.directory): training sentences",
        expected: "stream train of root \(root) of SHA-256 \(grammarDigest)",
        found: "stream \(stream) of root \(found.1) of SHA-256 \(found.0)",
        remedy: "Give as input 'trained' the sample set that the run's data were made from.")
    }
  }

  /// For each of `strings`, whether no sentence equals it. Exact; reads the stream once, a shard at a time,
  /// and keeps only `strings` in memory.
  func areUnseen(_ strings: [[UInt8]]) throws -> [Bool] {
    var rest = Set(strings)
    try symbols.forEachPiece(ofDocuments: 0..<symbols.documents) { loaded, documents in
      try Interruption.check()
      let column = loaded.buffer(try loaded.column("symbol"), as: UInt8.self)
      for d in documents where !rest.isEmpty {
        rest.remove(Array(column[loaded.rows(ofDocument: d)]))
      }
    }
    return strings.map(rest.contains)
  }
}

/// The scores of one snapshot on strings that its model was not trained on.
package struct UnseenScores: Sendable, Equatable {
  /// Of the generated strings that no training sentence equals, the right ones. A wrong string is in no
  /// training stream: all of them count.
  package let accuracy: Accuracy
  /// Σ (log P − log Q) / Σ characters over the held-out sentences that no training sentence equals.
  package let excess: RatioEstimate
  /// Part of the scored held-out sentences that are so.
  package let heldoutShare: Double

  /// nil where there is too little to judge: no generated string, or fewer than two held-out sentences.
  ///
  /// - Parameters:
  ///   - isUnseen: for the generated sentences, then for the held-out ones.
  init?(
    _ generated: [GeneratedSentence], isCorrect: [Bool], logP: [Double], logQ: [Double],
    characters: [Int], isUnseen: [Bool]
  ) {
    precondition(isUnseen.count == generated.count + logP.count, "one answer a string")
    let own = generated.indices.filter { isUnseen[$0] || !isCorrect[$0] }
    let held = logP.indices.filter { isUnseen[generated.count + $0] }
    guard !own.isEmpty, held.count >= 2 else { return nil }
    accuracy = Accuracy(own.map { generated[$0] }, isCorrect: own.map { isCorrect[$0] })
    excess = RatioEstimate(
      numerators: held.map { logP[$0] - logQ[$0] },
      denominators: held.map { Double(characters[$0]) })
    heldoutShare = Double(held.count) / Double(logP.count)
  }

  /// As the index holds it.
  var value: ConfigValue {
    [
      "samples": .integer(accuracy.samples), "accurate": .integer(accuracy.correct),
      "accuracy": .double(accuracy.share), "accuracyLow": .double(accuracy.interval.low),
      "accuracyHigh": .double(accuracy.interval.high), "heldoutSentences": .integer(excess.count),
      "heldoutShare": .double(heldoutShare), "excessNatsPerCharacter": .double(excess.ratio),
      "excessStandardError": .double(excess.standardError),
    ]
  }
}
