import Checkpoints
import Contracts
import Engine
import Foundation
import Kernels
import Models
import Support
import Testing
import Training

@Suite struct TrainerTests {
  /// A run of 20 steps with snapshots at 5, 10, 15, 20 and checkpoints every 6 steps.
  static func configuration(
    _ input: StageConfiguration.Input, _ changes: [(String, ConfigValue?)] = []
  ) -> StageConfiguration {
    var parameters = TrainingPlanTests.changed("training.checkpointEverySteps", to: 6)
    for (path, value) in changes {
      parameters = TrainingPlanTests.changed(path, to: value, in: parameters)
    }
    return StageConfiguration(
      stage: Stage.train.rawValue, version: Stage.train.version, parameters: parameters,
      inputs: ["data": input], source: "train.json")
  }

  /// Runs one process's worth of training in `output`, which is made when missing.
  @discardableResult
  static func train(
    _ configuration: StageConfiguration, in output: String, threads: Int = 1, stopAfter: Int? = nil
  ) throws -> TrainingSummary {
    try AtomicFile.makeDirectory(output)
    return try TrainingStage.run(
      configuration, output: output, threads: threads, isQuiet: true, stopAfter: stopAfter)
  }

  private func withRun<Result>(
    _ changes: [(String, ConfigValue?)] = [],
    _ body: (_ configuration: StageConfiguration, _ directory: String) throws -> Result
  ) throws -> Result {
    try withTemporaryDirectory { directory in
      try body(Self.configuration(try MapFixture.write(in: directory), changes), directory)
    }
  }

  private func failure(
    _ changes: [(String, ConfigValue?)], after prepare: (String) throws -> Void = { _ in }
  ) throws -> String {
    try withRun(changes) { configuration, directory in
      let output = "\(directory)/run"
      try AtomicFile.makeDirectory(output)
      try prepare(output)
      let error = #expect(throws: UserError.self) { try Self.train(configuration, in: output) }
      return try #require(error).description
    }
  }

  // MARK: - What a run leaves

  @Test func learnsAndLeavesAnIndexOfWhatItWrote() throws {
    try withRun([
      ("training.steps", 150), ("optimizer.learningRate", 0.02), ("snapshots.count", 3),
      ("snapshots.initial", true),
    ]) { configuration, directory in
      let output = "\(directory)/run"
      let summary = try Self.train(configuration, in: output, threads: 2)
      #expect(summary.outcome == .finished)
      let index = try TrainingRunIndex(directory: output)
      #expect(index.snapshots.map(\.step) == [0, 50, 100, 150])
      for snapshot in index.snapshots { try index.verify(snapshot) }
      #expect(index.id == configuration.id)
      #expect(index.data == MapFixture.metadata)
      #expect(index.sequences == 150 * 8)
      var reader = try ConfigReader(index.model, source: "index")
      let model = try ModelConfiguration(reader: &reader)
      #expect(index.parameterCount == model.parameterCount)
      #expect(model.inputs.map(\.rows) == [5, 14] && model.labels == 5)
      // Untrained: log 5 = 1.61. What is left to learn is where a document begins and ends.
      #expect(try #require(index.finalLoss) < 0.7)
      let names = try FileManager.default.contentsOfDirectory(atPath: output).sorted()
      #expect(
        names == ["index.json", "metrics.jsonl"] + index.snapshots.map(\.file).sorted())
    }
  }

  @Test func theInitialSnapshotIsTheInitialisation() throws {
    try withRun([("snapshots.initial", true)]) { configuration, directory in
      let output = "\(directory)/run"
      try Self.train(configuration, in: output)
      let index = try TrainingRunIndex(directory: output)
      var reader = try ConfigReader(index.model, source: "index")
      let model = try ModelConfiguration(reader: &reader)
      let (read, drawn) = (
        model.makeParameters(moments: false), model.makeParameters(moments: false)
      )
      drawn.initialize(seed: 1)
      try ParameterFile.read(
        into: read, arrays: [.weights], from: index.path(of: index.snapshots[0]))
      for slot in model.layout.slots { #expect(read.values(slot) == drawn.values(slot)) }
    }
  }

  @Test func metricsCountWhatWasConsumed() throws {
    // 37 documents by batches of 8: 37 steps are 8 epochs.
    try withRun([("training.steps", 37), ("training.logEverySteps", 10)]) {
      configuration, directory in
      let output = "\(directory)/run"
      try Self.train(configuration, in: output)
      let text = try String(contentsOfFile: "\(output)/metrics.jsonl", encoding: .utf8)
      let lines = try text.split(separator: "\n").map {
        try ConfigValue.parse(yaml: String($0), source: "metrics")
      }
      #expect(lines.map { $0["step"] } == [10, 20, 30, 37])
      #expect(lines.map { $0["sentences"] } == [80, 160, 240, 296])
      let symbols = (0..<MapFixture.documents).reduce(0) { $0 + MapFixture.symbols($1).count }
      #expect(lines.last?["characters"] == .integer(8 * symbols))
      #expect(lines.last?["rows"] == .integer(8 * (symbols + MapFixture.documents)))
      #expect(text.hasSuffix("\n"))
      let index = try TrainingRunIndex(directory: output)
      #expect(try lines.last?["loss"] == .double(#require(index.finalLoss)))
    }
  }

  @Test func theSmallestRun() throws {
    try withRun([
      ("training.steps", 1), ("training.batchSequences", 1), ("training.lanes", 1),
      ("schedule.warmupSteps", 0),
      ("optimizer.clipNorm", 0),
    ]) { configuration, directory in
      let output = "\(directory)/run"
      #expect(try Self.train(configuration, in: output, threads: 4).outcome == .finished)
      let index = try TrainingRunIndex(directory: output)
      #expect(index.snapshots.map(\.step) == [1] && index.sequences == 1)
    }
  }

  // MARK: - The same bits

  @Test(
    arguments: [[], [("training.lanes", 1)], [("training.lanes", 8)]] as [[(String, ConfigValue)]]
      + (Precision.bfloat16.isAvailable ? [[("training.precision", "bfloat16")]] : []))
  func threadsChangeNoByte(changes: [(String, ConfigValue)]) throws {
    try withRun(changes.map { ($0.0, $0.1) }) { configuration, directory in
      try Self.train(configuration, in: "\(directory)/1", threads: 1)
      let expected = try MapFixture.files("\(directory)/1")
      #expect(expected.count == 6)
      for threads in [2, 3, 4, 8] {
        try Self.train(configuration, in: "\(directory)/\(threads)", threads: threads)
        #expect(try MapFixture.files("\(directory)/\(threads)") == expected, "\(threads) threads")
      }
    }
  }

  @Test func aStopAtAnyStepChangesNoByte() throws {
    try withRun { configuration, directory in
      try Self.train(configuration, in: "\(directory)/whole")
      let expected = try MapFixture.files("\(directory)/whole")
      for step in 0..<20 {
        let output = "\(directory)/stopped-\(step)"
        let first = try Self.train(configuration, in: output, stopAfter: step)
        #expect(first.outcome == .stopped(step: step))
        #expect(!FileBytes.exists("\(output)/index.json"))
        let second = try Self.train(configuration, in: output, threads: 2)
        #expect(second.resumedStep == step)
        #expect(try MapFixture.files(output) == expected, "stopped after step \(step)")
      }
    }
  }

  @Test func manyStopsChangeNoByte() throws {
    try withRun([("training.logEverySteps", 3)]) { configuration, directory in
      try Self.train(configuration, in: "\(directory)/whole")
      let output = "\(directory)/stopped"
      for step in 1..<20 { try Self.train(configuration, in: output, stopAfter: step) }
      try Self.train(configuration, in: output)
      #expect(try MapFixture.files(output) == MapFixture.files("\(directory)/whole"))
    }
  }

  /// What a kill leaves: the files of some step, and a checkpoint of an earlier one, or none.
  @Test(arguments: [nil, 1, 6, 12], [13, 16, 19])
  func aKillChangesNoByte(checkpoint: Int?, killed: Int) throws {
    try withRun { configuration, directory in
      try Self.train(configuration, in: "\(directory)/whole")
      let output = "\(directory)/killed"
      let saved = "\(output)/checkpoint.safetensors"
      var bytes: [UInt8] = []
      if let checkpoint {
        try Self.train(configuration, in: output, stopAfter: checkpoint)
        bytes = try FileBytes.read(saved)
      }
      try Self.train(configuration, in: output, stopAfter: killed)
      if checkpoint == nil {
        try FileManager.default.removeItem(atPath: saved)
      } else {
        try AtomicFile.write(bytes, to: saved)
      }
      let summary = try Self.train(configuration, in: output)
      #expect(summary.resumedStep == checkpoint ?? 0)
      #expect(try MapFixture.files(output) == MapFixture.files("\(directory)/whole"))
    }
  }

  @Test func aFinishedRunRunsAgainToTheSameBytes() throws {
    try withRun { configuration, directory in
      let output = "\(directory)/run"
      try Self.train(configuration, in: output)
      let expected = try MapFixture.files(output)
      try FileManager.default.removeItem(atPath: "\(output)/index.json")
      #expect(try Self.train(configuration, in: output).resumedStep == 0)
      #expect(try MapFixture.files(output) == expected)
    }
  }

  @Test func seedsDecide() throws {
    try withTemporaryDirectory { directory in
      let input = try MapFixture.write(in: directory)
      var weights: [[UInt8]] = []
      for (name, changes) in [
        ("a", []), ("b", [("seed", 2)]), ("c", [("dataSeed", 3)]),
      ] as [(String, [(String, ConfigValue?)])] {
        try Self.train(Self.configuration(input, changes), in: "\(directory)/\(name)")
        weights.append(try FileBytes.read("\(directory)/\(name)/weights-20.safetensors"))
      }
      #expect(weights[0] != weights[1] && weights[0] != weights[2] && weights[1] != weights[2])
    }
  }

  // MARK: - Faults

  @Test func aDivergingRunNamesStepTensorAndCheckpoint() throws {
    try withRun([
      ("optimizer.learningRate", 1e30), ("schedule.warmupSteps", 0),
      ("training.checkpointEverySteps", 1),
    ]) { configuration, directory in
      let output = "\(directory)/run"
      let error = #expect(throws: UserError.self) { try Self.train(configuration, in: output) }
      let message = try #require(error).description
      #expect(message.contains("training diverged at step 2"))
      #expect(
        message.contains("loss") || message.contains("weight") || message.contains("gradient"))
      #expect(message.contains("\(output)/checkpoint.safetensors, step 1"))
      #expect(FileBytes.exists("\(output)/checkpoint.safetensors"))
      #expect(!FileBytes.exists("\(output)/index.json"))
    }
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let context = try failure([("model.context", 10)])
    #expect(context.contains("at least 11 positions, found 10"))
    #expect(try failure([("model.heads", 3)]).contains("multiple of 3 heads, found 16"))
    #expect(try failure([("model.depth", 3)]).contains("parameters.model.depth: unknown key"))
    #expect(try failure([("model.tied", true)]).contains("tied"))
    #expect(try failure([("training.batchSequences", 38)]).contains("at most 37"))
  }

  @Test func checkpointsOfOthersAreRefused() throws {
    try withTemporaryDirectory { directory in
      let input = try MapFixture.write(in: directory)
      let output = "\(directory)/run"
      try Self.train(Self.configuration(input), in: output, stopAfter: 7)
      let before = try MapFixture.files(output)
      let other = Self.configuration(input, [("seed", 5)])
      let error = #expect(throws: UserError.self) { try Self.train(other, in: output) }
      #expect(try #require(error).description.contains("checkpoint of another configuration"))
      #expect(try MapFixture.files(output) == before)
    }
  }

  @Test func damagedCheckpointsAndSnapshotsAreRefused() throws {
    func message(_ damage: (String) throws -> Void) throws -> String {
      try withRun { configuration, directory in
        let output = "\(directory)/run"
        try Self.train(configuration, in: output, stopAfter: 7)
        try damage(output)
        let error = #expect(throws: UserError.self) { try Self.train(configuration, in: output) }
        return try #require(error).description
      }
    }
    let cut = try message { output in
      let path = "\(output)/checkpoint.safetensors"
      try AtomicFile.write(Array(try FileBytes.read(path).dropLast(4)), to: path)
    }
    #expect(cut.contains("truncated"))
    // A bit of the last tensor, of a moment and of a digit of the state.
    for place in [0.999, 0.5, 0.02] {
      let flipped = try message { output in
        let path = "\(output)/checkpoint.safetensors"
        var bytes = try FileBytes.read(path)
        bytes[Int(place * Double(bytes.count))] ^= 1
        try AtomicFile.write(bytes, to: path)
      }
      #expect(flipped.contains("checkpoint.safetensors"))
    }
    let metrics = try message { output in
      var bytes = try FileBytes.read("\(output)/metrics.jsonl")
      bytes[bytes.count / 2] ^= 1
      try AtomicFile.write(bytes, to: "\(output)/metrics.jsonl")
    }
    #expect(metrics.contains("metrics.jsonl: expected lines with SHA-256"))
    #expect(
      try message { try AtomicFile.write("x", to: "\($0)/weights-5.safetensors") }
        .contains("weights-5.safetensors"))
    #expect(
      try message { try AtomicFile.write("x", to: "\($0)/metrics.jsonl") }
        .contains("shorter than the checkpoint says"))
    #expect(
      try failure([]) { output in
        try AtomicFile.write("not safetensors", to: "\(output)/checkpoint.safetensors")
      }.contains("checkpoint.safetensors"))
  }
}
