import Engine
import Kernels
import Support

/// Everything of a training run that its configuration file decides, with no default left open.
///
/// The exact keys, each of them required unless noted:
///
///     model          object: see `ModelConfiguration`; inputs and labels come from the data
///     optimizer      name (adamw), learningRate, beta1, beta2, epsilon, weightDecay, clipNorm (0: none),
///                    and optionally for over-encoding tables: see `Tables`
///     schedule       kind (cosine, linear, constant), warmupSteps, finalFraction (not for constant)
///     batchSentences sentences of a step
///     lanes          power of two, at most batchSentences: the unit of parallelism and of float sums
///     steps | epochs one of the two; E epochs are ⌈E·sentences/batchSentences⌉ steps
///     snapshots      see `SnapshotSchedule`
///     checkpointEverySteps, logEverySteps
///     seed           of the weights
///     dataSeed       of the order of documents
///     precision      optional: float32 (the default) or bfloat16, see `Precision`
package struct TrainingParameters: Sendable {
  package struct Optimizer: Sendable, Equatable {
    package enum Name: String, CaseIterable, Sendable { case adamw }
    package let learningRate, beta1, beta2, epsilon, weightDecay: Double
    /// Largest global L2 norm of the gradient; 0 leaves gradients as they are.
    package let clipNorm: Double
    /// Of over-encoding's tables.
    package let tables: Tables

    package var constants: OptimizerConstants {
      OptimizerConstants(
        beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay,
        gradientClip: clipNorm > 0 ? clipNorm : .infinity)
    }
  }

  /// What `optimizer.tables` says of an over-encoded model.
  package struct Tables: Sendable, Equatable {
    package var learningRateMultiplier = 1.0
    package var weightDecay = 0.0
    package var moments = TableMoments.float32

    package init() {}

    /// Reads learningRateMultiplier (1), weightDecay (0) and moments (float32).
    init(reader: inout ConfigReader) throws {
      learningRateMultiplier = try reader.double(
        "learningRateMultiplier", default: 1, in: 0...1e9)
      weightDecay = try reader.double("weightDecay", default: 0, in: 0...1e6)
      moments = try reader.choice("moments", TableMoments.self, default: .float32)
    }

    package var constants: TableOptimizer {
      TableOptimizer(learningRateMultiplier: learningRateMultiplier, weightDecay: weightDecay)
    }
  }

  /// The members of `parameters.model` as written.
  package let model: [String: ConfigValue]
  package let optimizer: Optimizer
  package let schedule: LearningRateSchedule
  package let batchSentences: Int
  package let lanes: Int
  package let steps: Int
  package let snapshots: SnapshotSchedule
  package let checkpointEverySteps: Int
  package let logEverySteps: Int
  package let seed: UInt64
  package let dataSeed: UInt64
  package let precision: Precision

  /// Reads the parameters of a run over so many sentences: documents, or windows of text. Text is
  /// passed over more than once only if the parameters give `epochs`.
  ///
  /// - Throws: `UserError` naming the key for anything missing, unknown, out of range or inconsistent.
  package init(
    _ value: ConfigValue, source: String, sentences: Int, isText: Bool = false
  ) throws {
    var reader = try ConfigReader(value, source: source, path: "parameters")
    model = try Self.readModel(&reader, source: source)
    batchSentences = try reader.int("batchSentences", in: 1...1_000_000)
    guard batchSentences <= sentences else {
      throw UserError(
        "\(source): a batch is larger than the data set",
        expected: "batchSentences of at most \(sentences), the "
          + (isText ? "windows of 'context' rows in the map set" : "documents of the map set"),
        found: "\(batchSentences)",
        remedy: isText
          ? "Lower batchSentences or take more text."
          : "Lower batchSentences or sample more documents.")
    }
    lanes = try reader.int("lanes", in: 1...4096)
    guard lanes & (lanes - 1) == 0, lanes <= batchSentences else {
      throw UserError(
        "\(source): parameters.lanes does not fit",
        expected: "a power of two of at most \(batchSentences), the sentences of a batch",
        found: "\(lanes)",
        remedy: "Set lanes to \(Self.largestPowerOfTwo(upTo: min(lanes, batchSentences))).")
    }
    steps = try Self.readSteps(
      &reader, source: source, sentences: sentences, batchSentences: batchSentences,
      isText: isText)
    optimizer = try Self.readOptimizer(&reader, isOverEncoded: model["overEncoding"] != nil)
    schedule = try Self.readSchedule(
      &reader, source: source, peak: optimizer.learningRate, steps: steps)
    var snapshotReader = try reader.object("snapshots")
    snapshots = try SnapshotSchedule(reader: &snapshotReader, steps: steps)
    checkpointEverySteps = try reader.int("checkpointEverySteps", in: 1...Int.max)
    logEverySteps = try reader.int("logEverySteps", in: 1...Int.max)
    seed = UInt64(try reader.int("seed", in: 0...Int.max))
    dataSeed = UInt64(try reader.int("dataSeed", in: 0...Int.max))
    precision = try reader.choice("precision", Precision.self, default: .float32)
    try precision.require(source: source)
    try reader.finish()
  }

  /// `parameters.model.context` of a configuration: what text is cut by before all else is read.
  package static func context(of configuration: StageConfiguration) throws -> Int {
    var reader = try configuration.reader()
    var model = try reader.object("model")
    return try model.int("context", in: 1...10_000_000)
  }

  private static func readModel(
    _ reader: inout ConfigReader, source: String
  ) throws -> [String: ConfigValue] {
    guard case .object(let members) = reader.value("model") else {
      throw UserError("\(source): parameters.model", expected: "an object", found: "none")
    }
    for key in ["inputs", "labels"] where members[key] != nil {
      throw UserError(
        "\(source): parameters.model.\(key)", expected: "no such key: it comes from the map set",
        found: members[key]?.summary, remedy: "Delete it.")
    }
    return members
  }

  /// The object that a model configuration is read from: as written, with the input tables and label
  /// count of the data.
  package func modelValue(for data: TrainingData) -> ConfigValue {
    var members = model
    members["inputs"] = .array(
      data.tables.map { ["order": .integer($0.order), "rows": .integer($0.rows)] })
    members["labels"] = .integer(data.labels)
    return .object(members)
  }

  private static func largestPowerOfTwo(upTo limit: Int) -> Int {
    1 << (Int.bitWidth - 1 - limit.leadingZeroBitCount)
  }

  private static func readSteps(
    _ reader: inout ConfigReader, source: String, sentences: Int, batchSentences: Int,
    isText: Bool
  ) throws -> Int {
    guard reader.has("steps") != reader.has("epochs") else {
      throw UserError(
        "\(source): parameters give both or neither of steps and epochs",
        expected: "exactly one of the two", remedy: "Keep the one you mean.")
    }
    if reader.has("steps") {
      let steps = try reader.int("steps", in: 1...1_000_000_000)
      guard !isText || steps * batchSentences <= sentences else {
        throw UserError(
          "\(source): parameters.steps asks for more text than there is",
          expected: "at most \(sentences / batchSentences) steps of \(batchSentences) sentences, "
            + "one pass over the \(sentences) windows", found: "\(steps)",
          remedy: "Lower steps, take more text, or give epochs to read it more than once.")
      }
      return steps
    }
    let epochs = try reader.int("epochs", in: 1...1_000_000)
    return (epochs * sentences + batchSentences - 1) / batchSentences
  }

  private static func readOptimizer(
    _ parent: inout ConfigReader, isOverEncoded: Bool
  ) throws -> Optimizer {
    var reader = try parent.object("optimizer")
    _ = try reader.choice("name", Optimizer.Name.self)
    var tables = Tables()
    if var object = try reader.optionalObject("tables") {
      guard isOverEncoded else {
        throw reader.fault(
          "tables", expected: "no such key without model.overEncoding", found: "an object",
          remedy: "Delete it.")
      }
      tables = try Tables(reader: &object)
      try object.finish()
    }
    let result = Optimizer(
      learningRate: try reader.double("learningRate", in: 0...1e30),
      beta1: try reader.double("beta1", in: 0...0.999_999_999),
      beta2: try reader.double("beta2", in: 0...0.999_999_999),
      epsilon: try reader.double("epsilon", in: 1e-30...1),
      weightDecay: try reader.double("weightDecay", in: 0...1e6),
      clipNorm: try reader.double("clipNorm", in: 0...1e30), tables: tables)
    try reader.finish()
    return result
  }

  private static func readSchedule(
    _ parent: inout ConfigReader, source: String, peak: Double, steps: Int
  ) throws -> LearningRateSchedule {
    var reader = try parent.object("schedule")
    let kind = try reader.choice("kind", LearningRateSchedule.Kind.self)
    let warmupSteps = try reader.int("warmupSteps", in: 0...Int.max)
    let finalFraction = kind == .constant ? 1 : try reader.double("finalFraction", in: 0...1)
    try reader.finish()
    guard warmupSteps < steps else {
      throw UserError(
        "\(source): the warm-up does not end before the run",
        expected: "schedule.warmupSteps below \(steps), the steps of the run",
        found: "\(warmupSteps)", remedy: "Shorten the warm-up or train longer.")
    }
    return LearningRateSchedule(
      kind: kind, peak: peak, warmupSteps: warmupSteps, finalFraction: finalFraction, steps: steps)
  }
}
