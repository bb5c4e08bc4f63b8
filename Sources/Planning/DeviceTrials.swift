import Engine
import Models
import Support
import Torch

/// Something that a device is to do many times.
package struct DeviceWork: Sendable {
  package enum Kind: Sendable {
    /// A training step of so many lanes.
    case step(Precision, TableMoments?, lanes: Int)
    /// A pass that scores sentences or windows.
    case score
    /// A step of sentences that are generated side by side.
    case generate
  }

  package let kind: Kind
  package let model: ModelConfiguration
  package let device: TorchDevice
  /// Of one time, in sentences of `length`; of generation the sentences.
  package let rows, length: Int

  package init(
    _ kind: Kind, of model: ModelConfiguration, on device: TorchDevice, rows: Double, length: Double
  ) {
    (self.kind, self.model, self.device) = (kind, model, device)
    self.length = max(1, min(Int(nearest: length), model.context))
    self.rows = max(1, Int(nearest: rows))
  }
}

/// How long a device takes for its work, measured by doing it, or as much of it as takes a moment.
// Unchecked: a plan asks one question at a time.
package final class DeviceTrials: @unchecked Sendable {
  private var known: [String: Double] = [:]

  package init() {}

  /// Multiplications and additions of a trial, at most.
  private static func budget(_ device: TorchDevice) -> Double { device == .cuda ? 1e13 : 1e9 }

  /// Seconds of `work`; nil where there is no libtorch with that device.
  ///
  /// - Throws: `UserError` where the device has no room for it.
  package func seconds(_ work: DeviceWork) throws -> Double? {
    let key = "\(work)"
    if let seconds = known[key] { return seconds }
    guard let library = try? TorchLibrary.open(work.device) else { return nil }
    let perRow = 3 * work.model.forwardFLOPs(perTokenAt: work.length)
    let rows = max(
      min(work.length, work.rows), min(work.rows, Int(nearest: Self.budget(work.device) / perRow)))
    let trial = try trial(work, rows: rows, library)
    try trial()
    var best = Double.infinity
    for _ in 0..<2 {
      let start = Host.monotonicSeconds
      try trial()
      best = min(best, Host.monotonicSeconds - start)
    }
    let seconds = best * Double(work.rows) / Double(rows)
    known[key] = seconds
    return seconds
  }

  /// Why libtorch cannot be used with a device; nil where it can.
  static func fault(of device: TorchDevice) -> String? {
    do {
      _ = try TorchLibrary.open(device)
      return nil
    } catch {
      return "\(error)"
    }
  }

  private func trial(
    _ work: DeviceWork, rows: Int, _ library: TorchLibrary
  ) throws -> () throws -> Void {
    let (model, length) = (work.model, work.length)
    switch work.kind {
    case .step(let precision, let moments, let count):
      let lanes = lanes(model, rows: rows, length: length, count: count, isTraining: true)
      let capacity = max(1, lanes.map(\.rows).max() ?? 1)
      let plan = model.plan(.training, rows: capacity, precision: precision)
      let store = ParameterStore(
        layout: plan.layout, moments: true, tableMoments: moments ?? .float32)
      store.initialize(seed: 1)
      let engine = try DeviceTrainingEngine(
        plan: plan, parameters: store, lanes: count, library, source: "training.device")
      return {
        _ = try engine.step(
          lanes, learningRate: 1e-5, optimizer: OptimizerConstants(),
          tableOptimizer: TableOptimizer())
      }
    case .score:
      let plan = model.plan(.scoring, rows: rows)
      let engine = try DeviceScoringEngine(plan, weights(model, plan, library))
      let lane = lanes(model, rows: rows, length: length, count: 1, isTraining: false)[0]
      return { _ = try engine.labelLogProbabilities(lane) }
    case .generate:
      let plan = model.plan(.decoding(context: model.context), rows: rows)
      let engine = try DeviceDecodingEngine(plan, weights(model, plan, library))
      engine.begin(sequences: rows)
      let inputs = [Int32](repeating: 0, count: rows * model.input.columnRows.count)
      return { _ = try engine.step(inputs: inputs, tables: model.input.columnRows.count) }
    }
  }

  private func weights(
    _ model: ModelConfiguration, _ plan: Engine.Plan, _ library: TorchLibrary
  ) throws -> DeviceWeights {
    let store = model.makeParameters(moments: false)
    store.initialize(seed: 1)
    let weights = try DeviceWeights(plan, like: store, library)
    try weights.load(store)
    return weights
  }

  /// Sentences of `length` rows dealt out to lanes, with ids that are drawn.
  private func lanes(
    _ model: ModelConfiguration, rows: Int, length: Int, count: Int, isTraining: Bool
  ) -> [PackedLane] {
    var stream = RandomStream(seed: 1, name: "trial")
    var lanes = (0..<count).map { _ in model.makeLane(isTraining: isTraining) }
    let columns = model.input.columnRows.map { UInt32($0) }
    for sentence in 0..<max(1, rows / length) {
      for _ in 0..<length {
        let ids = columns.map { Int32(stream.below($0)) }
        let label = Int32(stream.below(UInt32(model.labels)))
        lanes[sentence % count].appendRow(label: label) { ids[$0] }
      }
      lanes[sentence % count].endSegment()
    }
    return lanes
  }
}
