/// Token by token continuation of many sequences with cached attention.
///
/// `reset`, then `step` with the inputs of every live sequence, then `retain` those that go on, and
/// `begin` others in their places. A sequence's bits do not depend on which others are live, nor on
/// its row or its place in the caches.
package final class DecodingEngine {
  package let plan: Plan
  package let parameters: ParameterStore
  /// Sequences that can live at a time.
  package let capacity: Int
  /// Positions of a sequence.
  package let context: Int
  /// Output classes, V.
  package let labels: Int
  private let executor: Executor
  private let caches: FloatBuffer
  private let cacheStride: Int
  private var slots: [Int32] = []
  /// Places in the caches that no live sequence has.
  private var freeSlots: [Int32] = []
  private var positions: [Int32] = []
  private var rows: [Float]

  /// - Parameters:
  ///   - plan: traced in decoding mode for `context`, its row limit the capacity.
  ///   - cacheFloats: floats of one sequence's cache in one layer.
  package init(
    plan: Plan, parameters: ParameterStore, labels: Int, layers: Int, cacheFloats: Int
  ) {
    guard case .decoding(let context) = plan.mode else {
      preconditionFailure("decoding needs a decoding plan")
    }
    precondition(plan.layout == parameters.layout, "the parameters are another model's")
    self.plan = plan
    self.parameters = parameters
    self.labels = labels
    self.context = context
    capacity = plan.limits.rows
    executor = Executor(plan)
    freeSlots = (0..<Int32(capacity)).reversed()
    cacheStride = capacity * cacheFloats
    caches = FloatBuffer(count: layers * cacheStride)
    rows = [Float](repeating: 0, count: capacity * labels)
  }

  /// Live sequences, in the order of the rows.
  package var live: Int { slots.count }

  /// The position that the next step writes, for each live sequence, counted from 0.
  package var nextPositions: [Int32] { positions }

  /// Forgets all sequences and starts `sequences` empty ones, at most `capacity`.
  package func reset(sequences: Int) {
    slots.removeAll(keepingCapacity: true)
    positions.removeAll(keepingCapacity: true)
    freeSlots = (0..<Int32(capacity)).reversed()
    begin(sequences: sequences)
  }

  /// Starts `sequences` more, empty, behind the live ones; at most `capacity` live at a time.
  package func begin(sequences: Int) {
    precondition(
      sequences <= freeSlots.count,
      "\(sequences) more than \(live) sequences for a capacity of \(capacity)")
    slots.append(contentsOf: freeSlots.suffix(sequences).reversed())
    freeSlots.removeLast(sequences)
    positions.append(contentsOf: repeatElement(0, count: sequences))
  }

  /// Feeds one row to every live sequence and lends the log-probabilities (live, V) in nats.
  ///
  /// - Parameter inputs: (live, G) row ids of the input tables.
  /// - Precondition: no live sequence has filled its context.
  package func step<R>(
    inputs: [Int32], tables: Int, _ body: (UnsafeBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    let live = slots.count
    precondition(
      inputs.count == live * tables, "\(inputs.count) inputs for \(live) sequences of \(tables)")
    rows.withUnsafeMutableBufferPointer { rows in
      inputs.withUnsafeBufferPointer { inputs in
        slots.withUnsafeBufferPointer { slots in
          positions.withUnsafeBufferPointer { positions in
            let view = LaneView(
              inputs: inputs, tables: tables,
              tableView: parameters.tableSources?.view(inputs, width: tables),
              positions: positions,
              labels: UnsafeBufferPointer(start: nil, count: 0),
              offsets: UnsafeBufferPointer(start: nil, count: 0), slots: slots,
              caches: caches.buffer, cacheStride: cacheStride,
              logProbabilities: UnsafeMutableBufferPointer(rebasing: rows[..<(live * labels)]))
            _ = executor.run(view, rows: live, weights: parameters.weights.base)
          }
        }
      }
    }
    for i in positions.indices { positions[i] += 1 }
    return try rows.withUnsafeBufferPointer { rows in
      try body(UnsafeBufferPointer(rebasing: rows[..<(live * labels)]))
    }
  }

  /// Keeps the live sequences for which `isLive(row)` holds; rows close up, in order.
  package func retain(_ isLive: (_ row: Int) -> Bool) {
    var kept = 0
    for row in slots.indices {
      guard isLive(row) else {
        freeSlots.append(slots[row])
        continue
      }
      slots[kept] = slots[row]
      positions[kept] = positions[row]
      kept += 1
    }
    slots.removeLast(slots.count - kept)
    positions.removeLast(positions.count - kept)
  }
}
