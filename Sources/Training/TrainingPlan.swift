import Contracts
import Engine
import Kernels
import Support

/// The parameters of a run, with what follows from them and from the size of its data set.
package struct TrainingPlan: Sendable {
  package let parameters: TrainParameters
  package let steps: Int
  package let schedule: LearningRateSchedule
  package let snapshots: SnapshotSchedule

  /// The plan of a run over so many sentences, or windows of text. Text is passed over more than once
  /// only if the parameters give `epochs`.
  ///
  /// - Throws: `UserError` naming the key for anything missing, unknown, out of range or inconsistent.
  package init(_ configuration: StageConfiguration, kind: DataKind, sequences: Int) throws {
    var reader = try configuration.reader()
    parameters = try TrainParameters(reader: &reader)
    try reader.finish()
    guard parameters.kind == kind else {
      throw reader.fault(
        "kind", expected: "\(kind.rawValue), as the map set", found: parameters.kind.rawValue,
        remedy: "Name a map set of kind \(parameters.kind.rawValue) as the input 'data'.")
    }
    let batch = parameters.training.batchSequences
    guard batch <= sequences else {
      throw reader.fault(
        "training.batchSequences",
        expected: "at most \(sequences), the \(kind.sequences) of the map set", found: "\(batch)",
        remedy: kind == .text
          ? "Lower batchSequences or take more text."
          : "Lower batchSequences or sample more documents.")
    }
    steps = try Self.steps(parameters.training, kind, sequences, reader)
    try parameters.check(steps: steps, reader)
    schedule = LearningRateSchedule(
      parameters.schedule, peak: parameters.optimizer.learningRate, steps: steps)
    snapshots = SnapshotSchedule(parameters.snapshots, steps: steps)
    if parameters.training.device == nil {
      try parameters.training.precision.require(source: configuration.source)
    }
  }

  private static func steps(
    _ training: TrainParameters.Training, _ kind: DataKind, _ sequences: Int,
    _ reader: ConfigReader
  ) throws -> Int {
    let batch = training.batchSequences
    guard let steps = training.steps else {
      // Exactly one of the two is there.
      let total = (training.epochs ?? 1).multipliedReportingOverflow(by: sequences)
      guard !total.overflow, total.partialValue <= Int.max - batch else {
        throw reader.fault(
          "training.epochs", expected: "epochs of fewer than 2^63 \(kind.sequences)",
          found: "\(training.epochs ?? 1) of \(sequences)")
      }
      return (total.partialValue + batch - 1) / batch
    }
    guard kind != .text || steps * batch <= sequences else {
      throw reader.fault(
        "training.steps",
        expected: "at most \(sequences / batch) steps of \(batch) windows, one pass over the "
          + "\(sequences) windows of the map set", found: "\(steps)",
        remedy: "Lower steps, take more text, or give epochs to read it more than once.")
    }
    return steps
  }

  /// Checks that there are settings of n-gram tables if, and only if, the model has such tables.
  package func requireTables(_ hasTables: Bool, in configuration: StageConfiguration) throws {
    guard hasTables != (parameters.optimizer.tables != nil) else { return }
    throw try configuration.reader().fault(
      "optimizer.tables",
      expected: hasTables
        ? "the keys of the model's n-gram tables" : "no such key: the model has no n-gram tables",
      found: hasTables ? "none" : "an object", remedy: hasTables ? "Add it." : "Delete it.")
  }

  /// `model.context` of a configuration: what text is cut by before all else is read.
  package static func context(of configuration: StageConfiguration) throws -> Int {
    var reader = try configuration.reader()
    var model = try reader.object("model")
    return try model.int("context", in: 1...10_000_000)
  }
}

extension TrainParameters.Optimizer {
  package var constants: OptimizerConstants {
    OptimizerConstants(
      beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay,
      gradientClip: clipNorm > 0 ? clipNorm : .infinity)
  }

  /// Of over-encoding's tables; what stands here for a model without them does not count.
  package var tableConstants: TableOptimizer {
    TableOptimizer(
      learningRateMultiplier: tables?.learningRateMultiplier ?? 1,
      weightDecay: tables?.weightDecay ?? 0)
  }
}

extension LearningRateSchedule {
  /// - Precondition: the warm-up ends before the run.
  init(_ parameters: TrainParameters.Schedule, peak: Double, steps: Int) {
    self.init(
      kind: parameters.kind, peak: peak, warmupSteps: parameters.warmupSteps,
      finalFraction: parameters.finalFraction ?? 1, steps: steps)
  }
}

extension SnapshotSchedule {
  /// - Precondition: `parameters` were checked for so many steps.
  init(_ parameters: TrainParameters.Snapshots, steps: Int) {
    let list: [Int] =
      if let given = parameters.steps {
        given
      } else if parameters.spacing == .log {
        Self.log(count: parameters.count ?? 1, first: parameters.first ?? 1, steps: steps)
      } else {
        Self.linear(count: parameters.count ?? 1, steps: steps)
      }
    self.init(steps: (parameters.initial ? [0] : []) + list)
  }
}
