import Checkpoints
import Engine
import Models
import NGrams
import Parallel
import Support

/// Training steps on given sentences from given weights, one at a time and timed.
package final class TrainingBench {
  package let workload: Workload
  package let engine: TrainingEngine
  private let sentences: Sentences
  private let learningRate: Double
  private let optimizer = OptimizerConstants()
  private let mapper: OverEncodingMapper?

  /// One step: the batch's mean loss before it in nats, predicted positions, wall seconds.
  package struct Step: Sendable, Equatable {
    package let loss: Double
    package let rows: Int
    package let seconds: Double
  }

  /// - Parameters:
  ///   - weights: a safetensors file, or nil for those of seed 1.
  ///   - sentences: read in order, `workload.batch` a step, round and round.
  /// - Throws: `UserError` for weights of another model and for sentences that do not fit it.
  package init(
    _ workload: Workload, sentences: Sentences, weights: String? = nil, learningRate: Double = 1e-3,
    threads: Int, ranks: any Communicator = LocalCommunicator(),
    tables: TablePlacement = .sharded
  ) throws {
    let model = workload.model
    try sentences.require(model)
    self.workload = workload
    self.sentences = sentences
    self.learningRate = learningRate
    mapper = model.overEncoding.map { OverEncodingMapper($0.layout) }
    engine = TrainingEngine(
      model, seed: 1, lanes: workload.lanes,
      laneCapacity: workload.laneCapacity(sentences), threads: threads,
      precision: workload.precision, ranks: ranks, tables: tables)
    if let weights {
      try ParameterFile.read(into: engine.parameters, arrays: [.weights], from: weights)
    }
  }

  /// The next step; making up the batch is not timed.
  package func step() throws -> Step {
    let lanes = lanes(ofStep: engine.step)
    let start = Host.monotonicSeconds
    let statistics = try engine.step(lanes, learningRate: learningRate, optimizer: optimizer)
    return Step(
      loss: statistics.meanLoss, rows: statistics.rows, seconds: Host.monotonicSeconds - start)
  }

  /// The batch of a step, counted from 0.
  func lanes(ofStep step: Int) -> [PackedLane] {
    sentences.lanes(
      from: step * workload.batch, batch: workload.batch, lanes: workload.lanes, mapper: mapper,
      ahead: Array(workload.model.labelsAhead.dropFirst()))
  }

  /// SHA-256 of all weights as they are.
  package var digest: String { engine.parameters.digest }

  /// The mean of `steps` profiled steps, after two that warm up, beside a roofline measured now.
  package func table(steps: Int) throws -> StepTable {
    for _ in 0..<2 { _ = try step() }
    engine.setProfiling(true)
    let timed = try (0..<steps).map { _ in try step() }
    guard let profile = engine.profile else { preconditionFailure("profiling is on") }
    engine.setProfiling(false)
    let rows = timed.reduce(0) { $0 + $1.rows } / steps
    return StepTable(
      plan: engine.plan, profile: profile, rows: rows, position: sentences.meanPosition,
      threads: engine.threads, wallSeconds: timed.reduce(0) { $0 + $1.seconds } / Double(steps),
      roofline: .measure(threads: engine.threads, precision: workload.precision))
  }
}

extension Workload {
  /// Rows that no lane of a batch of such sentences has more of.
  func laneCapacity(_ sentences: Sentences) -> Int {
    (batch + lanes - 1) / lanes * sentences.longest + sentences.longest
  }
}

extension Sentences {
  /// - Throws: `UserError` for sentences that do not fit the model.
  func require(_ model: ModelConfiguration) throws {
    guard count >= 1, longest <= model.context else {
      throw UserError(
        "sentences", expected: "one or more of up to \(model.context) positions",
        found: "\(count), the longest of \(longest)")
    }
    if let id = ids.first(where: { $0 < 0 || Int($0) >= model.labels }) {
      throw UserError("sentences", expected: "ids below \(model.labels)", found: "\(id)")
    }
  }
}

extension ParameterStore {
  /// SHA-256 of all weights.
  var digest: String {
    var hash = SHA256()
    for slot in layout.slots {
      withFloats(slot, of: .weights) { hash.update(UnsafeRawBufferPointer($0)) }
    }
    for table in tables { hash.update(UnsafeRawBufferPointer(table.weights)) }
    return hash.finalizeHex()
  }
}
