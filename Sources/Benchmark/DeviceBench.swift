import Checkpoints
import Engine
import Models
import NGrams
import Support
import Torch

/// Training steps by libtorch on given sentences from given weights, one at a time and timed: what
/// `TrainingBench` does on the CPU.
package final class DeviceBench {
  private let workload: Workload
  private let engine: DeviceTrainingEngine
  private let sentences: Sentences
  private let learningRate: Double
  private let mapper: OverEncodingMapper?
  /// The batch of the next step, if it is there already.
  private var next: [PackedLane]?

  /// - Parameters:
  ///   - weights: a safetensors file, or nil for those of seed 1.
  ///   - threads: that draw them, and move rows of tables; they change no bit.
  ///   - tableMemory: where tables lie; nil: on the device if it has room for them.
  /// - Throws: `UserError` for weights of another model, sentences that do not fit it, and a device that
  ///   cannot be used.
  package init(
    _ workload: Workload, on device: TorchDevice, sentences: Sentences, weights: String?,
    learningRate: Double, threads: Int, tableMemory: DeviceTablePlace? = nil
  ) throws {
    try sentences.require(workload.model)
    self.workload = workload
    self.sentences = sentences
    self.learningRate = learningRate
    mapper = workload.model.overEncoding.map { OverEncodingMapper($0.layout) }
    let plan = workload.model.plan(
      .training, rows: workload.laneCapacity(sentences), precision: workload.precision)
    let store = ParameterStore(layout: plan.layout, moments: true)
    store.initialize(seed: 1, threads: threads)
    if let weights { try ParameterFile.read(into: store, arrays: [.weights], from: weights) }
    engine = try DeviceTrainingEngine(
      plan: plan, parameters: store, lanes: workload.lanes, TorchLibrary.open(device),
      source: "workload", tableMemory: tableMemory, threads: threads)
  }

  /// The next step; making up the batch is not timed.
  package func step() throws -> TrainingBench.Step {
    let lanes = next ?? batch(engine.step)
    let following = batch(engine.step + 1)
    let start = Host.monotonicSeconds
    let statistics = try engine.step(
      lanes, learningRate: learningRate, optimizer: OptimizerConstants(),
      tableOptimizer: TableOptimizer(), ahead: { following })
    next = following
    return TrainingBench.Step(
      loss: statistics.meanLoss, rows: statistics.rows, seconds: Host.monotonicSeconds - start)
  }

  private func batch(_ number: Int) -> [PackedLane] {
    sentences.lanes(
      from: number * workload.batch, batch: workload.batch, lanes: workload.lanes, mapper: mapper,
      ahead: Array(workload.model.labelsAhead.dropFirst()))
  }

  /// SHA-256 of all weights as they are.
  package func digest() throws -> String {
    try engine.saveParameters()
    return engine.parameters.digest
  }
}
