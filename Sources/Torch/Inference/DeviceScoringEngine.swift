import Engine
import Kernels
import Support

/// The weights of a model on a device, for scores: replaced from snapshot to snapshot.
package final class DeviceWeights {
  let library: TorchLibrary
  let layout: ParameterLayout
  let parameters: DeviceParameters
  let tables: FrozenTables?

  /// All zeros until `load`.
  ///
  /// - Parameter plan: of scoring or decoding.
  /// - Throws: `UserError` where the device has no room.
  package init(_ plan: Plan, like store: ParameterStore, _ library: TorchLibrary) throws {
    (self.library, layout) = (library, plan.layout)
    parameters = try DeviceParameters(
      plan.layout, precision: .float32, isTraining: false, library)
    tables =
      plan.layout.tables.isEmpty
      ? nil : try FrozenTables(Self.stores(plan.layout, in: store), library)
  }

  package func load(_ store: ParameterStore) throws {
    try parameters.load(store)
    try tables?.load(Self.stores(layout, in: store))
  }

  /// The tables of a layout in a store that has them, in the layout's order.
  private static func stores(_ layout: ParameterLayout, in store: ParameterStore) -> [TableStore] {
    layout.tables.map { table in
      guard let own = store.tables.first(where: { $0.slot.name == table.name }) else {
        preconditionFailure("no table \(table.name) in the store")
      }
      return own
    }
  }
}

/// Log-probabilities of packed sentences by libtorch, forward only and in single precision.
///
/// The bits of a row depend on the sentences of its lane, the device and the library, and on no other lane.
package final class DeviceScoringEngine {
  private let program: TorchProgram
  private let weights: DeviceWeights

  /// - Throws: `UserError` for a model that libtorch is not told how to compute.
  package init(_ plan: Plan, _ weights: DeviceWeights) throws {
    precondition(plan.mode == .scoring, "scoring needs a scoring plan")
    precondition(plan.layout.slots == weights.layout.slots, "the weights are another model's")
    program = try TorchProgram(plan, moments: nil)
    self.weights = weights
  }

  /// log p(label) in nats for every row of a lane.
  package func labelLogProbabilities(_ lane: PackedLane) throws -> [Float] {
    try score(lane, allLabels: false)?.times(-1).floats() ?? []
  }

  /// log p(·) in nats for every row of a lane: (rows, V).
  package func logProbabilities(_ lane: PackedLane) throws -> [Float] {
    try score(lane, allLabels: true)?.floats() ?? []
  }

  private func score(_ lane: PackedLane, allLabels: Bool) throws -> DeviceTensor? {
    if lane.rows == 0 { return nil }
    let batch = try DeviceBatch([lane], program.plan, weights.library)
    weights.tables?.stage(batch.positions)
    return try DeviceRun(
      program.plan, weights.library, batch, weights: weights.parameters, tables: weights.tables,
      givesAllLabels: allLabels
    ).score(program)
  }
}
