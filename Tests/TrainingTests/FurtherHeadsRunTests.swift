import Checkpoints
import Contracts
import Foundation
import Support
import Testing
import Training

/// Runs of models with several losses.
@Suite struct FurtherHeadsRunTests {
  static let kinds: [(key: String, value: ConfigValue)] = [
    ("overDecoding", ["heads": 3, "weights": [0.5, 0.2], "rank": 3]),
    ("mtp", ["heads": 3, "weights": [1.0, 0.5]]),
    ("mtpDS", ["heads": 3, "weights": [0.3, 0.3]]),
  ]

  private func metadata(outputOrder: Int) -> ConfigValue {
    guard case .object(var members) = MapFixture.metadata else { return [:] }
    members["outputOrder"] = .integer(outputOrder)
    return .object(members)
  }

  private func withRun(
    _ kind: Int, _ changes: [(String, ConfigValue?)] = [], outputOrder: Int = 1,
    _ body: (_ configuration: StageConfiguration, _ directory: String) throws -> Void
  ) throws {
    try withTemporaryDirectory { directory in
      let input = try MapFixture.write(
        in: directory, metadata: metadata(outputOrder: outputOrder))
      let (key, value) = Self.kinds[kind]
      try body(TrainerTests.configuration(input, [("model." + key, value)] + changes), directory)
    }
  }

  /// Every loss is learned, and stands by name in metrics and index; `loss` is the next token's alone.
  @Test(arguments: kinds.indices)
  func everyLossIsLearned(kind: Int) throws {
    try withRun(
      kind, [("training.steps", 150), ("optimizer.learningRate", 0.02)]
    ) { configuration, directory in
      let output = "\(directory)/run"
      try TrainerTests.train(configuration, in: output, threads: 2)
      let index = try TrainingRunIndex(directory: output)
      #expect(Set(index.finalLosses.keys) == ["ahead2", "ahead3"])
      // Untrained: log 5 = 1.61.
      let finalLoss = try #require(index.finalLoss)
      #expect(finalLoss < 0.7)
      for (name, loss) in index.finalLosses { #expect(loss < 1.1, "\(name)") }
      let last = try #require(
        String(contentsOfFile: "\(output)/metrics.jsonl", encoding: .utf8)
          .split(separator: "\n").last)
      let line = try ConfigValue.parse(yaml: String(last), source: "metrics")
      #expect(line["loss"] == .double(finalLoss))
      for (name, loss) in index.finalLosses { #expect(line["losses"]?[name] == .double(loss)) }
    }
  }

  /// Stops and ranks change no byte.
  @Test(arguments: kinds.indices)
  func aStopAtAnyStepChangesNoByte(kind: Int) throws {
    try withRun(kind, [("training.logEverySteps", 7)]) { configuration, directory in
      try TrainerTests.train(configuration, in: "\(directory)/whole")
      let expected = try MapFixture.files("\(directory)/whole")
      for step in [0, 1, 6, 9, 19] {
        let output = "\(directory)/stopped-\(step)"
        try TrainerTests.train(configuration, in: output, stopAfter: step)
        let second = try TrainerTests.train(configuration, in: output, threads: 2)
        #expect(second.resumedStep == step)
        #expect(try MapFixture.files(output) == expected, "stopped after step \(step)")
      }
      for ranks in [2, 4] {
        let output = "\(directory)/ranks-\(ranks)"
        try TrainerRankTests.train(configuration, in: output, ranks: ranks)
        #expect(try MapFixture.files(output) == expected, "\(ranks) ranks")
      }
    }
  }

  /// Where a label is several tokens there is no token further ahead.
  @Test func jointLabelsAreRefused() throws {
    try withRun(1, outputOrder: 3) { configuration, directory in
      let error = #expect(throws: UserError.self) {
        try TrainerTests.train(configuration, in: "\(directory)/run")
      }
      #expect(error?.description.contains("model.mtp: expected labels of one token") == true)
    }
  }

  @Test func whatDoesNotFitIsRefused() throws {
    for (value, named) in [
      (["heads": 3, "weights": [1.0]], "model.mtp.weights"),
      (["heads": 60, "weights": .array(Array(repeating: 1.0, count: 59))], "context"),
      (["heads": 2, "weights": [1.0], "tails": 3], "model.mtp.tails"),
    ] as [(ConfigValue, String)] {
      try withRun(1, [("model.mtp", value)]) { configuration, directory in
        let error = #expect(throws: UserError.self) {
          try TrainerTests.train(configuration, in: "\(directory)/run")
        }
        #expect(error?.description.contains(named) == true, "\(error?.description ?? "")")
      }
    }
  }

  /// The Over-Tokenized Transformer: a chain whose condition is over-encoded, over windows of text.
  @Test func overTokenized() throws {
    try withTemporaryDirectory { directory in
      let configuration = OverEncodedRunTests.configuration(
        try TextFixture.write(in: directory), [("model.mtpDS", Self.kinds[2].value)])
      try TrainerTests.train(configuration, in: "\(directory)/whole")
      let expected = try MapFixture.files("\(directory)/whole")
      #expect(
        Set(try TrainingRunIndex(directory: "\(directory)/whole").finalLosses.keys)
          == ["ahead2", "ahead3"])
      let output = "\(directory)/stopped"
      try TrainerTests.train(configuration, in: output, stopAfter: 5)
      try TrainerTests.train(configuration, in: output, threads: 2)
      #expect(try MapFixture.files(output) == expected)
    }
  }
}
