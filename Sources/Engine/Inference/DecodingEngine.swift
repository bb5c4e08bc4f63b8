import Kernels

/// Token by token continuation of many sequences with cached attention.
///
/// `reset`, then `step` with the inputs of every live sequence, then `retain` those that go on, and
/// `begin` others in their places. A sequence's bits do not depend on which others are live, nor on
/// its row or its place in the caches. Rows at the beginning of several sequences are computed once
/// and remembered until the next `reset`; the weights may change only before one.
package final class DecodingEngine {
  package let plan: Plan
  package let parameters: ParameterStore
  /// Sequences that can live at a time.
  package let capacity: Int
  /// Positions of a sequence.
  package let context: Int
  /// Output classes, V.
  package let labels: Int
  /// Rows that steps have computed so far; the others were remembered.
  package private(set) var computedRows = 0
  private let executor: Executor
  private let weights: Executor.Weights
  private let layers, heads, headColumns: Int
  private let caches: FloatBuffer
  private let cacheStride: Int
  private var beginnings: Beginnings
  private var sequences: [Sequence] = []
  /// Places in the caches that no live sequence has.
  private var freeSlots: [Int32] = []
  private var rows: [Float]
  /// What the rows that are computed read.
  private var inputs: [Int32] = []
  private var slots: [Int32] = []
  private var positions: [Int32] = []

  /// A live sequence.
  private struct Sequence {
    let slot: Int32
    /// The position that the next step writes.
    var position: Int32 = 0
    /// Where it stands among the beginnings.
    var node: Int32
    /// Positions that its caches hold; those behind it are the beginnings'.
    var filled: Int32 = 0
    /// In a step: its row among the computed ones, if it is one; whether that is `node`'s.
    var computed: Int32?
    var fillsNode = false
  }

  /// - Parameters:
  ///   - plan: traced in decoding mode for `context`, its row limit the capacity.
  ///   - headColumns: columns of a head.
  ///   - beginnings: how many rows at the beginnings of sequences are remembered.
  package init(
    plan: Plan, parameters: ParameterStore, labels: Int, layers: Int, heads: Int, headColumns: Int,
    beginnings: Int
  ) {
    guard case .decoding(let context) = plan.mode else {
      preconditionFailure("decoding needs a decoding plan")
    }
    precondition(parameters.layout.has(plan.layout), "the parameters are another model's")
    self.plan = plan
    self.parameters = parameters
    self.labels = labels
    self.context = context
    (self.layers, self.heads, self.headColumns) = (layers, heads, headColumns)
    capacity = plan.limits.rows
    executor = Executor(CPUProgram(plan), store: parameters.layout)
    weights = Executor.Weights(
      base: UnsafePointer(parameters.weights.base), tables: parameters.sources(of: plan.layout))
    cacheStride = capacity * attentionCache(context: context, H: heads, D: headColumns)
    caches = FloatBuffer(count: layers * cacheStride)
    rows = [Float](repeating: 0, count: capacity * labels)
    self.beginnings = Beginnings(
      capacity: beginnings, cached: layers * 2 * heads * headColumns, labels: labels)
    freeSlots = (0..<Int32(capacity)).reversed()
  }

  /// Live sequences, in the order of the rows.
  package var live: Int { sequences.count }

  /// The position that the next step writes, for each live sequence, counted from 0.
  package var nextPositions: [Int32] { sequences.map(\.position) }

  /// Forgets all sequences and starts `sequences` empty ones, at most `capacity`.
  package func reset(sequences: Int) {
    self.sequences.removeAll(keepingCapacity: true)
    freeSlots = (0..<Int32(capacity)).reversed()
    beginnings.removeAll()
    begin(sequences: sequences)
  }

  /// Starts `sequences` more, empty, behind the live ones; at most `capacity` live at a time.
  package func begin(sequences: Int) {
    precondition(
      sequences <= freeSlots.count,
      "\(sequences) more than \(live) sequences for a capacity of \(capacity)")
    let node = beginnings.begin(sequences)
    for slot in freeSlots.suffix(sequences).reversed() {
      self.sequences.append(Sequence(slot: slot, node: node))
    }
    freeSlots.removeLast(sequences)
  }

  /// Keeps the live sequences for which `isLive(row)` holds; rows close up, in order.
  package func retain(_ isLive: (_ row: Int) -> Bool) {
    var kept = 0
    for row in sequences.indices {
      guard isLive(row) else {
        freeSlots.append(sequences[row].slot)
        continue
      }
      sequences[kept] = sequences[row]
      kept += 1
    }
    sequences.removeLast(sequences.count - kept)
  }

  // MARK: - Step

  /// Feeds one row to every live sequence and lends the log-probabilities (live, V) in nats.
  ///
  /// - Parameter inputs: (live, G) row ids of the input tables.
  /// - Precondition: no live sequence has filled its context.
  package func step<R>(
    inputs: [Int32], tables: Int, _ body: (UnsafeBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    precondition(
      inputs.count == live * tables, "\(inputs.count) inputs for \(live) sequences of \(tables)")
    self.inputs.removeAll(keepingCapacity: true)
    slots.removeAll(keepingCapacity: true)
    positions.removeAll(keepingCapacity: true)
    inputs.withUnsafeBufferPointer { inputs in
      for row in 0..<live {
        let input = UnsafeBufferPointer(rebasing: inputs[row * tables..<(row + 1) * tables])
        if needsComputing(&sequences[row], input) {
          sequences[row].computed = Int32(slots.count)
          slots.append(sequences[row].slot)
          positions.append(sequences[row].position)
          self.inputs.append(contentsOf: input)
        }
      }
    }
    if !slots.isEmpty { compute(tables: tables) }
    for row in 0..<live where sequences[row].fillsNode { fillNode(of: sequences[row]) }
    spread()
    for row in 0..<live { sequences[row].position += 1 }
    return try rows.withUnsafeBufferPointer { rows in
      try body(UnsafeBufferPointer(rebasing: rows[..<(live * labels)]))
    }
  }

  /// Lets a sequence go on among the beginnings. If its row is not there, or not yet, its caches get
  /// all positions before it.
  private func needsComputing(
    _ sequence: inout Sequence, _ input: UnsafeBufferPointer<Int32>
  ) -> Bool {
    let node = sequence.node
    (sequence.computed, sequence.fillsNode) = (nil, false)
    if node != Beginnings.none {
      (sequence.node, sequence.fillsNode) = beginnings.advance(from: node, input)
      if sequence.node != Beginnings.none && !sequence.fillsNode { return false }
      var past = node
      for position in (sequence.filled..<sequence.position).reversed() {
        let kv = beginnings.caches(of: past)
        for layer in 0..<layers {
          var cache = cache(of: sequence, layer).mutableSpan
          writeCached(
            into: &cache, part(of: kv, layer).span, position: Int(position), context: context,
            H: heads, D: headColumns)
        }
        past = beginnings.parent(of: past)
      }
    }
    sequence.filled = sequence.position + 1
    return true
  }

  /// Runs the plan on the rows that are computed.
  private func compute(tables: Int) {
    let count = slots.count
    computedRows += count
    rows.withUnsafeMutableBufferPointer { rows in
      inputs.withUnsafeBufferPointer { inputs in
        slots.withUnsafeBufferPointer { slots in
          positions.withUnsafeBufferPointer { positions in
            let view = LaneView(
              tableView: weights.tables?.view(inputs, width: tables), slots: slots,
              caches: caches.buffer, cacheStride: cacheStride,
              logProbabilities: UnsafeMutableBufferPointer(rebasing: rows[..<(count * labels)]))
            executor.decode(
              view, inputs: inputs, tables: tables, positions: positions, weights)
          }
        }
      }
    }
  }

  /// Leaves what a computed row gave in the sequence's node.
  private func fillNode(of sequence: Sequence) {
    guard let computed = sequence.computed else { return }
    let kv = beginnings.caches(of: sequence.node)
    for layer in 0..<layers {
      var target = part(of: kv, layer).mutableSpan
      readCached(
        into: &target, cache: cache(of: sequence, layer).span, position: Int(sequence.position),
        context: context, H: heads, D: headColumns)
    }
    let first = Int(computed) * labels
    rows.withUnsafeBufferPointer {
      _ = beginnings.logProbabilities(of: sequence.node).update(
        fromContentsOf: $0[first..<first + labels])
    }
  }

  /// Moves the computed rows, which lie in front and in order, to the places of their sequences, and
  /// puts the remembered ones in between.
  private func spread() {
    if slots.count == live { return }
    rows.withUnsafeMutableBufferPointer { rows in
      for row in (0..<live).reversed() {
        let place = UnsafeMutableBufferPointer(rebasing: rows[row * labels..<(row + 1) * labels])
        if let computed = sequences[row].computed {
          let first = Int(computed) * labels
          _ = place.update(fromContentsOf: rows[first..<first + labels])
        } else {
          _ = place.update(fromContentsOf: beginnings.logProbabilities(of: sequences[row].node))
        }
      }
    }
  }

  /// A sequence's cache in one layer.
  private func cache(of sequence: Sequence, _ layer: Int) -> UnsafeMutableBufferPointer<Float> {
    let size = cacheStride / capacity
    let first = layer * cacheStride + Int(sequence.slot) * size
    return UnsafeMutableBufferPointer(rebasing: caches.buffer[first..<first + size])
  }

  /// What a node holds of one layer.
  private func part(
    of kv: UnsafeMutableBufferPointer<Float>, _ layer: Int
  ) -> UnsafeMutableBufferPointer<Float> {
    let size = 2 * heads * headColumns
    return UnsafeMutableBufferPointer(rebasing: kv[layer * size..<(layer + 1) * size])
  }
}
