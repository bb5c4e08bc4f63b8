import Kernels
import Models
import Support

/// The way of a kind of experiment from sources to scores: which stages a run goes through, with which
/// parameters, and what they cost. A new kind of data is a new implementation, and nothing else in
/// planning knows the difference.
package protocol DataPath: Sendable {
  /// What a run takes a batch of, for the run table: "sentences", "windows".
  var unit: String { get }

  /// Adds the stages of run number `run` to the graph, those that are there already excepted.
  func addChain(of run: Int, to graph: inout StageGraph) throws -> StageGraph.Chain

  /// Parameters and inputs of the stage that makes the figure.
  func report(on graph: StageGraph) throws -> (parameters: ConfigValue, inputs: [String: Int])

  /// The sizes of a run that its costs follow from.
  func size(of run: Int, in model: CostModel) throws -> CostModel.RunSize

  func cost(of node: StageGraph.Node, in model: CostModel) throws -> Cost
}

extension ConfigValue {
  /// The members of a section of settings, which is an object by construction.
  var sectionMembers: [String: ConfigValue] {
    guard case .object(let members) = self else { preconditionFailure("a section is an object") }
    return members
  }
}

extension Settings {
  /// The parameters of stage train that every kind of data has in common; `model` as it is given.
  func trainParameters(
    model: [String: ConfigValue], batch: Int, seed: Int
  ) throws -> [String: ConfigValue] {
    var schedule = section("schedule").sectionMembers
    if schedule["kind"] == "constant" { schedule["finalFraction"] = nil }
    var snapshots = section("snapshots").sectionMembers
    if snapshots["spacing"] != "log" { snapshots["first"] = nil }
    var parameters: [String: ConfigValue] = [
      "model": .object(model), "optimizer": section("optimizer"),
      "schedule": .object(schedule), "snapshots": .object(snapshots),
      "batchSentences": .integer(batch),
      "steps": .integer(try int("training.steps", in: 1...1 << 40)),
      "lanes": .integer(try int("training.lanes", in: 1...4096)),
      "checkpointEverySteps": .integer(try int("training.checkpointEverySteps", in: 1...Int.max)),
      "logEverySteps": .integer(try int("training.logEverySteps", in: 1...Int.max)),
      "seed": .integer(seed), "dataSeed": .integer(seed),
    ]
    let precision = try precision
    if precision != .float32 { parameters["precision"] = .string(precision.rawValue) }
    return parameters
  }

  /// The members of `model`, but for keys that only other trunks have.
  var model: [String: ConfigValue] {
    get throws {
      guard let architecture = Architecture(rawValue: try string("model.architecture")) else {
        throw fault(
          "model.architecture",
          expected: "one of \(Architecture.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return try architecture.withoutKeysOfOthers(section("model").sectionMembers)
    }
  }

  /// Of the matrix products of training; a configuration leaves `float32` out.
  var precision: Precision {
    get throws {
      guard let precision = Precision(rawValue: try string("training.precision")) else {
        throw fault(
          "training.precision",
          expected: "one of \(Precision.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return precision
    }
  }
}
