import Contracts
import Support
import Testing
import Training

@Suite struct TrainingPlanTests {
  static let valid: ConfigValue = [
    "kind": "grammar",
    "model": [
      "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 40, "tied": false,
    ],
    "optimizer": [
      "name": "adamw", "learningRate": 0.001, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
      "weightDecay": 0.1, "clipNorm": 1.0,
    ],
    "schedule": ["kind": "cosine", "warmupSteps": 5, "finalFraction": 0.1],
    "training": [
      "batchSequences": 8, "lanes": 4, "steps": 20, "checkpointEverySteps": 5, "logEverySteps": 2,
      "precision": "float32",
    ],
    "snapshots": ["count": 4, "spacing": "linear", "initial": false], "seed": 1, "dataSeed": 2,
  ]

  /// `valid` with the value at a dotted path replaced, or removed when nil.
  static func changed(
    _ path: String, to value: ConfigValue?, in parameters: ConfigValue = valid
  ) -> ConfigValue {
    func change(_ node: ConfigValue, _ keys: ArraySlice<Substring>) -> ConfigValue {
      guard case .object(var members) = node, let key = keys.first else { return node }
      if keys.count == 1 {
        members[String(key)] = value
      } else if let child = members[String(key)] {
        members[String(key)] = change(child, keys.dropFirst())
      }
      return .object(members)
    }
    return change(parameters, path.split(separator: ".")[...])
  }

  private func read(
    _ value: ConfigValue, kind: DataKind = .grammar, sequences: Int = 100
  ) throws -> TrainingPlan {
    let configuration = StageConfiguration(
      stage: "train", version: 1, parameters: value, source: "train.json")
    return try TrainingPlan(configuration, kind: kind, sequences: sequences)
  }

  @Test func readsEverything() throws {
    let plan = try read(Self.valid)
    #expect(plan.steps == 20)
    #expect(plan.snapshots.steps == [5, 10, 15, 20])
    #expect(plan.schedule.rate(step: 5) == 0.001)
    #expect(plan.parameters.optimizer.beta2 == 0.98)
    #expect(plan.parameters.dataSeed == 2)
  }

  @Test func epochsCoverEveryDocument() throws {
    let value = Self.changed(
      "training.epochs", to: 3, in: Self.changed("training.steps", to: nil))
    #expect(try read(value, sequences: 101).steps == 38)
  }

  @Test func logarithmicAndExplicitSnapshots() throws {
    let log: ConfigValue = ["count": 3, "spacing": "log", "first": 5, "initial": true]
    #expect(try read(Self.changed("snapshots", to: log)).snapshots.steps == [0, 5, 10, 20])
    let list: ConfigValue = ["steps": [1, 7, 20], "initial": false]
    #expect(try read(Self.changed("snapshots", to: list)).snapshots.steps == [1, 7, 20])
    let crowded: ConfigValue = ["count": 50, "spacing": "linear", "initial": false]
    #expect(try read(Self.changed("snapshots", to: crowded)).snapshots.steps == Array(1...20))
    let one: ConfigValue = ["count": 1, "spacing": "log", "first": 3, "initial": false]
    #expect(try read(Self.changed("snapshots", to: one)).snapshots.steps == [20])
  }

  @Test(
    arguments: [
      ("training.batchSequences", 101, "at most 100, the sentences of the map set"),
      ("training.batchSequences", 0, "batchSequences"),
      ("training.lanes", 3, "power of two of at most 8"),
      ("training.lanes", 16, "power of two of at most 8"),
      ("training.steps", 0, "steps"),
      ("training.steps", nil, "exactly one"),
      ("training.epochs", 2, "exactly one"),
      ("schedule.warmupSteps", 20, "schedule.warmupSteps: expected below 20"),
      ("schedule.kind", "cosin", "schedule.kind"),
      ("schedule.finalFraction", 1.5, "finalFraction"),
      ("optimizer.clipNorm", -1, "clipNorm"),
      ("optimizer.beta1", 1, "beta1"),
      ("optimizer.momentum", 0.9, "optimizer.momentum"),
      ("snapshots", ["steps": [5, 10], "initial": false], "ascending steps, the last of them 20"),
      ("snapshots", ["steps": [10, 5, 20], "initial": false], "ascending steps"),
      ("snapshots.steps", [20], "one too many"),
      ("snapshots.spacing", "log", "snapshots.first"),
      ("snapshots.initial", nil, "snapshots.initial"),
      ("schedule.kind", "constant", "no such key with kind constant"),
      ("kind", nil, "parameters.kind"),
      ("kind", "text", "expected grammar, as the map set"),
      ("model.labels", 5, "comes from the map set"),
      ("model", nil, "parameters.model"),
      ("training.logEverySteps", 0, "logEverySteps"),
      ("training.batchSequence", 8, "training.batchSequences"),
    ] as [(String, ConfigValue?, String)])
  func refuses(path: String, value: ConfigValue?, message: String) throws {
    let error = #expect(throws: UserError.self) {
      _ = try read(Self.changed(path, to: value))
    }
    #expect("\(try #require(error))".contains(message))
  }
}
