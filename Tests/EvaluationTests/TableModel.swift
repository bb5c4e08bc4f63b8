import Evaluation
import Support
import Tokenization

/// A model whose probabilities are known: the softmax of the sum of one row of each input table.
final class TableModel: LabelModel, LabelSession {
  /// Per table (rows, labels).
  let weights: [[Float]]
  let labels: Int
  let context: Int
  /// Live sequences of every `advance` since `restart`.
  var batchSizes: [Int] = []
  private var live = 0

  var tables: Int { weights.count }

  init(weights: [[Float]], labels: Int, context: Int = 64) {
    self.weights = weights
    self.labels = labels
    self.context = context
  }

  /// Random logits of the given spread, with BOS made impossible unless asked for.
  convenience init(
    _ variant: Variant, seed: UInt64, spread: Float = 1, allowsBOS: Bool = false, context: Int = 64
  ) {
    var stream = RandomStream(seed: seed, name: "weights")
    let labels = variant.labels
    let weights = variant.mapper.tables.map { table in
      (0..<table.rows * labels).map { index in
        let x = Float(stream.normal()) * spread
        return index % labels == 0 && !allowsBOS ? -Float.infinity : x
      }
    }
    self.init(weights: weights, labels: labels, context: context)
  }

  func makeSession(rows: Int, sequences: Int) -> any LabelSession {
    TableModel(weights: weights, labels: labels, context: context)
  }

  func score(rows: [[UInt32]], offsets: [Int], into logProbabilities: inout [Float]) {
    for n in 0..<rows[0].count { write(rows.map { $0[n] }, at: n, into: &logProbabilities) }
  }

  func restart(sequences: Int) {
    batchSizes = []
    live = sequences
  }

  func begin(sequences: Int) { live += sequences }

  func retain(_ isLive: (Int) -> Bool) { live = (0..<live).count(where: isLive) }

  func advance(rows: [[UInt32]], into logProbabilities: inout [Float]) {
    batchSizes.append(live)
    for n in 0..<live { write(rows.map { $0[n] }, at: n, into: &logProbabilities) }
  }

  private func write(_ chosen: [UInt32], at n: Int, into row: inout [Float]) {
    for (k, p) in probabilities(chosen.map(Int.init)).enumerated() {
      row[n * labels + k] = Float(logarithm(p))
    }
  }

  /// Label probabilities after the given rows, the slow way.
  func probabilities(_ chosen: [Int]) -> [Double] {
    let logits = (0..<labels).map { k in
      chosen.enumerated().reduce(0.0) { $0 + Double(weights[$1.offset][$1.element * labels + k]) }
    }
    let exps = logits.map { exponential($0) }
    let sum = exps.reduce(0, +)
    return exps.map { $0 / sum }
  }
}

/// The probabilities of everything a table model can generate over a small alphabet, by recursion
/// over tokens and the definition of rows, labels and endings.
struct BruteForce {
  let variant: Variant
  let model: TableModel
  let limits: GenerationLimits

  /// Probability of each outcome, keyed by "symbols/ending".
  func outcomes() -> [String: Double] {
    var table: [String: Double] = [:]
    expand(tokens: [0], symbols: [], probability: 1, into: &table)
    return table
  }

  static func key(_ symbols: [UInt8], _ ending: Ending) -> String { "\(symbols)/\(ending)" }

  /// Next-token probabilities after a prefix of tokens: explicit sums over labels.
  func nextTokens(_ tokens: [UInt32]) -> [Double] {
    let padded = tokens + [1]
    let chosen = variant.mapper.tables.indices.map { g in
      var rows = [UInt32](repeating: 0, count: tokens.count)
      var span = rows.mutableSpan
      variant.mapper.mapRows(table: g, tokens: padded.span, into: &span)
      return Int(rows[tokens.count - 1])
    }
    let labels = model.probabilities(chosen)
    guard let joint = variant.mapper.joint, variant.isJoint else { return labels }
    var result = [Double](repeating: 0, count: variant.tokens)
    for (label, p) in labels.enumerated() {
      switch joint.digits(of: label).first {
      case nil: result[label] += p
      case let digit?: result[2 + digit] += p
      }
    }
    return result
  }

  private func expand(
    tokens: [UInt32], symbols: [UInt8], probability: Double, into table: inout [String: Double]
  ) {
    if symbols.count > limits.symbols || tokens.count > limits.positions {
      table[Self.key(symbols, .tooLong), default: 0] += probability
      return
    }
    for (token, p) in nextTokens(tokens).enumerated() where p > 0 {
      switch token {
      case 0: table[Self.key(symbols, .malformed), default: 0] += probability * p
      case 1: table[Self.key(symbols, .complete), default: 0] += probability * p
      default:
        let gram = variant.tokenizer.vocabulary.digits(of: token)
          .map { variant.tokenizer.alphabet.values[$0] }
        expand(
          tokens: tokens + [UInt32(token)], symbols: symbols + gram, probability: probability * p,
          into: &table)
      }
    }
  }
}
