import Contracts
import Models
import Support
import Torch

/// The way of a kind of experiment from sources to scores: which stages a run goes through, with which
/// parameters, and what they cost. A new kind of data is a new implementation, and nothing else in
/// planning knows the difference.
package protocol DataPath: Sendable {
  /// What a run takes a batch of, for the run table: "sentences", "windows".
  var unit: String { get }

  /// Adds the stages of run number `run` to the graph, those that are there already excepted.
  func addChain(of run: Int, to graph: inout StageGraph) throws -> StageGraph.Chain

  /// Parameters and inputs of the stage that makes the figure.
  func report(on graph: StageGraph) throws -> (parameters: ReportParameters, inputs: [String: Int])

  /// The sizes of a run that its costs follow from.
  func size(of run: Int, in model: CostModel) throws -> CostModel.RunSize

  func cost(of node: StageGraph.Node, in model: CostModel) throws -> Cost
}

extension Settings {
  /// The members of `model`, but for keys that only other trunks have, for further heads of which there
  /// are none, and for a deviation that is the usual one.
  var model: [String: ConfigValue] {
    get throws {
      guard let architecture = Architecture(rawValue: try string("model.architecture")) else {
        throw fault(
          "model.architecture",
          expected: "one of \(Architecture.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      var members = try architecture.withoutKeysOfOthers(section("model"))
      for key in Registry.furtherHeads.map({ $0.key }) {
        if value("model.\(key).heads") == 1 { members[key] = nil }
      }
      if value("model.deviation") == .double(TrunkSize.usualDeviation) {
        members["deviation"] = nil
      }
      return members
    }
  }

  /// Checks that there are tokens for further heads to predict.
  ///
  /// - Parameter outputOrder: tokens of a label.
  func requireSingleTokens(_ model: ModelConfiguration, outputOrder: Int) throws {
    guard let heads = model.furtherHeads, outputOrder > 1 else { return }
    throw fault(
      "model.\(type(of: heads).key).heads",
      expected: "1 with map.outputOrder \(outputOrder): a label of several tokens is itself a "
        + "prediction further ahead")
  }

  /// The parameters of stage train; keys that do not count where others say so are left out.
  ///
  /// - Parameters:
  ///   - model: as the stage gets it.
  ///   - hasTables: whether the optimizer has n-gram tables to train.
  func trainParameters(
    kind: DataKind, model: [String: ConfigValue], hasTables: Bool = false, seed: Int
  ) throws -> TrainParameters {
    var optimizer = section("optimizer")
    if !hasTables { optimizer["tables"] = nil }
    var schedule = section("schedule")
    if schedule["kind"] == "constant" { schedule["finalFraction"] = nil }
    var snapshots = section("snapshots")
    if snapshots["spacing"] != "log" { snapshots["first"] = nil }
    var training = section("training")
    if training["device"] == "cpu" { training["device"] = nil }
    return try parameters(
      from: [""],
      adding: [
        "kind": .string(kind.rawValue), "model": .object(model), "optimizer": .object(optimizer),
        "schedule": .object(schedule), "snapshots": .object(snapshots),
        "training": .object(training),
        "seed": .integer(seed), "dataSeed": .integer(seed),
      ])
  }

  /// `evaluation.device`, which the stage gets where it is no CPU.
  var evaluationDevice: [String: ConfigValue?] {
    value("evaluation.device") == "cpu" ? ["device": nil] : [:]
  }

  /// Checks that libtorch can compute what stage evaluate asks of a model, where it is to.
  ///
  /// - Parameter sentences: whether sentences are generated.
  /// - Throws: `UserError` for an operation that it is not told how to compute.
  func requireScores(
    of model: ModelConfiguration, on device: TorchDevice?, sentences: Bool
  ) throws {
    if device == nil { return }
    _ = try TorchProgram(model.plan(.scoring, rows: 1), moments: nil)
    if sentences {
      _ = try TorchProgram(
        model.plan(.decoding(context: model.context), rows: 1), moments: nil)
    }
  }

  /// The model that stage train will make of `parameters`, with the tables and classes that its map set
  /// will have.
  func model(
    _ parameters: TrainParameters, inputs: [InputTable], labels: Int
  ) throws -> ModelConfiguration {
    let value = parameters.modelValue(
      inputs: inputs.map { (order: $0.order, rows: $0.rows) }, labels: labels)
    let places = places(below: "model", as: "model")
    var reader = try ConfigReader(
      value, source: entries["model.width"]?.origin ?? "settings", path: "model", places: places)
    do {
      let model = try ModelConfiguration(reader: &reader)
      try reader.finish()
      if parameters.training.device != nil {
        _ = try TorchProgram(
          model.plan(.training, rows: 1), moments: parameters.optimizer.tables?.moments)
      }
      return model
    } catch let error as UserError {
      // Of numbers that do not go together a model does not know where they came from.
      if places.values.contains(where: error.what.hasPrefix) { throw error }
      throw UserError(
        "\(reader.source): model: \(error.what)", expected: error.expected, found: error.found,
        remedy: error.remedy)
    }
  }
}

extension Experiment {
  /// What `make` makes of each run's settings. They are the same for all seeds of a variant and size:
  /// they are read for one of them, and `reseed` makes the others of it.
  func mapRuns<Made>(
    _ make: (Run) throws -> Made, reseed: (Made, _ seed: Int) -> Made
  ) rethrows -> [Made] {
    var known: [String: Made] = [:]
    return try runs.map { run in
      let name = "\(run.variant)/\(run.size)"
      if let first = known[name] { return reseed(first, run.seed) }
      let made = try make(run)
      known[name] = made
      return made
    }
  }

  /// Checks that what is compared with one another has the same values of `settings`.
  ///
  /// - Parameter acrossSizes: whether runs of different sizes are compared too.
  /// - Throws: `UserError` naming the setting and the two variants that differ in it.
  func requireEqual(
    _ settings: [String], acrossSizes: Bool = false, because reason: String
  ) throws {
    for size in acrossSizes ? Array(sizes.prefix(1)) : sizes {
      let runs = runs.filter { acrossSizes || $0.size == size }
      for run in runs.dropFirst() {
        for path in settings where run.settings.value(path) != runs[0].settings.value(path) {
          throw run.settings.fault(
            path,
            expected: "\(runs[0].settings.value(path)?.canonicalJSON ?? "none"), as in variant "
              + "'\(runs[0].variant)': \(reason)")
        }
      }
    }
  }
}

extension TrainParameters {
  /// Steps of a run, and the weights that it keeps; planned runs say both by number.
  var plannedSteps: (steps: Int, snapshots: Int) {
    guard let steps = training.steps, let count = snapshots.count else {
      preconditionFailure("settings give steps and count")
    }
    return (steps, count)
  }
}

extension Int {
  /// The nearest integer; the largest and the smallest for numbers beyond them, 0 for no number.
  init(nearest value: Double) {
    self = value.isNaN ? 0 : Int(exactly: value.rounded()) ?? (value < 0 ? .min : .max)
  }
}
