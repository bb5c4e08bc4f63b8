import Kernels

/// Continuation of many sequences in which further heads propose tokens and one forward pass judges them
/// all: speculative decoding by the model itself.
///
/// In turns: `verify` feeds each live sequence the token that is certain and those proposed behind it, and
/// lends the log-probabilities behind each; `accept` keeps the rows up to the last token that was right;
/// `draft` asks one further head after the other what comes then. A row's log-probabilities have the bits
/// that `DecodingEngine` computes for it one row at a time, since a row's bits depend on the rows before
/// it in its sequence alone. So what is generated does not depend on what was proposed; only the time
/// does.
///
/// Source: Gloeckle et al. 2024, §3; Stern et al. 2018, "Blockwise parallel decoding".
package final class DraftingEngine {
  /// Sequences that can live at a time, and positions of each.
  package let capacity: Int
  package let context: Int
  /// Output classes, V.
  package let labels: Int
  /// Further heads: tokens that can be proposed.
  package var drafts: Int { heads.count }
  /// Whether a head reads the tokens that were proposed before it.
  package let isChain: Bool

  private let columns: Int
  private let main: DecodingStage
  private let embedding: DecodingStage?
  private let heads: [DecodingStage]
  /// What each head reads of each position, (heads, capacity, context, C): in chains the trunk's rows,
  /// then what each head passes on; otherwise the trunk's rows alone.
  private let carried: FloatBuffer
  private var sequences: [Sequence] = []
  private var freeSlots: [Int32] = []
  /// Rows that `verify` fed to each live sequence and `accept` has not judged.
  private var waiting: [Int] = []
  /// Row ids of a row.
  private var tables = 0
  private var rows = DecodingStage.Rows()
  private var logProbabilities: [Float] = []
  private var taken: [Float] = []

  /// A live sequence.
  private struct Sequence {
    let slot: Int32
    /// Rows that were accepted.
    var length = 0
    /// (rows fed or proposed, tables): row ids.
    var inputs: [Int32] = []
    /// By head: positions whose rows are those of accepted tokens.
    var settled: [Int]
  }

  /// - Parameters:
  ///   - main: leaves the rows that the first head reads, and has the head of the model.
  ///   - embedding: leaves the rows of the input, where the heads are a chain.
  ///   - heads: each reads lent rows, in a chain also embeddings, and there leaves the next one's rows.
  ///   - columns: C.
  package init(
    main: Plan, embedding: Plan?, heads: [Plan], parameters: ParameterStore, labels: Int,
    columns: Int, attentionHeads: Int, capacity: Int
  ) {
    guard case .decoding(let context) = main.mode else {
      preconditionFailure("decoding needs a decoding plan")
    }
    func stage(_ plan: Plan) -> DecodingStage {
      DecodingStage(
        plan, parameters: parameters, slots: capacity, heads: attentionHeads, columns: columns)
    }
    (self.context, self.capacity, self.labels, self.columns) = (context, capacity, labels, columns)
    isChain = embedding != nil
    self.main = stage(main)
    self.embedding = embedding.map(stage)
    self.heads = heads.map(stage)
    carried = FloatBuffer(
      count: (embedding == nil ? 1 : heads.count) * capacity * context * columns)
    freeSlots = (0..<Int32(capacity)).reversed()
  }

  /// Live sequences, in the order in which they began.
  package var live: Int { sequences.count }

  /// Forgets all sequences.
  package func reset() {
    sequences.removeAll(keepingCapacity: true)
    waiting.removeAll(keepingCapacity: true)
    freeSlots = (0..<Int32(capacity)).reversed()
  }

  /// Starts `count` more, empty, behind the live ones; at most `capacity` live at a time.
  package func begin(sequences count: Int) {
    precondition(count <= freeSlots.count, "\(count) more than \(live) of \(capacity) sequences")
    for _ in 0..<count {
      sequences.append(
        Sequence(slot: freeSlots.removeLast(), settled: Array(repeating: 0, count: drafts)))
    }
  }

  /// Keeps the live sequences for which `isLive(row)` holds, in order.
  package func retain(_ isLive: (_ row: Int) -> Bool) {
    let goesOn = sequences.indices.map(isLive)
    for (row, sequence) in sequences.enumerated() where !goesOn[row] {
      freeSlots.append(sequence.slot)
    }
    sequences = sequences.indices.filter { goesOn[$0] }.map { sequences[$0] }
  }

  // MARK: - Verify

  /// Feeds `counts[n]` rows to live sequence n, at least one, and lends the log-probabilities (Σ counts, V)
  /// in nats.
  ///
  /// - Parameter inputs: (Σ counts, G) row ids of the input tables.
  /// - Precondition: `accept` has judged the rows before, and the rows fit the context.
  package func verify<R>(
    counts: [Int], inputs: [Int32], tables: Int, _ body: (UnsafeBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    let total = counts.reduce(0, +)
    precondition(
      counts.count == live && waiting.isEmpty && inputs.count == total * tables,
      "\(inputs.count) inputs for \(counts) rows of \(live) sequences")
    rows.removeAll()
    rows.inputs = inputs
    rows.tables = tables
    var first = 0
    for (n, count) in counts.enumerated() {
      let length = sequences[n].length
      precondition(count >= 1 && length + count <= context, "\(count) rows behind \(length)")
      for position in length..<length + count {
        rows.slots.append(sequences[n].slot)
        rows.positions.append(Int32(position))
      }
      sequences[n].inputs.removeLast(sequences[n].inputs.count - length * tables)
      sequences[n].inputs += inputs[first * tables..<(first + count) * tables]
      first += count
    }
    waiting = counts
    fit(&logProbabilities, total * labels)
    fit(&taken, total * columns)
    main.run(rows, taken: &taken, logProbabilities: &logProbabilities)
    store(taken, forHead: 0)
    return try logProbabilities.withUnsafeBufferPointer(body)
  }

  /// Keeps the first `counts[n]` rows of those that sequence n was fed, at least one.
  package func accept(_ counts: [Int]) {
    precondition(
      counts.count == waiting.count && zip(counts, waiting).allSatisfy { $0 >= 1 && $0 <= $1 },
      "accepted \(counts) of \(waiting) rows")
    for (n, count) in counts.enumerated() { sequences[n].length += count }
    waiting.removeAll(keepingCapacity: true)
  }

  // MARK: - Draft

  /// Asks further head number `head`, counted from 0, and lends its log-probabilities (sequences, V): of
  /// the token head + 2 ahead of the last accepted row.
  ///
  /// - Parameters:
  ///   - sequences: live ones, ascending.
  ///   - inputs: (sequences, G), in chains: row ids of the token head + 1 ahead, which was chosen or
  ///     proposed last. Heads 0 to head − 1 were asked before, of these sequences at least.
  package func draft<R>(
    head: Int, of asked: [Int], inputs: [Int32] = [], tables: Int,
    _ body: (UnsafeBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    if isChain { appendInputs(inputs, of: asked, ahead: head + 1, tables: tables) }
    let stage = heads[head]
    var result = [Float](repeating: 0, count: asked.count * labels)
    var ends: [(row: Int, place: Int)] = []
    rows.removeAll()
    rows.tables = 0
    func run() {
      if rows.slots.isEmpty { return }
      compute(stage, head)
      for (row, place) in ends {
        for v in 0..<labels { result[place * labels + v] = logProbabilities[row * labels + v] }
      }
      ends.removeAll(keepingCapacity: true)
      rows.removeAll()
    }
    for (place, n) in asked.enumerated() {
      let length = sequences[n].length
      precondition(length > 0, "a draft before the first row")
      let from = stage.hasCaches ? sequences[n].settled[head] : length - 1
      for position in min(from, length - 1)..<length {
        if rows.slots.count == stage.rows { run() }
        rows.slots.append(sequences[n].slot)
        rows.positions.append(Int32(position))
      }
      ends.append((rows.slots.count - 1, place))
      // Behind these a row of a chain stands on a proposed token.
      sequences[n].settled[head] = isChain ? max(0, length - head) : length
    }
    run()
    return try result.withUnsafeBufferPointer(body)
  }

  /// Runs a head on `rows`.
  private func compute(_ stage: DecodingStage, _ head: Int) {
    let count = rows.slots.count
    fit(&logProbabilities, count * labels)
    fit(&taken, isChain ? count * columns : 0)
    var lent = [Float](repeating: 0, count: count * columns)
    load(&lent, ofHead: isChain ? head : 0)
    let embeddings = isChain ? embeddings(ahead: head + 1) : []
    stage.run(
      rows, lent: (lent, embeddings), taken: &taken, logProbabilities: &logProbabilities)
    if isChain && head + 1 < drafts { store(taken, forHead: head + 1) }
  }

  /// The input's rows of the tokens `distance` ahead of `rows`.
  private func embeddings(ahead distance: Int) -> [Float] {
    guard let embedding else { return [] }
    var ahead = DecodingStage.Rows()
    ahead.slots = rows.slots
    let bySlot = Dictionary(uniqueKeysWithValues: sequences.enumerated().map { ($1.slot, $0) })
    for (slot, position) in zip(rows.slots, rows.positions) {
      guard let n = bySlot[slot] else { preconditionFailure("slot \(slot) has no sequence") }
      let place = Int(position) + distance
      ahead.positions.append(Int32(place))
      ahead.tables = tables
      ahead.inputs += sequences[n].inputs[place * tables..<(place + 1) * tables]
    }
    var result = [Float](repeating: 0, count: rows.slots.count * columns)
    var none: [Float] = []
    embedding.run(ahead, taken: &result, logProbabilities: &none)
    return result
  }

  /// Notes the row ids of the tokens `distance` ahead of the last accepted rows.
  private func appendInputs(_ inputs: [Int32], of asked: [Int], ahead distance: Int, tables: Int) {
    precondition(inputs.count == asked.count * tables, "\(inputs.count) inputs for \(asked)")
    self.tables = tables
    for (place, n) in asked.enumerated() {
      let start = (sequences[n].length - 1 + distance) * tables
      precondition(
        start <= sequences[n].inputs.count && start / tables < context,
        "a draft \(distance) ahead of \(sequences[n].length) rows")
      sequences[n].inputs.removeLast(sequences[n].inputs.count - start)
      sequences[n].inputs += inputs[place * tables..<(place + 1) * tables]
    }
  }

  // MARK: - Carried rows

  /// Where what `head` reads of a row lies.
  private func place(_ row: Int, _ head: Int) -> UnsafeMutablePointer<Float> {
    let sequence = head * capacity + Int(rows.slots[row])
    return carried.base + (sequence * context + Int(rows.positions[row])) * columns
  }

  private func store(_ values: [Float], forHead head: Int) {
    for row in rows.slots.indices {
      let to = place(row, head)
      for c in 0..<columns { to[c] = values[row * columns + c] }
    }
  }

  private func load(_ values: inout [Float], ofHead head: Int) {
    for row in rows.slots.indices {
      let from = place(row, head)
      for c in 0..<columns { values[row * columns + c] = from[c] }
    }
  }

  private func fit(_ array: inout [Float], _ count: Int) {
    if array.count > count { array.removeLast(array.count - count) }
    if array.count < count { array += repeatElement(0, count: count - array.count) }
  }
}
