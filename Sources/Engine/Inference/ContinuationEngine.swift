import Kernels

/// Log-probabilities of continuations: several sequences that begin with the same rows, which run once.
///
/// The rows of a beginning run without a head and stay in the caches; then each continuation runs
/// behind them, in the place of the one before: a row reads only what stands before it. A head is
/// computed for the rows that are scored alone. Since a row's bits depend on the rows before it in its
/// sequence alone, they are those of sequences that run one by one, whichever are asked together.
package final class ContinuationEngine {
  /// Continuations of one beginning.
  package struct Request: Sendable {
    /// (rows, tables): row ids of the rows that all continuations have in front; may be empty.
    package var beginning: [Int32]
    package var continuations: [Continuation]

    package init(beginning: [Int32], continuations: [Continuation]) {
      self.beginning = beginning
      self.continuations = continuations
    }
  }

  /// Rows behind the beginning, each with the label that is scored.
  package struct Continuation: Sendable {
    /// (rows, tables).
    package var inputs: [Int32]
    /// (rows).
    package var labels: [Int32]

    package init(inputs: [Int32], labels: [Int32]) {
      self.inputs = inputs
      self.labels = labels
    }
  }

  /// Requests that are answered at a time.
  package let capacity: Int
  /// Positions of a sequence.
  package let context: Int
  /// Row ids of a row.
  package let tables: Int
  /// Rows that have run so far.
  package private(set) var computedRows = 0
  private let trunk: DecodingStage
  private let scoring: DecodingStage
  private var rows = DecodingStage.Rows()
  private var labels: [Int32] = []
  /// The request that each of `rows` belongs to.
  private var owners: [Int] = []
  private var results: [Float] = []
  private var none: [Float] = []

  /// - Parameters:
  ///   - trunk: the model without a head, traced in decoding mode.
  ///   - scoring: the model with its head, of the same context.
  package init(
    trunk: Plan, scoring: Plan, parameters: ParameterStore, tables: Int, columns: Int,
    attentionHeads: Int, capacity: Int
  ) {
    guard case .decoding(let context) = scoring.mode else {
      preconditionFailure("continuations need a decoding plan")
    }
    (self.context, self.tables, self.capacity) = (context, tables, capacity)
    self.trunk = DecodingStage(
      trunk, parameters: parameters, slots: capacity, heads: attentionHeads, columns: columns)
    self.scoring = DecodingStage(
      scoring, parameters: parameters, slots: capacity, heads: attentionHeads, columns: columns,
      sharingCachesOf: self.trunk)
    rows.tables = tables
  }

  /// Σ log p of the labels of every continuation of every request, in nats, rows in order in Double.
  ///
  /// - Precondition: at most `capacity` requests; a beginning and a continuation fit the context.
  package func score(_ requests: [Request]) -> [[Double]] {
    precondition(requests.count <= capacity, "\(requests.count) requests for \(capacity)")
    for (slot, request) in requests.enumerated() {
      append(request.beginning, to: trunk, slot: slot, from: 0) { runBeginnings() }
    }
    runBeginnings()
    var sums = requests.map { [Double](repeating: 0, count: $0.continuations.count) }
    let most = requests.reduce(0) { max($0, $1.continuations.count) }
    for number in 0..<most {
      for (slot, request) in requests.enumerated() where number < request.continuations.count {
        let continuation = request.continuations[number]
        precondition(
          continuation.inputs.count == continuation.labels.count * tables,
          "\(continuation.inputs.count) row ids for \(continuation.labels.count) rows of \(tables)")
        var next = 0
        append(
          continuation.inputs, to: scoring, slot: slot, from: request.beginning.count / tables
        ) {
          runContinuations(number, &sums)
        } each: {
          labels.append(continuation.labels[next])
          owners.append(slot)
          next += 1
        }
      }
      runContinuations(number, &sums)
    }
    return sums
  }

  /// Appends rows of a sequence; `run` makes room where a stage's are full.
  private func append(
    _ inputs: [Int32], to stage: DecodingStage, slot: Int, from first: Int,
    whenFull run: () -> Void, each: () -> Void = {}
  ) {
    let count = inputs.count / tables
    precondition(
      count * tables == inputs.count && first + count <= context,
      "\(inputs.count) row ids from row \(first) of \(context)")
    for row in 0..<count {
      if rows.slots.count == stage.rows { run() }
      rows.slots.append(Int32(slot))
      rows.positions.append(Int32(first + row))
      rows.inputs += inputs[row * tables..<(row + 1) * tables]
      each()
    }
  }

  private func runBeginnings() {
    if rows.slots.isEmpty { return }
    trunk.run(rows, labels: [], labelLogProbabilities: &none)
    computedRows += rows.slots.count
    rows.removeAll()
  }

  /// Adds what the rows that wait are worth to the sums of continuation `number`.
  private func runContinuations(_ number: Int, _ sums: inout [[Double]]) {
    if rows.slots.isEmpty { return }
    let count = rows.slots.count
    while results.count < count { results.append(0) }
    if results.count > count { results.removeLast(results.count - count) }
    scoring.run(rows, labels: labels, labelLogProbabilities: &results)
    for (owner, value) in zip(owners, results) { sums[owner][number] += Double(value) }
    computedRows += count
    rows.removeAll()
    labels.removeAll(keepingCapacity: true)
    owners.removeAll(keepingCapacity: true)
  }
}
