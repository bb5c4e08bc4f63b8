import Support
import Testing
import Training

@Suite struct TrainingParametersTests {
  static let valid: ConfigValue = [
    "model": [
      "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 40, "tied": false,
    ],
    "optimizer": [
      "name": "adamw", "learningRate": 0.001, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
      "weightDecay": 0.1, "clipNorm": 1.0,
    ],
    "schedule": ["kind": "cosine", "warmupSteps": 5, "finalFraction": 0.1],
    "batchSentences": 8, "lanes": 4, "steps": 20,
    "snapshots": ["count": 4, "spacing": "linear"],
    "checkpointEverySteps": 5, "logEverySteps": 2, "seed": 1, "dataSeed": 2,
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

  private func read(_ value: ConfigValue, sentences: Int = 100) throws -> TrainingParameters {
    try TrainingParameters(value, source: "train.json", sentences: sentences)
  }

  @Test func readsEverything() throws {
    let parameters = try read(Self.valid)
    #expect(parameters.steps == 20)
    #expect(parameters.snapshots.steps == [5, 10, 15, 20])
    #expect(parameters.schedule.rate(step: 5) == 0.001)
    #expect(parameters.optimizer.beta2 == 0.98)
    #expect(parameters.dataSeed == 2)
  }

  @Test func epochsCoverEveryDocument() throws {
    var value = Self.changed("steps", to: nil)
    if case .object(var members) = value {
      members["epochs"] = 3
      value = .object(members)
    }
    #expect(try read(value, sentences: 101).steps == 38)
  }

  @Test func logarithmicAndExplicitSnapshots() throws {
    let log: ConfigValue = ["count": 3, "spacing": "log", "first": 5, "initial": true]
    #expect(try read(Self.changed("snapshots", to: log)).snapshots.steps == [0, 5, 10, 20])
    let list: ConfigValue = ["steps": [1, 7, 20]]
    #expect(try read(Self.changed("snapshots", to: list)).snapshots.steps == [1, 7, 20])
    let crowded: ConfigValue = ["count": 50, "spacing": "linear"]
    #expect(try read(Self.changed("snapshots", to: crowded)).snapshots.steps == Array(1...20))
    let one: ConfigValue = ["count": 1, "spacing": "log", "first": 3]
    #expect(try read(Self.changed("snapshots", to: one)).snapshots.steps == [20])
  }

  @Test(
    arguments: [
      ("batchSentences", 101, "larger than the data set"),
      ("batchSentences", 0, "batchSentences"),
      ("lanes", 3, "power of two of at most 8"),
      ("lanes", 16, "power of two of at most 8"),
      ("steps", 0, "steps"),
      ("steps", nil, "exactly one"),
      ("epochs", 2, "exactly one"),
      ("schedule.warmupSteps", 20, "warm-up does not end"),
      ("schedule.kind", "cosin", "schedule.kind"),
      ("schedule.finalFraction", 1.5, "finalFraction"),
      ("optimizer.clipNorm", -1, "clipNorm"),
      ("optimizer.beta1", 1, "beta1"),
      ("optimizer.momentum", 0.9, "optimizer.momentum"),
      ("snapshots.steps", [5, 10], "ascends to the last step"),
      ("snapshots.steps", [10, 5, 20], "ascends to the last step"),
      ("model.labels", 5, "comes from the map set"),
      ("model", nil, "parameters.model"),
      ("logEverySteps", 0, "logEverySteps"),
      ("batchSentence", 8, "batchSentences"),
    ] as [(String, ConfigValue?, String)])
  func refuses(path: String, value: ConfigValue?, message: String) throws {
    let error = #expect(throws: UserError.self) {
      _ = try read(Self.changed(path, to: value))
    }
    #expect("\(try #require(error))".contains(message))
  }
}
