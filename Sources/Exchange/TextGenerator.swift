import Evaluation
import Foundation
import Stores
import Support
import Tokenization

/// How the next token is drawn from p, the model's distribution:
///
///     q(v) ∝ p(v)^(1/temperature)   over the `topK` most probable tokens, and of those over the fewest whose
///                                   share of p is `topP` or more
package struct Sampling: Sendable, Equatable {
  /// 0 takes the most probable token, the first of equals.
  package var temperature: Double
  /// 0: all.
  package var topK: Int
  /// 1: all.
  package var topP: Double
  package var seed: UInt64

  package init(temperature: Double = 1, topK: Int = 0, topP: Double = 1, seed: UInt64 = 1) {
    precondition(
      temperature >= 0 && topK >= 0 && topP > 0 && topP <= 1, "numbers that can be drawn by")
    (self.temperature, self.topK, self.topP, self.seed) = (temperature, topK, topP, seed)
  }

  /// The token that a uniform number u of [0, 1) stands for.
  ///
  /// - Parameter logProbabilities: (V) in nats.
  package func draw(_ logProbabilities: UnsafeBufferPointer<Float>, _ u: Double) -> Int {
    var order = Array(logProbabilities.indices)
    var largest = 0
    for v in order where logProbabilities[v] > logProbabilities[largest] { largest = v }
    if temperature == 0 { return largest }
    if topK > 0 || topP < 1 {
      // Equals in the order of their ids, so that the cut is one of the distribution alone.
      order.sort {
        (logProbabilities[$1], $0) < (logProbabilities[$0], $1)
      }
      if topK > 0 { order = Array(order.prefix(topK)) }
      if topP < 1 {
        let total = order.reduce(0.0) { $0 + exp(Double(logProbabilities[$1])) }
        var (share, count) = (0.0, 0)
        while count < order.count && share < topP * total {
          share += exp(Double(logProbabilities[order[count]]))
          count += 1
        }
        order = Array(order.prefix(max(1, count)))
      }
    }
    let peak = Double(logProbabilities[largest])
    let weights = order.map { exp((Double(logProbabilities[$0]) - peak) / temperature) }
    var left = u * weights.reduce(0, +)
    for (v, weight) in zip(order, weights) {
      left -= weight
      if left < 0 { return v }
    }
    return order.indices.last { weights[$0] > 0 }.map { order[$0] } ?? largest
  }
}

/// Continues texts by a finished run, whatever its input. Rows of f-grams come from a store, or from the f-gram
/// model as they are needed.
package struct TextGenerator {
  package struct Continuation: Sendable, Equatable {
    package let prompt: Int
    package let sample: Int
    package let tokens: [UInt32]
    /// Σ log p of the tokens, and of the end where it was drawn, in nats.
    package let logProbability: Double
    /// Whether the document ended there.
    package let isEnded: Bool
  }

  private let run: FinishedRun
  private let bytePairs: BytePairModel
  private let encoder: BytePairEncoder
  private let model: EngineModel
  private let store: FGramStore?

  /// - Parameter store: of the run's f-grams, and where its rows are read from.
  /// - Throws: `UserError` for a run over a grammar's symbols, and for a store of another run.
  package init(
    _ run: FinishedRun, store: (directory: String, placement: FGramStore.Placement)? = nil
  ) throws {
    guard let bytePairs = run.bytePairs else {
      throw UserError(
        run.index.directory, expected: "a run over text", found: "one over a grammar's symbols",
        remedy: "ott-evaluate generates sentences of grammars.")
    }
    (self.run, self.bytePairs) = (run, bytePairs)
    encoder = BytePairEncoder(bytePairs, findsSpecialTokens: false)
    try run.index.verify(run.snapshot)
    model = EngineModel(run.model)
    try model.load(run.index.path(of: run.snapshot))
    guard let store else {
      self.store = nil
      return
    }
    guard run.fGrams != nil else {
      throw UserError(
        "--store", expected: "no store: the run has no f-grams", found: store.directory)
    }
    guard run.snapshot.step == run.index.steps else {
      throw UserError(
        "--store", expected: "the last snapshot: a store is of its weights",
        found: "step \(run.snapshot.step)")
    }
    self.store = try FGramStore(
      directory: store.directory, placement: store.placement, model: run.index.id)
  }

  /// The tokens of a prompt.
  ///
  /// - Parameter count: tokens that are to follow.
  /// - Throws: `UserError` for a text without a token, and for one that leaves no room.
  package func encode(_ prompt: String, leaving count: Int) throws -> [UInt32] {
    let tokens = encoder.encode(prompt)
    let most = run.model.context + 1 - count
    guard !tokens.isEmpty, tokens.count <= most else {
      throw UserError(
        "prompt '\(prompt.prefix(40))'",
        expected: "1 to \(max(0, most)) tokens, so that \(count) more fit the context of "
          + "\(run.model.context)",
        found: "\(tokens.count)",
        remedy: tokens.isEmpty ? "Give a text to begin with." : "Ask for fewer tokens.")
    }
    return tokens
  }

  /// Bytes of tokens.
  package func decode(_ tokens: [UInt32]) -> [UInt8] { bytePairs.decode(tokens) }

  /// `samples` continuations of each prompt, side by side, of at most `count` tokens. Each has draws of its own,
  /// so that it does not depend on the others.
  package func continuations(
    of prompts: [[UInt32]], samples: Int, count: Int, _ sampling: Sampling
  ) throws -> [Continuation] {
    struct Live {
      let number: Int
      var stream: RandomStream
      var tokens: [UInt32] = []
      var logProbability = 0.0
      var read = 0
      var isEnded = false
    }
    let draws = RandomStream(seed: sampling.seed, name: "continue")
    var live = (0..<prompts.count * samples).map {
      Live(number: $0, stream: draws.at(index: UInt64($0)))
    }
    var done = [Continuation?](repeating: nil, count: live.count)
    let session = try makeSession(sequences: live.count)
    let V = run.model.labels
    while !live.isEmpty {
      try Interruption.check()
      let tokens = live.map { one in
        let prompt = prompts[one.number / samples]
        return one.read < prompt.count ? prompt[one.read] : one.tokens[one.read - prompt.count]
      }
      try session.advance(tokens) { logProbabilities in
        for i in live.indices {
          live[i].read += 1
          guard live[i].read >= prompts[live[i].number / samples].count else { continue }
          let row = UnsafeBufferPointer(rebasing: logProbabilities[i * V..<(i + 1) * V])
          let next = sampling.draw(row, live[i].stream.uniform())
          live[i].logProbability += Double(row[next])
          live[i].isEnded = run.ends.contains(next)
          if !live[i].isEnded { live[i].tokens.append(UInt32(next)) }
        }
      }
      let goesOn = live.map { !$0.isEnded && $0.tokens.count < count }
      for (one, goes) in zip(live, goesOn) where !goes {
        done[one.number] = Continuation(
          prompt: one.number / samples, sample: one.number % samples, tokens: one.tokens,
          logProbability: one.logProbability, isEnded: one.isEnded)
      }
      try session.retain { goesOn[$0] }
      live = zip(live, goesOn).filter(\.1).map(\.0)
    }
    return done.compactMap(\.self)
  }

  // MARK: - Sessions

  private func makeSession(sequences: Int) throws -> any TokenSession {
    guard let set = run.fGrams?.set else {
      return try LabelTokenSession(model, run.rows, sequences: sequences)
    }
    let rows: any FGramRows =
      store.map(StoredFGramRows.init)
      ?? ComputedFGramRows(model, set: set, capacity: sequences)
    let continuation = FGramContinuation(model, rows: rows, sequences: sequences)
    continuation.restart(sequences: sequences)
    return continuation
  }
}
