import Glibc
import NGrams
import Support
import Tokenization

/// How generation of a sentence ended.
package enum Ending: UInt8, Sendable, CaseIterable {
  /// The model said EOS.
  case complete = 0
  /// No EOS within the allowed symbols or positions: counts as wrong.
  case tooLong = 1
  /// The model said BOS: counts as wrong.
  case malformed = 2
}

package struct GeneratedSentence: Sendable, Equatable {
  /// Raw terminal values.
  package let symbols: [UInt8]
  package let ending: Ending

  package init(symbols: [UInt8], ending: Ending) {
    self.symbols = symbols
    self.ending = ending
  }
}

/// What is drawn at each step of a model with a joint n-gram output.
package enum Draw: Sendable {
  /// A label; of an n-gram only the first symbol is kept (the paper's way).
  case label
  /// A token, from the marginal of the first symbol. In exact arithmetic both ways generate the
  /// same distribution of sentences, because each step's label is drawn anew: keeping the first
  /// symbol of a draw from the joint *is* a draw from the marginal.
  case token
}

/// Limits of generation.
package struct GenerationLimits: Sendable, Equatable {
  /// A sentence that grows beyond this many symbols is given up as too long. A grammar's longest
  /// sentence is a natural choice: nothing beyond it can be right.
  package let symbols: Int
  /// Positions of the model's context.
  package let positions: Int

  package init(symbols: Int, positions: Int) {
    self.symbols = symbols
    self.positions = positions
  }
}

/// Generates the sentences of `range`, `batch` side by side; see `Generation`.
///
/// - Parameter batch: nil for all of them.
/// - Returns: the sentences of `range` in order.
package func generate(
  _ range: Range<Int>, batch: Int? = nil, seed: UInt64, variant: Variant,
  session: any LabelSession, limits: GenerationLimits, draw: Draw
) throws -> [GeneratedSentence] {
  var upcoming = range.makeIterator()
  var result = [GeneratedSentence?](repeating: nil, count: range.count)
  let generation = Generation(seed: seed, variant: variant, limits: limits, draw: draw)
  try generation.run(session, batch: batch ?? range.count, next: { upcoming.next() }) {
    result[$0 - range.lowerBound] = $1
  }
  return result.compactMap { $0 }
}

/// Generation of sentences side by side from raw next-token probabilities (no temperature, no
/// truncation).
///
/// Sentence i draws one uniform number a step from the stream (seed, "generate", i), so its numbers
/// do not depend on the other sentences; step t takes label `min {k : Σ_{j≤k} p_j > u}` in id order,
/// sums in Double. For an n-gram tokenizer, tokens are generated until EOS and their symbols strung
/// together, also when a shorter gram is not the last one: membership then decides.
package struct Generation {
  private let stream: RandomStream
  let variant: Variant
  let limits: GenerationLimits
  private let draw: Draw
  /// Symbols of each token.
  private let grams: [[UInt8]]

  package init(seed: UInt64, variant: Variant, limits: GenerationLimits, draw: Draw) {
    stream = RandomStream(seed: seed, name: "generate")
    (self.variant, self.limits, self.draw) = (variant, limits, draw)
    grams = (0..<variant.tokens).map { token in
      variant.tokenizer.vocabulary.digits(of: token).map { variant.tokenizer.alphabet.values[$0] }
    }
  }

  /// A sentence under way.
  struct Live {
    let index: Int
    var stream: RandomStream
    /// Of the tokens that the model has read.
    var mapper: IncrementalMapper
    /// The one that it reads next.
    var token = UInt32(NGramVocabulary.bos)
    var symbols: [UInt8] = []
    /// Tokens that the model has read.
    var positions = 0
    /// How it ended, as long as it has not left the batch.
    var ending: Ending?
    /// Tokens that are proposed behind `token`.
    var drafts: [UInt32] = []
  }

  /// The first states of more sentences, so that `batch` are under way; those that no position is
  /// allowed are delivered.
  func fill(
    _ live: inout [Live], batch: Int, _ fresh: IncrementalMapper, next: () -> Int?,
    deliver: (_ index: Int, GeneratedSentence) -> Void
  ) {
    while live.count < batch, let index = next() {
      if limits.positions < 1 {
        deliver(index, GeneratedSentence(symbols: [], ending: .tooLong))
      } else {
        live.append(Live(index: index, stream: stream.at(index: UInt64(index)), mapper: fresh))
      }
    }
  }

  /// Delivers the sentences that have ended and removes them.
  func leave(
    _ live: inout [Live], deliver: (_ index: Int, GeneratedSentence) -> Void
  ) {
    var kept = 0
    for n in live.indices {
      if let ending = live[n].ending {
        deliver(live[n].index, GeneratedSentence(symbols: live[n].symbols, ending: ending))
      } else {
        if kept < n { live.swapAt(kept, n) }
        kept += 1
      }
    }
    live.removeLast(live.count - kept)
  }

  /// What a uniform number picks from row `row` of log-probabilities.
  func outcome(
    _ logProbabilities: Span<Float>, row: Int, _ u: Double, _ weights: inout [Double]
  ) -> Variant.Outcome {
    choose(
      logProbabilities.extracting(row * variant.labels..<(row + 1) * variant.labels), u, variant,
      draw, &weights)
  }

  /// Generates sentences until `next` has no more, at most `batch` at a time: whenever one ends the
  /// next takes its place.
  ///
  /// - Parameters:
  ///   - next: the number of a sentence to generate.
  ///   - deliver: gets each sentence as it ends.
  package func run(
    _ session: any LabelSession, batch: Int, next: () -> Int?,
    deliver: (_ index: Int, GeneratedSentence) -> Void
  ) throws {
    let fresh = IncrementalMapper(variant.mapper)
    let tables = variant.mapper.tables.count
    var rows = [[UInt32]](repeating: [], count: tables)
    var logProbabilities = [Float](repeating: 0, count: batch * variant.labels)
    var weights = self.weights
    var live: [Live] = []
    var goesOn: [Bool] = []
    live.reserveCapacity(batch)
    try session.restart(sequences: 0)
    while true {
      let before = live.count
      fill(&live, batch: batch, fresh, next: next, deliver: deliver)
      if live.count > before { try session.begin(sequences: live.count - before) }
      if live.isEmpty { return }
      for g in 0..<tables { rows[g].removeAll(keepingCapacity: true) }
      for n in live.indices {
        live[n].mapper.push(live[n].token)
        for g in 0..<tables { rows[g].append(live[n].mapper.row(of: g)) }
      }
      try session.advance(rows: rows, into: &logProbabilities)
      goesOn.removeAll(keepingCapacity: true)
      for n in live.indices {
        let u = live[n].stream.uniform()
        extend(&live[n], by: outcome(logProbabilities.span, row: n, u, &weights))
        goesOn.append(live[n].ending == nil)
      }
      if goesOn.allSatisfy(\.self) { continue }
      try session.retain { goesOn[$0] }
      leave(&live, deliver: deliver)
    }
  }

  /// Room for the probabilities of a row.
  var weights: [Double] { [Double](repeating: 0, count: max(variant.labels, variant.tokens)) }

  /// What an outcome makes of a sentence.
  func extend(_ sentence: inout Live, by outcome: Variant.Outcome) {
    sentence.positions += 1
    switch outcome {
    case .end: sentence.ending = .complete
    case .malformed: sentence.ending = .malformed
    case .token(let token):
      sentence.token = token
      sentence.symbols.append(contentsOf: grams[Int(token)])
      if sentence.symbols.count > limits.symbols || sentence.positions == limits.positions {
        sentence.ending = .tooLong
      }
    }
  }
}

/// The outcome that the uniform number u picks from one row of log-probabilities.
private func choose(
  _ logProbabilities: Span<Float>, _ u: Double, _ variant: Variant, _ draw: Draw,
  _ weights: inout [Double]
) -> Variant.Outcome {
  if draw == .token && variant.isJoint {
    let n = variant.tokens
    var span = weights.mutableSpan
    variant.tokenLogProbabilities(logProbabilities, into: &span)
    for k in 0..<n { weights[k] = exp(weights[k]) }
    let token = pick(weights, n, u)
    switch token {
    case NGramVocabulary.bos: return .malformed
    case NGramVocabulary.eos: return .end
    default: return .token(UInt32(token))
    }
  }
  let n = variant.labels
  for k in 0..<n { weights[k] = exp(Double(logProbabilities[k])) }
  return variant.outcome(ofLabel: pick(weights, n, u))
}

/// The first k with Σ_{j≤k} w_j > u · Σ w; the last positive weight should rounding leave none.
func pick(_ weights: [Double], _ count: Int, _ u: Double) -> Int {
  var total = 0.0
  for k in 0..<count { total += weights[k] }
  let target = u * total
  var sum = 0.0
  var last = 0
  for k in 0..<count where weights[k] > 0 {
    sum += weights[k]
    last = k
    if sum > target { return k }
  }
  return last
}
