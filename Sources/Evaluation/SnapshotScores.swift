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
/// as one of its own ends. Sentence i is the same whoever generates it and beside whom; of R ranks that is
/// rank i mod R.
///
/// - Returns: the sentences on rank 0, nil on the others.
package func generateAll(
  _ count: Int, batch: Int, seed: UInt64, variant: Variant, sessions: WorkerSessions,
  limits: GenerationLimits, draw: Draw, pool: WorkerPool,
  ranks: any Communicator = LocalCommunicator()
) throws -> [GeneratedSentence]? {
  let results = Mutex([GeneratedSentence?](repeating: nil, count: count))
  let upcoming = Atomic<Int>(0)
  let generation = Generation(seed: seed, variant: variant, limits: limits, draw: draw)
  try pool.forEach(0..<pool.threads) { worker, _ in
    try generation.run(
      sessions[worker], batch: batch,
      next: {
        let own = upcoming.wrappingAdd(1, ordering: .relaxed).oldValue
        let index = own * ranks.size + ranks.rank
        return index < count ? index : nil
      }, deliver: { index, sentence in results.withLock { $0[index] = sentence } })
  }
  let own = results.withLock { $0.compactMap { $0 } }
  if ranks.size == 1 { return own }
  guard var dealt = try ranks.gatherDealt(own.flatMap(\.bytes)) else { return nil }
  return (0..<count).map { GeneratedSentence(number: $0, of: &dealt) }
}

/// As ranks send them: the ending, the number of symbols in four bytes, the symbols.
extension GeneratedSentence {
  fileprivate var bytes: [UInt8] {
    let count = symbols.count
    return [ending.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
      + symbols
  }

  fileprivate init(number: Int, of dealt: inout DealtItems<UInt8>) {
    let header = Array(dealt.take(5, of: number))
    let count = (0..<4).reduce(0) { $0 | Int(header[1 + $1]) << (8 * $1) }
    guard let ending = Ending(rawValue: header[0]) else {
      preconditionFailure("a rank sends sentences with endings")
    }
    self.init(symbols: Array(dealt.take(count, of: number)), ending: ending)
  }
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

/// Scores held-out sentences in parallel over groups; of R ranks rank i mod R scores group i.
///
/// - Returns: the scores on rank 0, nil on the others.
package func scoreAll(
  _ heldOut: HeldOut, truth: Truth, variant: Variant, sessions: WorkerSessions, pool: WorkerPool,
  ranks: any Communicator = LocalCommunicator()
) throws -> HeldOutScores? {
  let own = Array(ranks.dealt(heldOut.groups.count))
  let results = Mutex([GroupScore?](repeating: nil, count: own.count))
  try pool.forEach(0..<own.count) { worker, task in
    var logProbabilities: [Float] = []
    let score = try heldOut.groups[own[task]].score(
      variant: variant, session: sessions[worker], targets: truth.targets,
      logProbabilities: &logProbabilities)
    results.withLock { $0[task] = score }
  }
  // Both counts, then the numbers.
  let sent = results.withLock { $0.compactMap { $0 } }.flatMap { score in
    [Double(score.logQ.count), Double(score.divergence.count)] + score.logQ + score.divergence
  }
  guard var dealt = try ranks.gatherDealt(sent) else { return nil }
  let all = heldOut.groups.indices.map { group -> GroupScore in
    let counts = dealt.take(2, of: group).map { Int($0) }
    return GroupScore(
      logQ: Array(dealt.take(counts[0], of: group)),
      divergence: Array(dealt.take(counts[1], of: group)))
  }
  return HeldOutScores(
    logP: truth.logP, logQ: all.flatMap(\.logQ), divergence: all.flatMap(\.divergence),
    characters: heldOut.characters)
}
