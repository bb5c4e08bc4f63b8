import Checkpoints
import Contracts
import Engine
import Foundation
import Models
import Parallel
import Support
import Torch

/// How a call of `Trainer.run` ended.
package enum TrainingOutcome: Sendable, Equatable {
  /// All steps are done and `index.json` is written.
  case finished
  /// The checkpoint of this step is written; the same configuration and directory go on from it.
  case stopped(step: Int)
}

/// The training loop: a configuration and a map set in, a directory of snapshots, metrics and an index
/// out.
///
/// Files of the output directory, all written whole or not at all:
///
///     weights-<step>.safetensors  after each step of the snapshot schedule
///     metrics.jsonl               one line every `logEverySteps` steps and for the last
///     checkpoint.safetensors      weights, moments and `ResumeState`, every `checkpointEverySteps`
///                                 steps and when stopped; removed when the run is finished
///     index.json                  written last
///
/// Weights, metrics and index are functions of the configuration and the data: the same bytes for any
/// number of threads and ranks, and after any number of interruptions, kills included. Every rank runs
/// this loop; rank 0 alone reads and writes files of the output, and decides when to stop.
package final class Trainer {
  /// What is seen of a running loop.
  package struct Tick: Sendable {
    package let progress: TrainingProgress
    package let steps: Int
    /// Nats per predicted token of this step's batch.
    package let loss: Double
  }

  package let plan: TrainingPlan
  package let model: ModelConfiguration
  /// Step at which this process began: 0, or the step of the checkpoint it found.
  package let resumedStep: Int
  package private(set) var state: ResumeState
  package let engine: any TrainingDevice
  /// Rows that a lane is laid out for.
  package let laneCapacity: Int
  /// Rows of distinct f-grams that this process ran, those of all lanes together.
  package private(set) var fGramRows = 0

  private let ranks: any Communicator
  private let threads: Int
  private let configuration: StageConfiguration
  private let modelValue: ConfigValue
  private var data: TrainingData
  private let output: String
  private let order: DataOrder
  private var assignment: LaneAssignment
  private var batch: Batch
  /// The batch after it, of an engine that asks for that; else nil.
  private var next: Batch?
  private var lengths: [Int] = []
  private var finalLoss = 0.0
  private var finalFurtherLosses: [LossWindow] = []

  /// The sequences of a step, packed into lanes.
  private struct Batch {
    var lanes: [PackedLane]
    var sequences: [Int] = []
    /// Characters or bytes.
    var symbols = 0
    /// Which step it is of; 0 while it is of none.
    var step = 0
  }

  private var checkpointPath: String { "\(output)/checkpoint.safetensors" }
  private var metricsPath: String { "\(output)/metrics.jsonl" }

  /// Prepares a run, or the rest of one when `output` holds its checkpoint.
  ///
  /// - Parameters:
  ///   - tables: how ranks hold tables.
  ///   - tableMemory: where tables lie that a device trains.
  ///   - initial: weights that it begins with where it has them.
  /// - Throws: `UserError` for parameters that are wrong in themselves or do not fit the data, and for
  ///   a checkpoint that is damaged or of another configuration.
  package init(
    configuration: StageConfiguration, data: TrainingData, output: String, threads: Int,
    ranks: any Communicator = LocalCommunicator(), tables: TablePlacement = .sharded,
    tableMemory: DeviceTablePlace? = nil, initial: InitialWeights? = nil
  ) throws {
    self.ranks = ranks
    var data = data
    if data.text != nil {
      data.cut(context: try TrainingPlan.context(of: configuration))
    }
    self.threads = threads
    self.configuration = configuration
    self.output = output
    plan = try TrainingPlan(configuration, kind: data.kind, sequences: data.sentences)
    let parameters = plan.parameters
    modelValue = parameters.modelValue(
      inputs: data.tables.map { (order: $0.order, rows: $0.rows) }, labels: data.labels)
    var reader = try ConfigReader(
      modelValue, source: configuration.source, path: "parameters.model")
    model = try ModelConfiguration(reader: &reader)
    try reader.finish()
    try data.fit(model.input.textColumns)
    if let heads = model.furtherHeads {
      try data.requireSingleTokens(for: type(of: heads).key)
    }
    self.data = data
    guard data.longestSentence <= model.context else {
      throw UserError(
        "\(configuration.source): parameters.model.context is shorter than the longest document",
        expected: "at least \(data.longestSentence) positions", found: "\(model.context)",
        remedy: "Raise context to \(data.longestSentence).")
    }
    guard ranks.size <= parameters.training.lanes, ranks.size & (ranks.size - 1) == 0 else {
      throw UserError(
        "\(configuration.source): ranks",
        expected: "a power of two of at most \(parameters.training.lanes), the lanes of a batch",
        found: "\(ranks.size)", remedy: "Start fewer ranks or raise training.lanes.")
    }
    let (lanes, sequences) = (parameters.training.lanes, parameters.training.batchSequences)
    let capacity = LaneAssignment.capacity(
      lengths: data.lengths, batchSequences: sequences, lanes: lanes)
    laneCapacity = capacity
    order = DataOrder(
      documents: data.sentences, batchSequences: sequences, seed: parameters.dataSeed)
    assignment = LaneAssignment(lanes: lanes, batchSequences: sequences)
    batch = Batch(
      lanes: (0..<lanes).map { [model] _ in model.makeLane(capacity: capacity, isTraining: true) })
    try plan.requireTables(model.overEncoding != nil, in: configuration)
    let moments = parameters.optimizer.tables?.moments ?? .float32
    if let encoding = model.overEncoding {
      try TableBudget.check(
        encoding, moments: moments, memoryBytes: Host.memoryBytes, ranks: ranks, tables: tables,
        source: configuration.source)
    }
    engine = try plan.makeEngine(
      model, laneCapacity: capacity, threads: threads, tableMoments: moments, ranks: ranks,
      tables: tables, tableMemory: tableMemory, source: configuration.source)
    try plan.requireOneMaker(engine, ranks, source: configuration.source)
    state = ResumeState(id: configuration.id, kind: data.kind)
    let path = "\(output)/checkpoint.safetensors"
    if try ranks.broadcast(ranks.decides && FileBytes.exists(path) ? 1 : 0) == 1 {
      let file = ranks.decides ? try SafeTensorsFile(path: path) : nil
      state = try ResumeState(
        metadata: try ranks.broadcast(file?.metadata ?? [:]), id: configuration.id,
        kind: data.kind, path: path)
      try file?.verifySeal(remedy: "Delete it to train from the start.")
      if let file { try plan.requireMaker(of: file, engine) }
      try ParameterFile.read(
        into: engine.parameters, arrays: ParameterArray.allCases, from: file, ranks: ranks)
    } else {
      try initial?.fill(engine.parameters, of: model, data: data.metadata, ranks: ranks)
    }
    try engine.loadParameters()
    engine.parameters.reserveTableHistory(steps: min(plan.steps, 1 << 20))
    resumedStep = state.progress.step
    engine.step = resumedStep
    guard resumedStep < plan.steps else {
      throw UserError(
        path, expected: "a step before \(plan.steps)", found: "step \(resumedStep)",
        remedy: "Delete it to train from the start.")
    }
    if ranks.decides { try removeLaterFiles() }
  }

  /// Trains to the end, or until `shouldStop`, asked between steps with the number of steps done,
  /// says so. With several ranks rank 0's answer counts.
  ///
  /// - Parameter report: called after every step.
  /// - Throws: `UserError` for a loss or gradient that is not finite, and for files that cannot be
  ///   written. The last checkpoint stays.
  package func run(
    shouldStop: (_ step: Int) -> Bool = { _ in false }, report: (Tick) -> Void = { _ in }
  ) throws -> TrainingOutcome {
    var metrics: MetricsLog? = nil
    if ranks.decides {
      metrics = try MetricsLog(
        path: metricsPath, bytes: state.metricsBytes, digest: state.metricsDigest)
      // Checkpoints count on the name of the log.
      try AtomicFile.syncDirectory(of: metricsPath)
    }
    if state.progress.step == 0 && plan.snapshots.steps.first == 0 && state.snapshots.isEmpty {
      try saveSnapshot()
    }
    while state.progress.step < plan.steps {
      if try ranks.broadcast(shouldStop(state.progress.step) ? 1 : 0) == 1 {
        try saveCheckpoint(metrics)
        return .stopped(step: state.progress.step)
      }
      let statistics = try step(&metrics)
      report(
        Tick(progress: state.progress, steps: plan.steps, loss: statistics.meanLoss))
    }
    if ranks.decides {
      try metrics?.synchronize()
      try writeIndex()
      if FileBytes.exists(checkpointPath), unlink(checkpointPath) != 0 {
        throw FileFault.error("cannot remove \(checkpointPath)")
      }
    }
    try ranks.barrier()
    return .finished
  }

  // MARK: - One step

  private func step(_ metrics: inout MetricsLog?) throws -> StepStatistics {
    let number = state.progress.step + 1
    take(number)
    let (training, optimizer) = (plan.parameters.training, plan.parameters.optimizer)
    let rate = plan.schedule.rate(step: number)
    let statistics: StepStatistics
    do {
      statistics = try engine.step(
        batch.lanes, learningRate: rate, optimizer: optimizer.constants,
        tableOptimizer: optimizer.tableConstants,
        ahead: { number < plan.steps ? prepare(number + 1) : nil })
    } catch let error as NonFiniteError {
      throw divergence(error)
    }
    state.progress.add(
      sequences: batch.sequences.count, rows: statistics.rows, symbols: batch.symbols,
      lossSum: statistics.lossSum)
    for (number, loss) in engine.plan.losses.enumerated().dropFirst() {
      let sum = engine.lossSum(number)
      state.progress.add(loss: loss.name, sum: sum.sum, rows: sum.rows)
    }
    if number % training.logEverySteps == 0 || number == plan.steps {
      finalFurtherLosses = state.progress.furtherLosses
      finalLoss = state.progress.closeWindow()
      if ranks.decides {
        try metrics?.append(
          MetricsLine(
            progress: state.progress, loss: finalLoss, furtherLosses: finalFurtherLosses,
            gradientNorm: statistics.gradientNorm, learningRate: rate, kind: data.kind))
        state.metricsBytes = metrics?.bytes ?? 0
        state.metricsDigest = metrics?.digest ?? MetricsLog.emptyDigest
      }
    }
    if plan.snapshots.contains(number) { try saveSnapshot() }
    if number % training.checkpointEverySteps == 0 && number < plan.steps {
      try saveCheckpoint(metrics)
    }
    return statistics
  }

  /// Makes `batch` that of a step, unless it was packed before.
  private func take(_ step: Int) {
    if var other = next, other.step == step {
      swap(&batch, &other)
      next = other
    } else {
      pack(&batch, step)
    }
    for lane in batch.lanes { fGramRows += lane.spaces.first?.rows ?? 0 }
  }

  /// The lanes of the step after this one.
  private func prepare(_ step: Int) -> [PackedLane] {
    var other =
      next
      ?? Batch(
        lanes: batch.lanes.map { [model, laneCapacity] _ in
          model.makeLane(capacity: laneCapacity, isTraining: true)
        })
    // Alone in having its arrays, so that they are written where they are.
    next = nil
    pack(&other, step)
    next = other
    return other.lanes
  }

  /// Packs the sequences of a step into lanes.
  private func pack(_ batch: inout Batch, _ step: Int) {
    batch.step = step
    order.fill(&batch.sequences, step: step)
    lengths.removeAll(keepingCapacity: true)
    batch.symbols = 0
    for sequence in batch.sequences {
      lengths.append(data.rows(of: sequence))
      batch.symbols += data.symbols(of: sequence)
    }
    assignment.assign(lengths: lengths)
    for lane in batch.lanes.indices {
      batch.lanes[lane].removeAll()
      for position in assignment.sentences[lane] {
        data.append(batch.sequences[position], to: &batch.lanes[lane])
      }
    }
  }

  private func divergence(_ error: NonFiniteError) -> UserError {
    let remedy: String
    if let file = try? SafeTensorsFile(path: checkpointPath),
      let good = try? ResumeState(
        metadata: file.metadata, id: configuration.id, kind: data.kind, path: checkpointPath),
      (try? file.verifySeal(remedy: "")) != nil
    {
      remedy = "The last good checkpoint is \(checkpointPath), step \(good.progress.step)."
    } else {
      remedy = "No checkpoint was written before it."
    }
    return UserError(
      "training diverged at step \(error.step)", expected: "finite numbers",
      found: "\(error.tensor) that is not", remedy: remedy + " Lower optimizer.learningRate.")
  }

  // MARK: - Files

  private func saveSnapshot() throws {
    try engine.saveParameters()
    let progress = state.progress
    let file = Self.snapshotName(step: progress.step)
    let digest = try ParameterFile.write(
      engine.parameters, arrays: [.weights],
      metadata: [
        "format": "overtoken weights", "id": configuration.id, "step": "\(progress.step)",
      ], threads: threads, ranks: ranks, to: "\(output)/\(file)")
    guard let digest else { return }
    state.snapshots.append(
      TrainingRunIndex.Snapshot(
        step: progress.step, file: file, sha256: digest, kind: data.kind,
        sequences: progress.sequences, rows: progress.rows, symbols: progress.symbols))
  }

  private func saveCheckpoint(_ metrics: borrowing MetricsLog?) throws {
    try metrics?.synchronize()
    try engine.saveParameters()
    try ParameterFile.write(
      engine.parameters, arrays: ParameterArray.allCases,
      metadata: state.metadata.merging(plan.maker(engine)) { $1 },
      isSealed: true, ranks: ranks, to: checkpointPath)
  }

  private func writeIndex() throws {
    let metrics = try StageIndex.describe(files: ["metrics.jsonl"], in: output)
    var content: [String: ConfigValue] = [
      "model": modelValue, "data": data.metadata,
      "parameterCount": .integer(engine.parameters.layout.parameterCount),
      "steps": .integer(plan.steps),
      data.kind.sequences: .integer(state.progress.sequences),
      "rows": .integer(state.progress.rows),
      data.kind.symbols: .integer(state.progress.symbols),
      "finalLoss": .double(finalLoss), "seed": .integer(Int(plan.parameters.seed)),
      "dataSeed": .integer(Int(plan.parameters.dataSeed)), "metrics": metrics,
      "snapshots": .array(state.snapshots.map(\.value)),
    ]
    if !finalFurtherLosses.isEmpty { content["finalLosses"] = finalFurtherLosses.means }
    try StageIndex.write(to: output, configuration: configuration, content: content)
  }

  private static func snapshotName(step: Int) -> String { "weights-\(step).safetensors" }

  /// Checks the snapshots that the checkpoint lists and removes those of later steps: a run that was
  /// killed may have got beyond its last checkpoint.
  private func removeLaterFiles() throws {
    for snapshot in state.snapshots {
      let path = "\(output)/\(snapshot.file)"
      guard try SHA256.hex(of: FileBytes.read(path)) == snapshot.sha256 else {
        throw UserError(
          path, expected: "the snapshot that the checkpoint lists", found: "other bytes",
          remedy: "Delete \(output) and train again.")
      }
    }
    let listed = Set(state.snapshots.map(\.file))
    for step in plan.snapshots.steps where !listed.contains(Self.snapshotName(step: step)) {
      let path = "\(output)/\(Self.snapshotName(step: step))"
      if FileBytes.exists(path), unlink(path) != 0 {
        throw FileFault.error("cannot remove \(path)")
      }
    }
  }
}

extension Communicator {
  /// The metadata of a file that rank 0 gives, on every rank.
  func broadcast(_ metadata: [String: String]) throws -> [String: String] {
    if size == 1 { return metadata }
    let text = ConfigValue.object(metadata.mapValues(ConfigValue.string)).canonicalJSON
    let come = try ConfigValue.parse(json: try broadcast(Array(text.utf8)), source: "a checkpoint")
    guard case .object(let members) = come else { return [:] }
    return members.compactMapValues { if case .string(let text) = $0 { text } else { nil } }
  }
}
