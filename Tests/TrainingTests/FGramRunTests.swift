import Checkpoints
import Engine
import Foundation
import Kernels
import Models
import NGrams
import Shards
import Support
import Testing
import Training

/// Map sets of content fGrams made by hand.
enum FGramFixture {
  static let vocabulary = 50
  static let longest = 3

  static let documents: [[Int]] = (0..<12).map { tokens($0, seed: $0) } + [tokens(100, seed: 99)]

  private static func tokens(_ count: Int, seed: Int) -> [Int] {
    var stream = RandomStream(seed: UInt64(seed), name: "f-grams")
    return (0..<count).map { _ in Int(stream.below(stream.below(3) == 0 ? 50 : 4)) }
  }

  /// Runs of two and three tokens that occur at least twice.
  static let fGrams: Set<[Int]> = {
    var counts: [[Int]: Int] = [:]
    for tokens in documents {
      for length in 2...longest {
        for first in stride(from: 0, through: tokens.count - length, by: 1) {
          counts[Array(tokens[first..<first + length]), default: 0] += 1
        }
      }
    }
    return Set(counts.filter { $0.value >= 2 }.keys)
  }()

  static func match(_ tokens: [Int], _ t: Int) -> Int {
    (2...longest).last { $0 <= t + 1 && fGrams.contains(Array(tokens[t + 1 - $0...t])) } ?? 1
  }

  /// Writes directory/fgrams.
  static func write(
    in directory: String, changing: [String: ConfigValue] = [:]
  ) throws -> StageConfiguration.Input {
    let metadata = ConfigValue.object(
      ([
        "kind": "text", "content": "fGrams", "longest": .integer(longest), "size": 0,
        "fgrams": "cafefeedface", "vocabulary": .integer(vocabulary), "tokenizer": "feedfacecafe",
        "labels": .integer(vocabulary),
        "labelBytes": .array((0..<vocabulary).map { .integer($0 % 5) }),
        "inputs": [["order": 1, "rows": .integer(vocabulary)]],
      ] as [String: ConfigValue]).merging(changing) { $1 })
    let configuration = StageConfiguration(
      stage: "map", version: 1, parameters: .object(["metadata": metadata]))
    let path = "\(directory)/fgrams-\(configuration.id)"
    try AtomicFile.makeDirectory(path)
    let writer = try ShardSetWriter(
      directory: path, element: .u16,
      columns: [
        Column("token", cardinality: vocabulary), Column("match", cardinality: longest + 1),
        Column("label", cardinality: vocabulary),
      ], configuration: configuration)
    try writer.writeShards(count: 1, threads: 1) { _, sink in
      for tokens in documents {
        let rows = tokens.dropLast().indices
        let columns: [[Int]] = [
          rows.map { tokens[$0] }, rows.map { match(tokens, $0) }, rows.map { tokens[$0 + 1] },
        ]
        try sink.append(document: columns.joined().map(UInt64.init))
      }
    }
    try writer.finish(metadata: metadata)
    return StageConfiguration.Input(id: configuration.id, path: path)
  }
}

@Suite struct FGramRunTests {
  private static func configuration(
    _ input: StageConfiguration.Input, _ changes: [(String, ConfigValue?)] = []
  ) -> StageConfiguration {
    TrainerTests.configuration(
      input,
      [
        ("kind", "text"), ("model.context", 9),
        ("model.fGrams", ["longest": .integer(FGramFixture.longest), "layers": 1]),
        ("training.steps", nil), ("training.epochs", 5), ("training.batchSequences", 4),
        ("training.lanes", 4), ("snapshots.count", 3), ("optimizer.learningRate", 0.01),
      ] + changes)
  }

  /// Lanes hold each f-gram of a window once; what it begins before the window is cut off.
  @Test func lanesHoldWhatWindowsShow() throws {
    try withTemporaryDirectory { directory in
      var data = try TrainingData(FGramFixture.write(in: directory), threads: 1)
      data.cut(context: 7)
      try data.fit(.matches(longest: FGramFixture.longest))
      #expect(data.inputColumns == 2)
      var lane = PackedLane(tables: 2, longestMatch: FGramFixture.longest)
      var expected: [[Int]] = []
      for sentence in 0..<data.sentences {
        data.append(sentence, to: &lane)
        let tokens = data.tokens(of: sentence).dropLast().map(Int.init)
        // Every part of an f-gram is one: what fits in the window is the longest that ends there.
        for t in tokens.indices {
          let match = FGramFixture.match(tokens, t)
          if match > 1 { expected.append(Array(tokens[t + 1 - match...t])) }
        }
      }
      let rows = lane.spaces[0]
      let found = lane.links[0].filter { $0 != RowLink.none }.map { last in
        let segment = rows.segmentOffsets.firstIndex { $0 > last } ?? 0
        return rows.inputs[rows.segmentOffsets[segment - 1]...Int(last)].map(Int.init)
      }
      #expect(found == expected && Set(found).count == rows.segmentOffsets.count - 1)
      #expect(found.contains { $0.count == 3 } && found.count > Set(found).count)
    }
  }

  @Test func aStopAtAnyStepAndThreadsChangeNoByte() throws {
    try withTemporaryDirectory { directory in
      let configuration = Self.configuration(try FGramFixture.write(in: directory))
      let summary = try TrainerTests.train(configuration, in: "\(directory)/whole")
      let share = try #require(summary.fGramRowsPerRow)
      #expect(share > 0.3 && share < 3)
      let expected = try MapFixture.files("\(directory)/whole")
      for (step, threads) in [(0, 2), (2, 4), (7, 3)] {
        let output = "\(directory)/stopped-\(step)"
        try TrainerTests.train(configuration, in: output, threads: threads, stopAfter: step)
        try TrainerTests.train(configuration, in: output, threads: threads)
        #expect(try MapFixture.files(output) == expected)
      }
      try TrainerRankTests.train(configuration, in: "\(directory)/ranks", ranks: 2)
      #expect(try MapFixture.files("\(directory)/ranks") == expected)
      let index = try TrainingRunIndex(directory: "\(directory)/whole")
      var reader = try ConfigReader(index.model, source: "index")
      #expect(index.parameterCount == (try ModelConfiguration(reader: &reader)).parameterCount)
      #expect(try #require(index.finalLoss) < 3.7)
    }
  }

  private func failure(
    _ changes: [(String, ConfigValue?)], of input: (String) throws -> StageConfiguration.Input
  ) throws -> String {
    try withTemporaryDirectory { directory in
      let configuration = Self.configuration(try input(directory), changes)
      let error = #expect(throws: UserError.self) {
        try TrainerTests.train(configuration, in: "\(directory)/run")
      }
      return try #require(error).description
    }
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let fGrams = { (directory: String) in try FGramFixture.write(in: directory) }
    #expect(
      try failure([("model.fGrams", ["longest": 5])], of: fGrams).contains(
        "map set without the model's f-grams: expected content fGrams with longest 5, found f-grams"
          + " of longest 3"))
    #expect(
      try failure([], of: { try TextFixture.write(in: $0) }).contains(
        "expected content fGrams with longest 3, found n-gram ids up to order 3"))
    #expect(
      try failure(
        [("kind", "grammar"), ("model.context", 20)], of: { try MapFixture.write(in: $0) }
      )
      .contains("model.fGrams: expected one input table, of order 1"))
    #expect(
      try failure(
        [
          ("model.fGrams", nil), ("model.overEncoding", ["order": 2, "slices": 1, "rows": 99]),
          (
            "optimizer.tables",
            ["moments": "float32", "weightDecay": 0, "learningRateMultiplier": 1]
          ),
        ], of: fGrams
      ).contains(
        "map set without the model's n-grams: expected order 2 or more, found f-grams of longest 3")
    )
    #expect(
      try failure(
        [], of: { try FGramFixture.write(in: $0, changing: ["longest": 9]) }
      ).contains("metadata.longest: expected an integer in 2...8"))
  }
}
