import Evaluation
import Models
import NGrams
import Parallel
import Support
import Synchronization
import Tokenization

/// Generation as evaluation does it, with the lengths of given sentences.
///
/// Random weights would end sentences at once, so sentence i ends where the i-th given one does: until
/// then EOS cannot be drawn, then nothing else; BOS never. All draws are made.
package final class GenerationBench {
  package let sentences: Sentences
  private let configuration: ModelConfiguration
  private let variant: Variant
  private let pool: WorkerPool
  private let sessions: [ForcedLengths]
  private let batch: Int

  /// Seed of the uniform numbers: one a position of a sentence, from the stream "generate".
  private static let seed: UInt64 = 1

  /// - Parameters:
  ///   - weights: a safetensors file, or nil for those of seed 1.
  ///   - batch: sentences side by side on each thread.
  /// - Throws: `UserError` for weights of another model and for sentences that do not fit it.
  package init(
    _ workload: Workload, sentences: Sentences, weights: String?, batch: Int, threads: Int
  ) throws {
    let labels = workload.model.labels
    guard labels >= 3, labels <= 258, sentences.longest <= workload.model.context else {
      throw UserError(
        "generation", expected: "3 to 258 labels and sentences that fit the model",
        found: "\(labels) labels, sentences of up to \(sentences.longest) positions")
    }
    self.sentences = sentences
    self.batch = batch
    configuration = workload.model
    variant = try Variant(
      alphabet: Alphabet((0..<labels - 2).map { UInt8($0) }), tokenizerOrder: 1, inputOrders: [1],
      outputOrder: 1)
    let model = EngineModel(configuration)
    if let weights { try model.load(weights) } else { model.initialize(seed: 1) }
    pool = WorkerPool(threads: threads)
    sessions = (0..<threads).map { _ in
      ForcedLengths(
        model.makeSession(rows: 1, sequences: batch), labels: labels, sentences: sentences)
    }
  }

  /// Generates every sentence once; returns their ids without marks, in order, and the wall seconds.
  package func run() throws -> (ids: [[Int32]], seconds: Double) {
    let upcoming = Atomic<Int>(0)
    let results = Mutex([[Int32]](repeating: [], count: sentences.count))
    let generation = Generation(
      seed: Self.seed, variant: variant,
      limits: GenerationLimits(symbols: sentences.longest, positions: configuration.context),
      draw: .label)
    nonisolated(unsafe) let sessions = sessions
    let (batch, count) = (batch, sentences.count)
    let start = Host.monotonicSeconds
    try pool.forEach(0..<pool.threads) { worker, _ in
      try generation.run(
        sessions[worker], batch: batch,
        next: {
          let index = upcoming.wrappingAdd(1, ordering: .relaxed).oldValue
          if index < count { sessions[worker].expect(index) }
          return index < count ? index : nil
        },
        deliver: { index, sentence in
          let ids = sentence.symbols.map { Int32($0) + 2 }
          results.withLock { $0[index] = ids }
        })
    }
    let seconds = Host.monotonicSeconds - start
    return (results.withLock { $0 }, seconds)
  }

  /// The uniform number of each position of each sentence, for a peer that draws the same way.
  package func uniforms() -> [[Double]] {
    let stream = RandomStream(seed: Self.seed, name: "generate")
    return (0..<sentences.count).map { index in
      var numbers = stream.at(index: UInt64(index))
      return (0..<sentences.rows(index)).map { _ in numbers.uniform() }
    }
  }
}

/// A session whose sentences end at given lengths.
private final class ForcedLengths: LabelSession {
  private let session: any LabelSession
  private let labels: Int
  private let sentences: Sentences
  /// Sentences announced and not yet begun, and positions left of the live ones.
  private var expected: [Int] = []
  private var left: [Int] = []

  init(_ session: any LabelSession, labels: Int, sentences: Sentences) {
    (self.session, self.labels, self.sentences) = (session, labels, sentences)
  }

  /// Announces the sentence that begins next.
  func expect(_ sentence: Int) { expected.append(sentence) }

  func score(rows: [[UInt32]], offsets: [Int], into logProbabilities: inout [Float]) throws {
    try session.score(rows: rows, offsets: offsets, into: &logProbabilities)
  }

  func restart(sequences: Int) throws {
    left.removeAll()
    try session.restart(sequences: sequences)
  }

  func begin(sequences: Int) throws {
    left += expected.prefix(sequences).map(sentences.rows)
    expected.removeFirst(sequences)
    try session.begin(sequences: sequences)
  }

  func retain(_ isLive: (Int) -> Bool) throws {
    left = left.indices.filter(isLive).map { left[$0] }
    try session.retain(isLive)
  }

  func advance(rows: [[UInt32]], into logProbabilities: inout [Float]) throws {
    try session.advance(rows: rows, into: &logProbabilities)
    for n in left.indices {
      left[n] -= 1
      let first = n * labels
      if left[n] == 0 {
        for k in 0..<labels { logProbabilities[first + k] = -.infinity }
        logProbabilities[first + NGramVocabulary.eos] = 0
      } else {
        logProbabilities[first + NGramVocabulary.bos] = -.infinity
        logProbabilities[first + NGramVocabulary.eos] = -.infinity
      }
    }
  }
}
