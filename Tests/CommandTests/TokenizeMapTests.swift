import Foundation
import Shards
import Support
import Testing

/// ott-tokenize and ott-map from the outside: files in, files out.
@Suite struct TokenizeMapTests {
  private let directory: String

  init() throws {
    directory = NSTemporaryDirectory() + "ott-tokenize-map-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }

  private func remove() { try? FileManager.default.removeItem(atPath: directory) }

  /// Documents 0…: lengths 0 to 10, symbols of the terminals.
  private func document(_ i: Int, _ terminals: [UInt8]) -> [UInt8] {
    var stream = RandomStream(seed: 4, name: "documents", index: UInt64(i))
    return (0..<i % 11).map { _ in terminals[Int(stream.below(UInt32(terminals.count)))] }
  }

  private func writeSamples(
    documents: Int = 100, terminals: [UInt8] = [1, 2, 3], claimed: ConfigValue? = nil
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: "sample", version: 1, parameters: ["documents": .integer(documents)])
    let path = directory + "/sample"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let writer = try ShardSetWriter(
      directory: path, element: .u8, columns: [Column("symbol")], configuration: configuration)
    try writer.writeShards(count: (documents + 29) / 30, threads: 1) { shard, sink in
      for i in shard * 30..<min(documents, (shard + 1) * 30) {
        try sink.append(document: document(i, terminals))
      }
    }
    let values = ConfigValue.array(terminals.map { .integer(Int($0)) })
    try writer.finish(metadata: ["terminals": claimed ?? values])
    return StageConfiguration.Input(id: configuration.id, path: path)
  }

  private func run(
    _ command: String, _ parameters: ConfigValue, _ inputs: [String: StageConfiguration.Input],
    output: String, threads: Int = 2
  ) throws -> (status: Int32, message: String, input: StageConfiguration.Input) {
    let stage = String(command.dropFirst(4))
    let configuration = StageConfiguration(
      stage: stage, version: 1, parameters: parameters, inputs: inputs)
    let file: ConfigValue = [
      "stage": .string(stage), "version": 1, "parameters": parameters,
      "inputs": .object(inputs.mapValues { ["id": .string($0.id), "path": .string($0.path)] }),
    ]
    let path = directory + "/\(stage)-\(configuration.id).json"
    try AtomicFile.write(file.prettyJSON, to: path)
    let process = Process()
    let errors = Pipe()
    process.executableURL = Bundle.main.bundleURL.appendingPathComponent(command)
    process.arguments = [
      "--config", path, "--output", directory + "/" + output, "--threads", "\(threads)", "--quiet",
    ]
    process.standardError = errors
    try process.run()
    let text = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (
      process.terminationStatus, String(decoding: text, as: UTF8.self),
      StageConfiguration.Input(id: configuration.id, path: directory + "/" + output)
    )
  }

  private func tokenize(
    _ symbols: StageConfiguration.Input, order: Int, perShard: Int, output: String, threads: Int = 2
  ) throws -> (status: Int32, message: String, input: StageConfiguration.Input) {
    try run(
      "ott-tokenize",
      ["kind": "grammar", "order": .integer(order), "documentsPerShard": .integer(perShard)],
      ["symbols": symbols], output: output, threads: threads)
  }

  private func map(
    _ tokens: StageConfiguration.Input, inputs: ConfigValue, output: Int, perShard: Int,
    to path: String, threads: Int = 2
  ) throws -> (status: Int32, message: String, input: StageConfiguration.Input) {
    try run(
      "ott-map",
      [
        "kind": "grammar", "inputOrders": inputs, "outputOrder": .integer(output),
        "documentsPerShard": .integer(perShard),
      ], ["tokens": tokens], output: path, threads: threads)
  }

  private func document(_ set: LoadedColumns, _ name: String, _ i: Int) throws -> [Int] {
    set.integers(column: try set.column(name), rows: set.rows(ofDocument: i))
  }

  @Test func everyDocumentArrives() throws {
    defer { remove() }
    let symbols = try writeSamples()
    let tokens = try tokenize(symbols, order: 1, perShard: 40, output: "tokens")
    #expect(tokens.status == 0, "\(tokens.message)")
    let rows = try map(tokens.input, inputs: [1, 3], output: 2, perShard: 30, to: "rows")
    #expect(rows.status == 0, "\(rows.message)")
    let tokenSet = try ShardSet(input: tokens.input)
    let rowSet = try ShardSet(input: rows.input)
    #expect(tokenSet.shards.map(\.documents) == [40, 40, 20])
    #expect(rowSet.shards.map(\.documents) == [30, 30, 30, 10])
    #expect(rowSet.columns.map(\.name) == ["input0", "input1", "label"])
    #expect(rowSet.columns.map(\.cardinality) == [5, 41, 14])
    let loadedTokens = try tokenSet.load(threads: 1)
    let loadedRows = try rowSet.load(threads: 1)
    var characters = 0
    var consumed = 0
    var metadata = try rowSet.metadataReader()
    let weights = try metadata.ints("labelCharacters")
    for i in 0..<100 {
      let symbols = document(i, [1, 2, 3]).map(Int.init)
      characters += symbols.count
      #expect(try document(loadedTokens, "token", i) == [0] + symbols.map { $0 + 1 } + [1])
      #expect(try document(loadedRows, "input0", i) == [0] + symbols.map { $0 + 1 })
      var labels: [Int] = []
      for t in symbols.indices {
        let next = symbols[t..<min(t + 2, symbols.count)].map { $0 - 1 }
        labels.append(next.count == 2 ? 5 + next[0] * 3 + next[1] : 2 + next[0])
      }
      #expect(try document(loadedRows, "label", i) == labels + [1])
      consumed += (labels + [1]).reduce(0) { $0 + weights[$1] }
    }
    #expect(try metadata.int("characters") == characters && consumed == characters)
    #expect(try metadata.int("positions") == characters + 100)
    #expect(try metadata.int("labelsUsed") == 13)
    var tables = try metadata.objects("inputs")
    #expect(try tables[0].int("rowsUsed") == 4)
    #expect(try tables[1].int("rows") == 41)
  }

  @Test(
    arguments: [
      (1, [1, 2, 3], 3), (3, [1], 1), (2, [2], 1), (3, [2], 1),
    ] as [(Int, ConfigValue, Int)])
  func threadsAndShardsOfTheInputDoNotMatter(order: Int, inputs: ConfigValue, output: Int) throws {
    defer { remove() }
    let symbols = try writeSamples()
    var hashes: Set<[String]> = []
    for threads in [1, 2, 4] {
      let tokens = try tokenize(
        symbols, order: order, perShard: 7, output: "tokens\(threads)", threads: threads)
      let rows = try map(
        tokens.input, inputs: inputs, output: output, perShard: 13, to: "rows\(threads)",
        threads: threads)
      #expect(rows.status == 0, "\(rows.message)")
      hashes.insert(
        try [tokens.input.path, rows.input.path].map {
          SHA256.hex(of: try String(contentsOfFile: $0 + "/index.json", encoding: .utf8))
        })
    }
    #expect(hashes.count == 1)
  }

  @Test func emptySets() throws {
    defer { remove() }
    let symbols = try writeSamples(documents: 0)
    let tokens = try tokenize(symbols, order: 3, perShard: 5, output: "tokens")
    #expect(tokens.status == 0, "\(tokens.message)")
    let rows = try map(tokens.input, inputs: [2], output: 1, perShard: 5, to: "rows")
    #expect(rows.status == 0, "\(rows.message)")
    #expect(try ShardSet(input: rows.input).documents == 0)
  }

  @Test func refusals() throws {
    defer { remove() }
    let symbols = try writeSamples()
    func expectRefusal(
      _ result: (status: Int32, message: String, input: StageConfiguration.Input),
      _ words: String...
    ) {
      #expect(result.status == 1)
      #expect(
        result.message.hasPrefix("error: ") && result.message.split(separator: "\n").count <= 4)
      for word in words { #expect(result.message.contains(word), "\(result.message)") }
      #expect(!FileManager.default.fileExists(atPath: result.input.path + "/index.json"))
    }
    expectRefusal(try tokenize(symbols, order: 0, perShard: 5, output: "a"), "order", "1...64")
    expectRefusal(try tokenize(symbols, order: 21, perShard: 5, output: "b"), "overflows")
    expectRefusal(
      try run(
        "ott-tokenize", ["kind": "grammar", "ordre": 1, "order": 1, "documentsPerShard": 5],
        ["symbols": symbols], output: "c"), "ordre", "order")
    let tokens = try tokenize(symbols, order: 3, perShard: 5, output: "tokens")
    expectRefusal(
      try map(tokens.input, inputs: [0], output: 1, perShard: 5, to: "d"), "1...64")
    expectRefusal(try map(tokens.input, inputs: [], output: 1, perShard: 5, to: "e"), "inputOrders")
    expectRefusal(
      try map(tokens.input, inputs: [1], output: 3, perShard: 5, to: "f"), "outputOrder")
    expectRefusal(try map(symbols, inputs: [1], output: 1, perShard: 5, to: "g"), "kind")
    expectRefusal(try tokenize(tokens.input, order: 1, perShard: 5, output: "h"), "symbol")
  }

  @Test func refusesSymbolsThatTheGrammarDoesNotHave() throws {
    defer { remove() }
    let symbols = try writeSamples(claimed: [1, 3])
    let result = try tokenize(symbols, order: 2, perShard: 50, output: "tokens")
    #expect(result.status == 1 && result.message.contains("symbol"))
  }
}
