import Checkpoints
import Engine
import Foundation
import Kernels
import Models
import NGrams
import Support
import Testing
import Training

@Suite struct OverEncodedRunTests {
  private static let encoding: ConfigValue = ["order": 3, "slices": 2, "rows": 701]

  static func configuration(
    _ input: StageConfiguration.Input, moments: String = "float32",
    _ changes: [(String, ConfigValue?)] = []
  ) -> StageConfiguration {
    TrainerTests.configuration(
      input,
      [
        ("kind", "text"), ("model.context", 9), ("model.overEncoding", encoding),
        ("training.steps", nil), ("training.epochs", 5),
        ("training.batchSequences", 4), ("training.lanes", 2), ("snapshots.count", 3),
        ("optimizer.learningRate", 0.01),
        (
          "optimizer.tables",
          ["moments": .string(moments), "weightDecay": 0.05, "learningRateMultiplier": 2]
        ),
      ] + changes)
  }

  private func model(_ index: TrainingRunIndex) throws -> ModelConfiguration {
    var reader = try ConfigReader(index.model, source: "index")
    return try ModelConfiguration(reader: &reader)
  }

  @Test func snapshotsAreWholeModels() throws {
    try withTemporaryDirectory { directory in
      let output = "\(directory)/run"
      try TrainerTests.train(
        Self.configuration(
          try TextFixture.write(in: directory), [("snapshots.initial", true)]), in: output)
      let index = try TrainingRunIndex(directory: output)
      let model = try model(index)
      #expect(index.parameterCount == model.parameterCount)
      #expect(model.overEncoding?.layout.embedders.count == 4)
      let (first, last, drawn) = (
        model.makeParameters(moments: false), model.makeParameters(moments: false),
        model.makeParameters(moments: false)
      )
      drawn.initialize(seed: 1)
      for (store, snapshot) in [(first, index.snapshots[0]), (last, index.snapshots[3])] {
        try ParameterFile.read(into: store, arrays: [.weights], from: index.path(of: snapshot))
      }
      for (t, table) in first.tables.enumerated() {
        #expect(Array(table.weights) == Array(drawn.tables[t].weights))
        // Weights decay, so that every row moved, looked up or not.
        let moved = zip(table.weights, last.tables[t].weights).allSatisfy { $0 != $1 }
        #expect(moved)
      }
    }
  }

  @Test(arguments: TableMoments.allCases)
  func threadsAndSnapshotsChangeNoBit(moments: TableMoments) throws {
    try withTemporaryDirectory { directory in
      let input = try TextFixture.write(in: directory)
      let configuration = Self.configuration(input, moments: moments.rawValue)
      try TrainerTests.train(configuration, in: "\(directory)/1", threads: 1)
      let expected = try MapFixture.files("\(directory)/1")
      for threads in [2, 3] {
        try TrainerTests.train(configuration, in: "\(directory)/\(threads)", threads: threads)
        #expect(try MapFixture.files("\(directory)/\(threads)") == expected)
      }
      // Looking at the weights in between leaves no trace in them.
      let fewer = Self.configuration(input, moments: moments.rawValue, [("snapshots.count", 1)])
      try TrainerTests.train(fewer, in: "\(directory)/fewer")
      let names = try [directory + "/1", directory + "/fewer"].map {
        let index = try TrainingRunIndex(directory: $0)
        return index.path(of: index.snapshots[index.snapshots.count - 1])
      }
      let stores = try names.map { name in
        let store = try model(TrainingRunIndex(directory: "\(directory)/1"))
          .makeParameters(moments: false)
        try ParameterFile.read(into: store, arrays: [.weights], from: name)
        return store.tables.flatMap { Array($0.weights) }
          + store.layout.slots.flatMap { store.values($0) }
      }
      #expect(stores[0] == stores[1])
    }
  }

  @Test(arguments: TableMoments.allCases)
  func aStopAtAnyStepChangesNoByte(moments: TableMoments) throws {
    try withTemporaryDirectory { directory in
      let configuration = Self.configuration(
        try TextFixture.write(in: directory), moments: moments.rawValue)
      try TrainerTests.train(configuration, in: "\(directory)/whole")
      let expected = try MapFixture.files("\(directory)/whole")
      for step in [0, 1, 2, 7, 19] {
        let output = "\(directory)/stopped-\(step)"
        let first = try TrainerTests.train(configuration, in: output, stopAfter: step)
        #expect(first.outcome == .stopped(step: step))
        let second = try TrainerTests.train(configuration, in: output, threads: 2)
        #expect(second.resumedStep == step)
        #expect(try MapFixture.files(output) == expected, "stopped after step \(step)")
      }
    }
  }

  private func failure(_ changes: [(String, ConfigValue?)]) throws -> String {
    try withTemporaryDirectory { directory in
      let configuration = Self.configuration(try TextFixture.write(in: directory), changes)
      let error = #expect(throws: UserError.self) {
        try TrainerTests.train(configuration, in: "\(directory)/run")
      }
      return try #require(error).description
    }
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let memory = try failure([
      ("model.overEncoding", ["order": 3, "slices": 2, "rows": 2_000_000_000])
    ])
    #expect(memory.contains("model.overEncoding.rows: the tables do not fit in memory"))
    #expect(memory.contains("set optimizer.tables.moments to"))
    #expect(memory.contains("Lower rows to about") && memory.contains("bfloat16"))
    #expect(
      try failure([("model.overEncoding", nil)]).contains(
        "optimizer.tables: expected no such key: the model has no n-gram tables"))
    #expect(
      try failure([("optimizer.tables", nil)]).contains(
        "optimizer.tables: expected the keys of the model's n-gram tables, found none"))
    #expect(
      try failure([("optimizer.tables.moments", "float16")]).contains("optimizer.tables.moments"))
    #expect(
      try failure([("optimizer.tables.momenta", "float32")]).contains("optimizer.tables.momenta"))
    #expect(
      try failure([("model.overEncoding", ["order": 2, "slices": 1, "rows": 0])]).contains(
        "model.overEncoding.rows: expected an integer in 1...2147483647"))
  }

  @Test func damagedTablesAreRefused() throws {
    try withTemporaryDirectory { directory in
      let configuration = Self.configuration(try TextFixture.write(in: directory))
      let output = "\(directory)/run"
      try TrainerTests.train(configuration, in: output, stopAfter: 3)
      let path = "\(output)/checkpoint.safetensors"
      let file = try SafeTensorsFile(path: path)
      let steps = try #require(file.tensors["lastStep/transformer.oe_embedders.0.weight"])
      #expect(steps.dtype == .uint32)
      // A row that claims to be from the future.
      var table = [UInt32](repeating: 0, count: steps.shape[0])
      try table.withUnsafeMutableBytes {
        try file.read(
          "lastStep/transformer.oe_embedders.0.weight", dtype: .uint32, shape: steps.shape, into: $0
        )
      }
      #expect(table.max() == 3)
      let pattern = table.withUnsafeBytes { Array($0) }
      var bytes = try FileBytes.read(path)
      let place = try #require(bytes.firstRange(of: pattern)?.lowerBound)
      bytes[place] = 9
      try AtomicFile.write(bytes, to: path)
      let error = #expect(throws: UserError.self) {
        try TrainerTests.train(configuration, in: output)
      }
      #expect(error?.description.contains("checkpoint.safetensors: expected SHA-256") == true)
    }
  }
}
