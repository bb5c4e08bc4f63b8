import Contracts
import Engine
import Evaluation
import Foundation
import Models
import NGrams
import Shards
import Support
import Testing

/// Held-out text scored by a model with f-grams.
@Suite struct FGramSetTests {
  private static let (vocabulary, longest) = (30, 4)

  private static let documents: [[Int]] = [0, 1, 2, 3, 9, 90, 57].enumerated().map { i, count in
    var stream = RandomStream(seed: 4, name: "text", index: UInt64(i))
    return (0..<count).map { _ in Int(stream.below(stream.below(3) == 0 ? 30 : 3)) }
  }

  /// A run is an f-gram if its tokens are all below 3: so are all of its parts.
  private static func match(_ tokens: [Int], _ t: Int) -> Int {
    max(1, tokens[...t].suffix(longest).reversed().prefix { $0 < 3 }.count)
  }

  private static func metadata(_ id: String) -> ConfigValue {
    [
      "kind": "text", "content": "fGrams", "longest": .integer(longest), "size": 7,
      "fgrams": .string(id), "vocabulary": .integer(vocabulary), "tokenizer": "feedfacecafe",
      "labels": .integer(vocabulary), "labelBytes": .array((0..<vocabulary).map { _ in 1 }),
      "inputs": [["order": 1, "rows": .integer(vocabulary)]],
    ]
  }

  private func writeMap(in directory: String, id: String = "cafe") throws
    -> StageConfiguration.Input
  {
    let configuration = StageConfiguration(
      stage: "map", version: 1, parameters: ["id": .string(id)])
    let path = "\(directory)/map-\(configuration.id)"
    try AtomicFile.makeDirectory(path)
    let writer = try ShardSetWriter(
      directory: path, element: .u8,
      columns: [
        Column("token", cardinality: Self.vocabulary),
        Column("match", cardinality: Self.longest + 1),
        Column("label", cardinality: Self.vocabulary),
      ], configuration: configuration)
    try writer.writeShard(0) { sink in
      for tokens in Self.documents {
        let rows = tokens.dropLast().indices
        let columns: [[Int]] = [
          rows.map { tokens[$0] }, rows.map { Self.match(tokens, $0) },
          rows.map { tokens[$0 + 1] },
        ]
        try sink.append(document: columns.joined().map(UInt8.init))
      }
    }
    try writer.finish(metadata: Self.metadata(id))
    return .init(id: configuration.id, path: path)
  }

  private func model() throws -> ModelConfiguration {
    let trunk = OLMo2(TrunkSize(layers: 2, width: 16, heads: 2, context: 16))
    return try ModelConfiguration(
      input: FGrams(vocabulary: Self.vocabulary, longest: Self.longest, layers: 1, on: trunk),
      trunk: trunk, labels: Self.vocabulary)
  }

  /// Many windows in a lane against each by itself, whose f-grams are made from its tokens alone.
  @Test(arguments: [1, 5, 16])
  func windowsSeeThemselvesAlone(stride: Int) throws {
    try withTemporaryDirectory { directory in
      let model = try model()
      let text = try #require(try TextMap(Self.metadata("cafe"), source: "run"))
      let set = try TextSet(
        name: "heldout", writeMap(in: directory), text: text, columns: model.input.textColumns,
        threads: 1)
      let store = model.makeParameters(moments: false)
      store.initialize(seed: 2)
      let windows = try set.windows(context: 16, stride: stride, positions: 0)
      let engine = ScoringEngine(model, parameters: store, laneCapacity: 100, threads: 2)
      let found = try #require(
        try set.logQ(windows, engine: engine, batchPositions: 100, lanesAtATime: 3))
      for (window, logQ) in zip(windows, found) {
        let document = Self.documents[window.document]
        let first = window.rows.lowerBound - set.rows.columns.documentOffsets[window.document]
        let tokens = Array(document[first...first + window.rows.count])
        var lane = model.makeLane()
        for t in 0..<window.rows.count {
          lane.appendRow(label: Int32(tokens[t + 1])) {
            Int32($0 == 0 ? tokens[t] : Self.match(tokens, t))
          }
        }
        lane.endSegment()
        let expected = engine.labelLogProbabilities([lane])[0].suffix(window.scored.count)
          .reduce(0.0) { $0 + Double($1) }
        #expect(abs(logQ - expected) < 1e-4 * abs(expected))
      }
    }
  }

  @Test func otherFGramsAreRefused() throws {
    try withTemporaryDirectory { directory in
      let text = try #require(try TextMap(Self.metadata("cafe"), source: "run"))
      let input = try writeMap(in: directory, id: "beef")
      let error = #expect(throws: UserError.self) {
        try TextSet(
          name: "heldout", input, text: text, columns: .matches(longest: Self.longest), threads: 1)
      }
      #expect(error?.description.contains("matches of other f-grams than the run's") == true)
      // A model of tokens alone reads any set.
      _ = try TextSet(name: "heldout", input, text: text, columns: .tokens, threads: 1)
    }
  }
}

private func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
  let directory = NSTemporaryDirectory() + "f-gram-set-\(UUID().uuidString)"
  try AtomicFile.makeDirectory(directory)
  defer { try? FileManager.default.removeItem(atPath: directory) }
  return try body(directory)
}
