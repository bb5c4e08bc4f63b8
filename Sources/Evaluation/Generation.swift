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

/// Generates sentences side by side from raw next-token probabilities (no temperature, no
/// truncation).
///
/// Sentence i draws one uniform number a step from the stream (seed, "generate", i), so its numbers
/// do not depend on the other sentences; step t takes label `min {k : Σ_{j≤k} p_j > u}` in id order,
/// sums in Double. For an n-gram tokenizer, tokens are generated until EOS and their symbols strung
/// together, also when a shorter gram is not the last one: membership then decides.
///
/// - Returns: the sentences of `range` in order.
package func generate(
  _ range: Range<Int>, seed: UInt64, variant: Variant, session: any LabelSession,
  limits: GenerationLimits, draw: Draw
) throws -> [GeneratedSentence] {
  let count = range.count
  let stream = RandomStream(seed: seed, name: "generate")
  var streams = range.map { stream.at(index: UInt64($0)) }
  var mappers = [IncrementalMapper](repeating: IncrementalMapper(variant.mapper), count: count)
  var tokens = [UInt32](repeating: UInt32(NGramVocabulary.bos), count: count)
  var sentences = [[UInt8]](repeating: [], count: count)
  var endings = [Ending](repeating: .tooLong, count: count)
  var active = Array(0..<count)
  let grams = (0..<variant.tokens).map { token in
    variant.tokenizer.vocabulary.digits(of: token).map { variant.tokenizer.alphabet.values[$0] }
  }
  let tables = variant.mapper.tables.count
  var rows = [[UInt32]](repeating: [], count: tables)
  var logits = [Float](repeating: 0, count: count * variant.labels)
  var weights = [Double](repeating: 0, count: max(variant.labels, variant.tokens))

  try session.restart(sequences: count)
  var position = 0
  while !active.isEmpty && position < limits.positions {
    for g in 0..<tables { rows[g].removeAll(keepingCapacity: true) }
    for i in active {
      mappers[i].push(tokens[i])
      for g in 0..<tables { rows[g].append(mappers[i].row(of: g)) }
    }
    try session.advance(rows: rows, slots: active, into: &logits)
    var remaining: [Int] = []
    remaining.reserveCapacity(active.count)
    for (k, i) in active.enumerated() {
      let row = logits.span.extracting(k * variant.labels..<(k + 1) * variant.labels)
      let u = streams[i].uniform()
      switch choose(row, u, variant, draw, &weights) {
      case .end: endings[i] = .complete
      case .malformed: endings[i] = .malformed
      case .token(let token):
        tokens[i] = token
        sentences[i].append(contentsOf: grams[Int(token)])
        if sentences[i].count <= limits.symbols { remaining.append(i) }
      }
    }
    active = remaining
    position += 1
  }
  return (0..<count).map { GeneratedSentence(symbols: sentences[$0], ending: endings[$0]) }
}

/// The outcome that the uniform number u picks from one row of logits.
private func choose(
  _ logits: Span<Float>, _ u: Double, _ variant: Variant, _ draw: Draw, _ weights: inout [Double]
) -> Variant.Outcome {
  if draw == .token && variant.isJoint {
    let n = variant.tokens
    var span = weights.mutableSpan
    variant.tokenLogProbabilities(logits, into: &span)
    for k in 0..<n { weights[k] = exp(weights[k]) }
    let token = pick(weights, n, u)
    switch token {
    case NGramVocabulary.bos: return .malformed
    case NGramVocabulary.eos: return .end
    default: return .token(UInt32(token))
    }
  }
  let n = variant.labels
  var top = -Float.infinity
  for k in 0..<n { top = max(top, logits[k]) }
  for k in 0..<n { weights[k] = exp(Double(logits[k]) - Double(top)) }
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
