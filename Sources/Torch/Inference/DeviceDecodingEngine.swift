import Engine
import Support

/// What attention of new rows reads besides them.
struct DecodedRows {
  /// By number: keys and values, (sequences · context, C) each.
  let caches: [(keys: DeviceTensor, values: DeviceTensor)]
  /// (n): the place in the caches of each row's sequence; the row of the caches that it writes.
  let slots, written: DeviceTensor
  /// Positions of the longest sequence, the new one included.
  let longest: Int
  /// (n, 1, longest): −∞ behind a row's own position, else 0.
  let behind: DeviceTensor

  init(
    _ caches: [(keys: DeviceTensor, values: DeviceTensor)], slots: [Int], positions: [Int],
    context: Int, _ library: TorchLibrary
  ) throws {
    self.caches = caches
    let (n, T) = (slots.count, (positions.max() ?? 0) + 1)
    longest = T
    self.slots = try .copy(ofNumbers: slots.map(Int64.init), [n], library)
    written = try .copy(
      ofNumbers: zip(slots, positions).map { Int64($0 * context + $1) }, [n], library)
    var values = [Float](repeating: 0, count: n * T)
    for (row, position) in positions.enumerated() {
      for later in position + 1..<max(T, position + 1) { values[row * T + later] = -.infinity }
    }
    behind = try .copy(of: values, [n, 1, T], library)
  }
}

/// Token by token continuation of many sequences by libtorch, with cached keys and values.
///
/// `reset`, then `step` with the inputs of every live sequence, then `retain` those that go on, and `begin`
/// others in their places. The bits of a sequence depend on which others are live.
package final class DeviceDecodingEngine {
  /// Sequences that can live at a time.
  package let capacity: Int
  /// Positions of a sequence.
  package let context: Int
  private let program: TorchProgram
  private let weights: DeviceWeights
  private let caches: [(keys: DeviceTensor, values: DeviceTensor)]
  private var sequences: [(slot: Int, position: Int)] = []
  /// Places in the caches that no live sequence has, the next one last.
  private var free: [Int] = []

  /// - Parameter plan: traced in decoding mode, its row limit the capacity.
  /// - Throws: `UserError` for a model that libtorch is not told how to compute, or caches that the device
  ///   has no room for.
  package init(_ plan: Plan, _ weights: DeviceWeights) throws {
    guard case .decoding(let context) = plan.mode else {
      preconditionFailure("decoding needs a decoding plan")
    }
    precondition(plan.layout.slots == weights.layout.slots, "the weights are another model's")
    program = try TorchProgram(plan, moments: nil)
    self.weights = weights
    self.context = context
    capacity = plan.limits.rows
    let (library, capacity) = (weights.library, capacity)
    // Positions that are not written yet are multiplied by 0: they must be numbers.
    caches = try plan.operations.compactMap { $0 as? CachedAttention }.map {
      let shape = [capacity * context, $0.output.columns]
      return (
        try DeviceTensor.zeros(shape, .float32, library),
        try DeviceTensor.zeros(shape, .float32, library)
      )
    }
    reset(sequences: 0)
  }

  /// Live sequences, in the order of the rows.
  package var live: Int { sequences.count }

  /// Forgets all sequences and starts `sequences` empty ones, at most `capacity`.
  package func reset(sequences count: Int) {
    sequences.removeAll(keepingCapacity: true)
    free = (0..<capacity).reversed()
    begin(sequences: count)
  }

  /// Starts `sequences` more, empty, behind the live ones; at most `capacity` live at a time.
  package func begin(sequences count: Int) {
    precondition(count <= free.count, "\(count) more than \(live) sequences for \(capacity)")
    for _ in 0..<count { sequences.append((free.removeLast(), 0)) }
  }

  /// Keeps the live sequences for which `isLive(row)` holds; rows close up, in order.
  package func retain(_ isLive: (_ row: Int) -> Bool) {
    var kept: [(slot: Int, position: Int)] = []
    for (row, sequence) in sequences.enumerated() {
      if isLive(row) { kept.append(sequence) } else { free.append(sequence.slot) }
    }
    sequences = kept
  }

  /// Feeds one row to every live sequence; the log-probabilities (live, V) in nats.
  ///
  /// - Parameter inputs: (live, tables) row ids of the input tables.
  /// - Precondition: no live sequence has filled its context.
  package func step(inputs: [Int32], tables: Int) throws -> [Float] {
    precondition(inputs.count == live * tables, "\(inputs.count) inputs for \(live) sequences")
    if sequences.isEmpty { return [] }
    let library = weights.library
    let positions = sequences.map(\.position)
    let batch = try DeviceBatch(inputs: inputs, tables: tables, positions: positions, library)
    weights.tables?.stage(batch.positions)
    let rows = try DecodedRows(
      caches, slots: sequences.map(\.slot), positions: positions, context: context, library)
    let result = try DeviceRun(
      program.plan, library, batch, weights: weights.parameters, tables: weights.tables,
      decoding: rows, givesAllLabels: true
    ).score(program).floats()
    for row in sequences.indices { sequences[row].position += 1 }
    return result
  }
}
