import Engine
import Kernels
import Parallel
import Support
import Testing

/// What training minimises: Σ over losses of weight · mean.
func objective(_ engine: TrainingEngine, _ batch: [PackedLane]) throws -> Double {
  _ = try engine.computeGradients(batch)
  return engine.plan.losses.indices.reduce(0) {
    $0 + engine.plan.losses[$1].weight * engine.lossSum($1).mean
  }
}

/// Compares gradients with central differences at up to eight elements of every slot.
///
/// A difference of width 2h errs by h² times a third derivative and by the rounding of the objective,
/// 2⁻²⁴ times its size over h: with h = 2⁻⁷ and objectives around 2 both are below 2e-4.
func checkGradients(
  _ engine: TrainingEngine, _ batch: [PackedLane], sourceLocation: SourceLocation = #_sourceLocation
) throws {
  _ = try engine.computeGradients(batch)
  let store = engine.parameters
  let gradients = store.layout.slots.map { engine.gradient(of: $0) }
  let h = Float(0x1p-7)
  for (slot, gradient) in zip(store.layout.slots, gradients) {
    var stream = RandomStream(seed: 1, name: slot.name)
    for _ in 0..<min(8, slot.count) {
      let i = Int(stream.below(UInt32(slot.count)))
      func move(_ delta: Float) { store.withMutableFloats(slot, of: .weights) { $0[i] += delta } }
      let original = store.values(slot)[i]
      move(h)
      let above = try objective(engine, batch)
      move(-2 * h)
      let below = try objective(engine, batch)
      store.withMutableFloats(slot, of: .weights) { $0[i] = original }
      let difference = (above - below) / Double(2 * h)
      #expect(
        abs(difference - Double(gradient[i])) < 2e-3 + 1e-2 * abs(difference),
        "\(slot.name)[\(i)]: \(gradient[i]) for \(difference)", sourceLocation: sourceLocation)
    }
  }
}

/// An engine for a traced graph with the weights of seed 4.
///
/// - Parameters:
///   - isShared: whether ranks share moments.
///   - sharesTables: and rows of tables; nil: the same.
func makeEngine(
  _ g: GraphBuilder, limits: Limits, lanes: Int = 1, threads: Int = 1,
  ranks: any Communicator = LocalCommunicator(), sharesPairs: Bool? = nil, isShared: Bool = false,
  sharesTables: Bool? = nil, tableMoments: TableMoments = .float32
) throws -> TrainingEngine {
  let plan = try Plan(checking: g, limits: limits)
  let share = RankShare(rank: ranks.rank, size: ranks.size)
  let store = ParameterStore(
    layout: plan.layout, moments: true, tableMoments: tableMoments,
    share: isShared ? share : .whole, tableShare: sharesTables ?? isShared ? share : .whole)
  store.initialize(seed: 4)
  return TrainingEngine(
    plan: plan, parameters: store, lanes: lanes, threads: threads, ranks: ranks,
    sharesPairs: sharesPairs)
}

/// Every array of a store, moments and tables included.
func state(_ store: ParameterStore) -> [[Float]] {
  store.layout.slots.flatMap { slot in
    ParameterArray.allCases.map { store.values(slot, of: $0) }
  }
    + store.tables.map { Array($0.weights) }
    + store.tables.map { table in table.firstMoment.map { Float($0) } }
}

/// The same of stores that ranks share, put together.
func state(_ stores: [ParameterStore]) -> [[Float]] {
  let first = stores[0]
  var result = first.layout.slots.flatMap { slot in
    ParameterArray.allCases.map { array in
      var values = [Float](repeating: .nan, count: slot.count)
      for store in stores {
        let range = slot.range.clamped(to: store.held(of: array))
        if range.isEmpty { continue }
        store.withFloats(range, of: array) {
          values.replaceSubrange(
            range.lowerBound - slot.offset..<range.upperBound - slot.offset, with: $0)
        }
      }
      return values
    }
  }
  let rows = { (t: Int, bytes: Int, floats: (TableStore) -> [Float]) in
    let slot = first.tables[t].slot
    var whole = [Float](repeating: .nan, count: slot.rows * bytes)
    for table in stores.map({ $0.tables[t] }) {
      let own = floats(table)
      for row in 0..<table.rows {
        let place = table.share.place(of: row) * bytes
        whole.replaceSubrange(
          place..<place + bytes, with: own[(row * bytes)..<((row + 1) * bytes)])
      }
    }
    return whole
  }
  for t in first.tables.indices {
    result.append(rows(t, first.tables[t].slot.width) { Array($0.weights) })
  }
  for t in first.tables.indices {
    let bytes = first.tables[t].moments == .bfloat16 ? 2 : 4
    result.append(
      rows(t, bytes * first.tables[t].slot.width) { $0.firstMoment.map { Float($0) } })
  }
  return result
}
