import Grammar
import Parallel
import Statistics
import Support
import Synchronization

/// How many sentences of a sample are right.
package struct Accuracy: Sendable, Equatable {
  package let correct: Int
  package let samples: Int
  /// How the sentences ended, by `Ending.rawValue`.
  package let endings: [Int]

  package init(correct: Int, samples: Int, endings: [Int]) {
    self.correct = correct
    self.samples = samples
    self.endings = endings
  }

  /// - Parameter isCorrect: for each sentence; see `judge`.
  package init(_ sentences: [GeneratedSentence], isCorrect: [Bool]) {
    precondition(sentences.count == isCorrect.count, "one verdict a sentence")
    var endings = [Int](repeating: 0, count: Ending.allCases.count)
    for sentence in sentences { endings[Int(sentence.ending.rawValue)] += 1 }
    self.init(
      correct: isCorrect.count { $0 }, samples: sentences.count, endings: endings)
  }

  package var share: Double { Double(correct) / Double(samples) }
  /// Wilson interval at 95 %.
  package var interval: Interval { wilsonInterval(successes: correct, trials: samples) }
}

/// The comparison of a model with the grammar on held-out sentences; all in nats per character.
///
/// Characters are raw symbols; the loss of the end of a sentence is in the sums, the end is not
/// counted as a character. All are ratios of sums over sentences with delta-method standard errors.
package struct HeldOutScores: Sendable, Equatable {
  /// log Q of each sentence in nats.
  package let logQ: [Double]
  /// Σ −log Q / Σ characters.
  package let loss: RatioEstimate
  /// Σ −log P / Σ characters: the grammar's own loss on the same sentences.
  package let entropy: RatioEstimate
  /// Σ (log P − log Q) / Σ characters, paired: the noise of the sentences' own surprise cancels.
  package let excess: RatioEstimate
  /// Σ KL(P‖Q) over positions / Σ characters on the sentences with targets: the same quantity as
  /// `excess` in expectation (over tokens, for an n-gram tokenizer), without the sampling noise of
  /// the next token; nil without targets.
  package let divergence: RatioEstimate?

  /// - Parameters:
  ///   - divergence: Σ over positions of each sentence that has targets, from the first on.
  package init(logP: [Double], logQ: [Double], divergence: [Double], characters: [Int]) {
    precondition(logP.count == logQ.count && logQ.count == characters.count, "one each a sentence")
    let counts = characters.map(Double.init)
    self.logQ = logQ
    loss = RatioEstimate(numerators: logQ.map { -$0 }, denominators: counts)
    entropy = RatioEstimate(numerators: logP.map { -$0 }, denominators: counts)
    excess = RatioEstimate(numerators: zip(logP, logQ).map { $0 - $1 }, denominators: counts)
    self.divergence =
      divergence.isEmpty
      ? nil
      : RatioEstimate(
        numerators: divergence, denominators: Array(counts.prefix(divergence.count)))
  }
}

/// The sessions of all workers of a pool.
///
/// Unchecked because a session is used by one worker at a time, which the compiler does not see.
package struct WorkerSessions: @unchecked Sendable {
  private let sessions: [any LabelSession]

  package init(_ model: any LabelModel, threads: Int, rows: Int, sequences: Int) throws {
    sessions = try (0..<threads).map { _ in
      try model.makeSession(rows: rows, sequences: sequences)
    }
  }

  package subscript(worker: Int) -> any LabelSession { sessions[worker] }
}

/// Generates sentences 0..<count, `batch` side by side on each worker; a worker takes the next one
/// as one of its own ends. Sentence i is the same whoever generates it and beside whom.
package func generateAll(
  _ count: Int, batch: Int, seed: UInt64, variant: Variant, sessions: WorkerSessions,
  limits: GenerationLimits, draw: Draw, pool: WorkerPool
) throws -> [GeneratedSentence] {
  let results = Mutex([GeneratedSentence?](repeating: nil, count: count))
  let upcoming = Atomic<Int>(0)
  let generation = Generation(seed: seed, variant: variant, limits: limits, draw: draw)
  try pool.forEach(0..<pool.threads) { worker, _ in
    try generation.run(
      sessions[worker], batch: batch,
      next: {
        let index = upcoming.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < count ? index : nil
      }, deliver: { index, sentence in results.withLock { $0[index] = sentence } })
  }
  return results.withLock { $0.compactMap { $0 } }
}

/// Which of the sentences are right: complete, and in the language of the grammar.
package func judge(
  _ sentences: [GeneratedSentence], grammar: Grammar, pool: WorkerPool
) -> [Bool] {
  let block = 256
  let blocks = (sentences.count + block - 1) / block
  let results = Mutex([[Bool]](repeating: [], count: blocks))
  pool.forEach(0..<blocks) { _, task in
    var parser = Parser(grammar)
    let part = sentences[task * block..<min(sentences.count, (task + 1) * block)].map {
      $0.ending == .complete && parser.contains($0.symbols)
    }
    results.withLock { $0[task] = part }
  }
  return results.withLock { $0.flatMap { $0 } }
}

/// Scores held-out sentences in parallel over groups.
package func scoreAll(
  _ heldOut: HeldOut, truth: Truth, variant: Variant, sessions: WorkerSessions, pool: WorkerPool
) throws -> HeldOutScores {
  let results = Mutex([GroupScore?](repeating: nil, count: heldOut.groups.count))
  try pool.forEach(0..<heldOut.groups.count) { worker, task in
    var logProbabilities: [Float] = []
    let score = try heldOut.groups[task].score(
      variant: variant, session: sessions[worker], targets: truth.targets,
      logProbabilities: &logProbabilities)
    results.withLock { $0[task] = score }
  }
  let all = results.withLock { $0.compactMap { $0 } }
  return HeldOutScores(
    logP: truth.logP, logQ: all.flatMap(\.logQ), divergence: all.flatMap(\.divergence),
    characters: heldOut.characters)
}
