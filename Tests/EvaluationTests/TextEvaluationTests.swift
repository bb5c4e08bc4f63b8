import Checkpoints
import Contracts
import Engine
import Evaluation
import Foundation
import Models
import NGrams
import Parallel
import Shards
import Support
import Testing

/// A directory with map sets over a made-up vocabulary of 40 tokens and a finished run, made by hand.
private struct Workshop {
  let directory = NSTemporaryDirectory() + "text-evaluation-\(UUID().uuidString)"
  static let vocabulary = 40
  static let labelBytes = (0..<vocabulary).map { $0 % 4 }
  /// A token without text.
  static let silent = 4

  init() throws { try AtomicFile.makeDirectory(directory) }

  func remove() { try? FileManager.default.removeItem(atPath: directory) }

  /// Documents of 0, 1, 2, … tokens, and two long ones.
  static func documents(_ seed: UInt64) -> [[Int]] {
    ([0, 1, 2, 3, 9, 90, 0, 57]).enumerated().map { i, count in
      var stream = RandomStream(seed: seed, name: "text", index: UInt64(i))
      return (0..<count).map { _ in Int(stream.below(UInt32(vocabulary))) }
    }
  }

  static func metadata(tokenizer: String = "feedfacecafe") -> ConfigValue {
    [
      "kind": "text", "content": "ngramIDs", "order": 2, "vocabulary": .integer(vocabulary),
      "tokenizer": .string(tokenizer), "labels": .integer(vocabulary),
      "labelBytes": .array(labelBytes.map(ConfigValue.integer)),
      "inputs": [["order": 1, "rows": .integer(vocabulary)]],
    ]
  }

  func writeMap(
    seed: UInt64, tokenizer: String = "feedfacecafe", documents: [[Int]]? = nil
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: "map", version: 1,
      parameters: ["seed": .integer(Int(seed)), "tokenizer": .string(tokenizer)])
    let path = "\(directory)/map-\(configuration.id)"
    try AtomicFile.makeDirectory(path)
    let writer = try ShardSetWriter(
      directory: path, element: .u16,
      columns: [
        Column("token", cardinality: Self.vocabulary), Column("gram2", cardinality: 1600),
        Column("label", cardinality: Self.vocabulary),
      ], configuration: configuration)
    try writer.writeShard(0) { sink in
      for tokens in documents ?? Self.documents(seed) {
        let inputs = Array(tokens.dropLast())
        let grams = inputs.indices.map { inputs[$0] + 40 * ($0 > 0 ? inputs[$0 - 1] : 0) }
        try sink.append(document: (inputs + grams + Array(tokens.dropFirst())).map(UInt16.init))
      }
    }
    try writer.finish(metadata: Self.metadata(tokenizer: tokenizer))
    return .init(id: configuration.id, path: path)
  }

  /// Two tables of bigrams, or none.
  func layout(width: Int, rows: Int) throws -> OverEncodingLayout? {
    rows == 0
      ? nil
      : try OverEncodingLayout(
        vocabulary: Self.vocabulary, order: 2, slices: 2, rows: rows, width: width,
        moduli: .coprime)
  }

  func model(width: Int, rows: Int) throws -> ModelConfiguration {
    let input: any Input =
      if let layout = try layout(width: width, rows: rows) {
        OverEncoding(layout: layout, deviation: 1)
      } else {
        TableSum([.init(order: 1, rows: Self.vocabulary)])
      }
    return try ModelConfiguration(
      input: input, trunk: GPT2(TrunkSize(layers: 2, width: width, heads: 2, context: 16)),
      labels: Self.vocabulary)
  }

  func weights(_ step: Int, width: Int, rows: Int) throws -> ParameterStore {
    let store = try model(width: width, rows: rows).makeParameters(moments: false)
    store.initialize(seed: UInt64(step))
    return store
  }

  func writeRun(
    width: Int = 16, rows: Int = 0, data: ConfigValue = metadata()
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: "train", version: 1,
      parameters: [
        "kind": "text", "width": .integer(width), "rows": .integer(rows), "data": data,
      ])
    let path = directory + "/run\(configuration.id)"
    try AtomicFile.makeDirectory(path)
    let snapshots = try [1, 2].map { step -> ConfigValue in
      let name = "weights-\(step).safetensors"
      let hash = try ParameterFile.write(
        weights(step, width: width, rows: rows), arrays: [.weights], to: path + "/" + name)
      return TrainingRunIndex.Snapshot(
        step: step, file: name, sha256: hash, kind: .text, sequences: 8 * step, rows: 80 * step,
        symbols: 70 * step
      ).value
    }
    var members: [String: ConfigValue] = [
      "architecture": "gpt2", "layers": 2, "width": .integer(width), "heads": 2, "context": 16,
      "tied": false, "inputs": [["order": 1, "rows": 40]], "labels": 40,
    ]
    if rows > 0 {
      members["overEncoding"] = [
        "order": 2, "slices": 2, "rows": .integer(rows), "deviation": 1.0,
      ]
    }
    try StageIndex.write(
      to: path, configuration: configuration,
      content: [
        "model": .object(members),
        "data": data,
        "parameterCount": .integer(try model(width: width, rows: rows).parameterCount),
        "steps": 2, "windows": 16, "rows": 160, "bytes": 140, "finalLoss": 1.5, "seed": 7,
        "dataSeed": 7, "snapshots": .array(snapshots),
      ])
    return .init(id: configuration.id, path: path)
  }

  func evaluation(
    _ inputs: [String: StageConfiguration.Input], _ changes: [String: ConfigValue] = [:],
    threads: Int = 2
  ) throws -> TextEvaluationRun {
    var parameters: [String: ConfigValue] = [
      "kind": "text", "stride": 4, "batchPositions": 100, "positions": 0, "finalPositions": 0,
      "onlyLast": false,
    ]
    parameters.merge(changes) { $1 }
    let configuration = StageConfiguration(
      stage: "evaluate", version: 1, parameters: .object(parameters), inputs: inputs,
      source: "evaluate.json")
    guard case .text(let read) = try EvaluateParameters(configuration) else {
      preconditionFailure("the kind is text")
    }
    return try TextEvaluationRun(configuration, read, threads: threads)
  }

  func write(_ run: TextEvaluationRun, to name: String, threads: Int = 2) throws
    -> [TextSnapshotScores]
  {
    try AtomicFile.makeDirectory("\(directory)/\(name)")
    return try run.write(to: "\(directory)/\(name)", threads: threads) { _ in }
  }
}

@Suite struct TextEvaluationTests {
  /// Ranks share the lanes, of which some may have none.
  @Test(arguments: [2, 3, 40])
  func ranksChangeNoByte(ranks: Int) throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let evaluation = try shop.evaluation([
      "run": shop.writeRun(rows: 50), "heldout": shop.writeMap(seed: 1),
      "other": shop.writeMap(seed: 2),
    ])
    let paths = ["alone", "shared"].map { "\(shop.directory)/\($0)" }
    for path in paths { try AtomicFile.makeDirectory(path) }
    _ = try evaluation.write(to: paths[0], threads: 2) { _ in }
    let scores = try ThreadCommunicator.run(size: ranks) { rank in
      try evaluation.write(to: paths[1], threads: 1, ranks: rank) { _ in }.count
    }
    #expect(scores == [2] + [Int](repeating: 0, count: ranks - 1))
    let bytes = try paths.map { try FileBytes.read("\($0)/index.json") }
    #expect(bytes[0] == bytes[1])
  }

  /// A device scores as the CPU does, to rounding, and the same for any threads.
  @Test(
    .enabled(
      if: ProcessInfo.processInfo.environment["OVERTOKEN_TORCH"]?.isEmpty == false,
      "no libtorch: set OVERTOKEN_TORCH, or run make torch"), arguments: [0, 50])
  func aDeviceScoresAlike(rows: Int) throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let inputs = try ["run": shop.writeRun(rows: rows), "heldout": shop.writeMap(seed: 1)]
    let device: [String: ConfigValue] = ["device": "torch-cpu"]
    let expected = try shop.write(shop.evaluation(inputs), to: "cpu")
    let found = try shop.write(shop.evaluation(inputs, device), to: "device", threads: 1)
    _ = try shop.write(shop.evaluation(inputs, device), to: "again", threads: 3)
    let indexes = try ["device", "again"].map {
      try FileBytes.read("\(shop.directory)/\($0)/index.json")
    }
    #expect(indexes[0] == indexes[1])
    for (a, b) in zip(found, expected) {
      let nats = zip(a.sets[0].scores.documents, b.sets[0].scores.documents)
      #expect(nats.allSatisfy { abs($0.nats - $1.nats) < 1e-4 * $1.nats + 1e-6 })
    }
    #expect(found.count == expected.count)
  }

  /// log Q of every scored label, each window by itself through full distributions.
  private func slow(
    _ shop: Workshop, _ documents: [[Int]], step: Int, stride: Int, rows: Int
  ) throws -> [(document: Int, tokens: Int, bytes: Int, nats: Double)] {
    let engine = ScoringEngine(
      try shop.model(width: 16, rows: rows),
      parameters: try shop.weights(step, width: 16, rows: rows), laneCapacity: 16, threads: 1)
    let tables = try shop.layout(width: 16, rows: rows)?.embedders ?? []
    return documents.enumerated().filter { $0.element.count > 1 }.map { d, tokens in
      let count = tokens.count - 1
      var (nats, bytes, scored, start) = (0.0, 0, 0, 0)
      while scored < count {
        let end = min(start + 16, count)
        var lane = PackedLane(tables: 1 + tables.count)
        for t in start..<end {
          let gram = tokens[t] + 40 * (t > 0 ? tokens[t - 1] : 0)
          lane.appendRow(label: 0) { c in
            Int32(c == 0 ? tokens[t] : gram % tables[c - 1].modulus)
          }
        }
        lane.endSegment()
        let scores = engine.logProbabilities([lane])[0]
        for t in scored..<end {
          nats -= Double(scores[(t - start) * 40 + tokens[t + 1]])
          bytes += Workshop.labelBytes[tokens[t + 1]]
        }
        scored = end
        start += stride
      }
      return (d, count, bytes, nats)
    }
  }

  /// Without tables, and with two of 50 or 5000 rows.
  @Test(arguments: [1, 4, 16], [0, 50, 5000])
  func scoresAreThoseOfOneWindowAtATime(stride: Int, rows: Int) throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let run = try shop.writeRun(rows: rows)
    let inputs = try [
      "run": run, "heldout": shop.writeMap(seed: 1), "other": shop.writeMap(seed: 2),
    ]
    let scores = try shop.write(
      shop.evaluation(inputs, ["stride": .integer(stride)]), to: "out")
    #expect(scores.map(\.snapshot.step) == [1, 2])
    for score in scores {
      #expect(score.sets.map(\.name) == ["heldout", "other"])
      for (seed, set) in zip([1, 2] as [UInt64], score.sets) {
        let expected = try slow(
          shop, Workshop.documents(seed), step: score.snapshot.step, stride: stride, rows: rows)
        let found = set.scores.documents
        #expect(found.map(\.document) == expected.map(\.document))
        #expect(found.map(\.tokens) == expected.map(\.tokens))
        #expect(found.map(\.bytes) == expected.map(\.bytes))
        for (a, b) in zip(found, expected) { #expect(abs(a.nats - b.nats) < 1e-4 * b.nats) }
      }
    }
    // The index and the shards say the same.
    let index = try StageIndex(directory: "\(shop.directory)/out")
    let heldout = index.content["metadata"]?["snapshots"]
    guard case .array(let snapshots)? = heldout else {
      Issue.record("no snapshots")
      return
    }
    #expect(snapshots[1]["bytes"] == 140)
    #expect(snapshots[1]["windows"] == 16 && snapshots[1]["sentences"] == nil)
    let first = scores[1].sets[0].scores
    #expect(snapshots[1]["sets"]?["heldout"]?["tokens"] == .integer(first.tokens))
    #expect(snapshots[1]["sets"]?["heldout"]?["nats"] == .double(first.nats))
    let set = try ShardSet(directory: "\(shop.directory)/out/scores-heldout")
    let loaded = try set.load(threads: 1)
    #expect(set.columns.map(\.name) == ["document", "tokens", "bytes", "nats"])
    #expect(loaded.documents == 2)
    #expect(
      Array(loaded.buffer(3, as: Double.self)[loaded.rows(ofDocument: 1)])
        == first.documents.map(\.nats))
  }

  /// Packing windows side by side changes no bit where products are small, and nothing beyond rounding
  /// where they go through the library, whose last bits may depend on the number of rows.
  @Test(arguments: [(16, 0.0), (128, 1e-6)])
  func packedEqualsOneAtATime(width: Int, tolerance: Double) throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let inputs = try ["run": shop.writeRun(width: width), "heldout": shop.writeMap(seed: 1)]
    let single = try shop.write(shop.evaluation(inputs, ["batchPositions": 1]), to: "single")
    for batch in [17, 64, 1000] {
      let packed = try shop.write(
        shop.evaluation(inputs, ["batchPositions": .integer(batch)]), to: "packed\(batch)")
      for (a, b) in zip(packed, single) {
        let (windows, alone) = (a.sets[0].scores.windows, b.sets[0].scores.windows)
        #expect(windows.map(\.tokens) == alone.map(\.tokens))
        for (x, y) in zip(windows, alone) { #expect(abs(x.nats - y.nats) <= tolerance * y.nats) }
      }
    }
  }

  @Test func threadsChangeNoByte() throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let inputs = try ["run": shop.writeRun(), "heldout": shop.writeMap(seed: 1)]
    let identities = try [1, 2, 4].map { threads in
      _ = try shop.write(
        shop.evaluation(inputs, ["batchPositions": 20], threads: threads), to: "out\(threads)",
        threads: threads)
      return try ["index.json", "scores-heldout/index.json", "scores-heldout/00000.shard"].map {
        try FileBytes.read("\(shop.directory)/out\(threads)/\($0)")
      }
    }
    #expect(identities[0] == identities[1])
    #expect(identities[0] == identities[2])
  }

  private func count(
    _ shop: Workshop, _ inputs: [String: StageConfiguration.Input],
    _ changes: [String: ConfigValue] = [:]
  ) throws -> CountRun {
    var parameters: [String: ConfigValue] = [
      "order": 3, "context": 16, "steps": 2, "batchSequences": 3, "dataSeed": 5, "stride": 4,
      "positions": 0,
    ]
    parameters.merge(changes) { $1 }
    return try CountRun(
      StageConfiguration(
        stage: "count", version: 1, parameters: .object(parameters), inputs: inputs,
        source: "count.json"), threads: 1)
  }

  /// Counted are the windows that a run reads; a row is scored behind those that a transformer sees.
  @Test(arguments: [2, 100]) func countsOfGrams(steps: Int) throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let inputs = try ["data": shop.writeMap(seed: 2), "heldout": shop.writeMap(seed: 1)]
    let run = try count(shop, inputs, ["steps": .integer(steps)])
    try AtomicFile.makeDirectory(shop.directory + "/counts")
    let found = try run.write(to: shop.directory + "/counts") { _ in }
    // Windows of 16 rows: one of each short document, six of the longest, four of the last.
    let windows = Workshop.documents(2).filter { $0.count > 1 }.flatMap { tokens in
      stride(from: 0, to: tokens.count - 1, by: 16).map {
        Array(tokens[$0..<min($0 + 17, tokens.count)])
      }
    }
    #expect(windows.count == 13)
    #expect(run.windows.count == min(6, 3 * steps) + (steps > 4 ? 7 : 0))
    var counts = GramCounts(order: 3, vocabulary: Workshop.vocabulary)
    for number in run.windows { counts.add(windows[number].map(UInt32.init)) }
    #expect(found.events == counts.events)
    #expect(found.orders.map(\.order) == [2, 3])
    for order in found.orders {
      let model = KneserNey(counts, order: order.order)
      #expect(order.distinct == counts.distinct(order.order))
      let scores = try #require(order.sets.first { $0.name == "heldout" }).scores
      let documents = Workshop.documents(1).filter { $0.count > 1 }
      #expect(scores.tokens == documents.reduce(0) { $0 + $1.count - 1 })
      for (part, tokens) in zip(scores.documents, documents) {
        // From the second token on a window has at least twelve rows before a scored one.
        let nats = model.logProbabilities(tokens.map(UInt32.init)).reduce(0, +)
        #expect(abs(part.nats + nats) < 1e-9)
      }
    }
    let index = try StageIndex(directory: shop.directory + "/counts")
    #expect(index.metadata["tokens"] == .integer(counts.events))
    guard case .array(let orders)? = index.metadata["orders"] else {
      Issue.record("no orders")
      return
    }
    #expect(orders.map { $0["order"] } == [.integer(2), .integer(3)])
  }

  /// Tokens of stretches of 13 that both have, beside a search of every place.
  @Test func overlapOfText() throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let (training, heldout) = (Workshop.documents(2), Workshop.documents(1))
    let same = try count(shop, ["data": shop.writeMap(seed: 2), "same": shop.writeMap(seed: 2)])
    #expect(same.overlaps[0].documentsInTraining == training.filter { $0.count >= 13 }.count)
    #expect(
      same.overlaps[0].tokensInTraining
        == training.filter { $0.count >= 13 }.reduce(0) { $0 + $1.count })
    // Behind a stretch of training text other tokens: of the first 20 tokens of the longest document.
    let long = try #require(training.max { $0.count < $1.count })
    let mixed = [Array(long[3..<23]) + heldout[0].prefix(9), Array(long[0..<12])]
    let found = try count(
      shop, ["data": shop.writeMap(seed: 2), "mixed": shop.writeMap(seed: 3, documents: mixed)]
    ).overlaps[0]
    let stretches = Set(
      training.flatMap { document in
        document.count < 13 ? [] : (0...document.count - 13).map { Array(document[$0..<$0 + 13]) }
      })
    var covered = 0
    for document in mixed {
      var marks = document.map { _ in false }
      for start in document.indices where start + 13 <= document.count {
        if stretches.contains(Array(document[start..<start + 13])) {
          for i in start..<start + 13 { marks[i] = true }
        }
      }
      covered += marks.filter(\.self).count
    }
    #expect(found.tokensInTraining == covered && covered >= 20)
    #expect(found.tokens == mixed.reduce(0) { $0 + $1.count })
    #expect(found.documents == 2 && found.documentsInTraining == 1)
  }

  @Test func countsOfBadInput() throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let (data, heldout) = (try shop.writeMap(seed: 2), try shop.writeMap(seed: 1))
    let good = ["data": data, "heldout": heldout]
    func message(
      _ inputs: [String: StageConfiguration.Input], _ changes: [String: ConfigValue] = [:]
    ) throws -> String {
      let error = #expect(throws: UserError.self) { _ = try count(shop, inputs, changes) }
      return try #require(error).description
    }
    #expect(try message(good, ["order": 1]).contains("order"))
    #expect(try message(good, ["stride": 17]).contains("at most context = 16"))
    #expect(try message(good, ["batchSequences": 14]).contains("at most the 13 windows"))
    #expect(try message(["data": data]).contains("a map set beside 'data'"))
    let other = try shop.writeMap(seed: 1, tokenizer: "0123456789ab")
    #expect(try message(["data": data, "heldout": other]).contains("another tokenizer"))
  }

  @Test func limitsOfPositions() throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let inputs = try ["run": shop.writeRun(), "heldout": shop.writeMap(seed: 1)]
    let some = try shop.write(
      shop.evaluation(inputs, ["positions": 5, "finalPositions": 12]), to: "some")
    #expect(some.map { $0.sets[0].scores.tokens } == [5, 12])
    let last = try shop.write(shop.evaluation(inputs, ["onlyLast": true]), to: "last")
    #expect(last.map(\.snapshot.step) == [2])
    #expect(last[0].sets[0].scores.tokens == 1 + 2 + 8 + 89 + 56)
    // The label of the first row may be a token without text.
    let silent = try shop.writeMap(seed: 3, documents: [[1, Workshop.silent], [1, 2]])
    let none = try shop.evaluation(
      ["run": shop.writeRun(), "heldout": silent], ["finalPositions": 1, "onlyLast": true])
    let error = #expect(throws: UserError.self) { _ = try shop.write(none, to: "none") }
    #expect(error?.description.contains("set 'heldout': expected text to score") == true)
  }

  @Test func badInputGetsOneMessage() throws {
    let shop = try Workshop()
    defer { shop.remove() }
    let run = try shop.writeRun()
    let heldout = try shop.writeMap(seed: 1)
    func message(
      _ inputs: [String: StageConfiguration.Input], _ changes: [String: ConfigValue] = [:]
    ) throws -> String {
      let error = #expect(throws: UserError.self) { _ = try shop.evaluation(inputs, changes) }
      return try #require(error).description
    }
    let good = ["run": run, "heldout": heldout]
    #expect(try message(good, ["stride": 0]).contains("stride"))
    #expect(
      try message(good, ["stride": 17]).contains("at most 16, the context of the model, found 17"))
    #expect(try message(good, ["samples": 3]).contains("samples"))
    #expect(try message(["run": run]).contains("a map set beside 'run'"))
    #expect(try message(["run": run, "a/b": heldout]).contains("letters, digits, - and _"))
    #expect(try message(["heldout": heldout]).contains("run"))
    let other = try shop.writeMap(seed: 1, tokenizer: "0123456789ab")
    #expect(
      try message(["run": run, "heldout": other]).contains(
        "tokens of another tokenizer than the run's: expected feedfacecafe with 40 tokens"))
    let empty = try shop.writeMap(seed: 9, documents: [[], [5]])
    #expect(try message(["run": run, "heldout": empty]).contains("at least one row to score"))
    #expect(
      try message(["run": run, "heldout": run]).contains("map set of kind text")
        || message(["run": run, "heldout": run]).contains("shard"))
    let grammar = try shop.writeRun(data: ["kind": "grammar"])
    #expect(
      try message(["run": grammar, "heldout": heldout]).contains("a run on byte-pair tokens"))
  }
}
