import DataStages
import NGrams
import Shards
import Support
import Testing
import Tokenization

/// Symbols of a grammar to tokens to rows and labels, against the definitions.
@Suite struct SymbolStagesTests {
  private let folder: DataFolder

  init() throws { folder = try DataFolder() }

  /// Documents of 0, 1, 2 … symbols in random order of lengths.
  private static func documents(_ count: Int, _ terminals: [Int]) -> [[Int]] {
    (0..<count).map { i in
      var stream = RandomStream(seed: 9, name: "documents", index: UInt64(i))
      return (0..<(i * 7) % 12).map { _ in terminals[Int(stream.below(UInt32(terminals.count)))] }
    }
  }

  private func symbols(_ documents: [[Int]], _ terminals: [Int], name: String = "symbols")
    throws -> StageConfiguration.Input
  {
    try folder.set(
      documents, element: .u8, column: Column("symbol"), perShard: 10,
      metadata: ["terminals": .array(terminals.map(ConfigValue.integer))], name: name)
  }

  private func tokens(
    _ symbols: StageConfiguration.Input, order: Int, perShard: Int = 7
  ) throws -> (set: ShardSet, input: StageConfiguration.Input) {
    try folder.sameForAnyThreads(
      "tokenize",
      ["kind": "grammar", "order": .integer(order), "documentsPerShard": .integer(perShard)],
      ["symbols": symbols], name: "tokens\(order)"
    ) { configuration, output, threads in
      _ = try TokenizeStage.run(configuration, output: output, threads: threads, isQuiet: true)
    }
  }

  private func rows(
    _ tokens: StageConfiguration.Input, inputs: [Int], output: Int, perShard: Int = 13
  ) throws -> ShardSet {
    try folder.sameForAnyThreads(
      "map",
      [
        "kind": "grammar", "inputOrders": .array(inputs.map(ConfigValue.integer)),
        "outputOrder": .integer(output),
        "documentsPerShard": .integer(perShard),
      ], ["tokens": tokens], name: "rows"
    ) { configuration, output, threads in
      _ = try MapStage.run(configuration, output: output, threads: threads)
    }.set
  }

  /// Element types of tokens: 3 terminals by one fit u8, 7 by three u16, 41 by three u32.
  @Test(
    arguments: [
      (0, 3, 1, ElementType.u8), (1, 3, 1, .u8), (40, 3, 1, .u8), (40, 7, 3, .u16),
      (23, 41, 3, .u32),
    ])
  func tokensAreThoseOfTheTokenizer(count: Int, letters: Int, order: Int, element: ElementType)
    throws
  {
    let terminals = Array(1...letters)
    let documents = Self.documents(count, terminals)
    let (set, _) = try tokens(symbols(documents, terminals), order: order)
    let tokenizer = try NGramTokenizer(
      alphabet: Alphabet(terminals.map { UInt8($0) }), order: order)
    #expect(set.element == element)
    #expect(
      try set.ids()
        == documents.map { try tokenizer.encode($0.map { UInt8($0) }).map(Int.init) })
    #expect(
      set.shards.map(\.documents) == stride(from: 0, to: count, by: 7).map { min(7, count - $0) })
    #expect(set.metadata["kind"] == "grammar")
    #expect(set.metadata["characters"] == .integer(documents.reduce(0) { $0 + $1.count }))
    #expect(set.metadata["tokens"] == .integer(set.elements))
    #expect(set.metadata["documents"] == .integer(count))
  }

  /// Tokens u8 to rows u8 and u16, tokens u16 to u16 and u32, tokens u32 to u32.
  @Test(
    arguments: [
      (0, 3, 1, [1], 1, ElementType.u8), (1, 3, 1, [1], 1, .u8), (50, 3, 1, [1, 2, 3], 3, .u8),
      (50, 3, 1, [1, 6], 2, .u16), (50, 7, 3, [1], 1, .u16), (50, 7, 3, [2], 1, .u32),
      (20, 41, 3, [1], 1, .u32), (50, 3, 1, [11], 1, .u32),
    ] as [(Int, Int, Int, [Int], Int, ElementType)])
  func rowsAreThoseOfTheMapper(
    count: Int, letters: Int, order: Int, inputs: [Int], output: Int, element: ElementType
  ) throws {
    let terminals = Array(1...letters)
    let documents = Self.documents(count, terminals)
    let (source, input) = try tokens(symbols(documents, terminals), order: order)
    let set = try rows(input, inputs: inputs, output: output)
    let mapper = try RowMapper(
      base: NGramVocabulary(alphabet: letters, order: order), inputOrders: inputs,
      outputOrder: output)
    #expect(set.element == element)
    #expect(set.columns.map(\.name) == inputs.indices.map { "input\($0)" } + ["label"])
    var used = [Set<Int>](repeating: [], count: inputs.count + 1)
    let found = try set.documents()
    let tokens = try source.ids()
    #expect(found.count == count)
    for (tokens, columns) in zip(tokens, found) {
      var incremental = IncrementalMapper(mapper)
      var expected = [[Int]](repeating: [], count: inputs.count)
      for token in tokens.dropLast() {
        incremental.push(UInt32(token))
        for g in inputs.indices { expected[g].append(Int(incremental.row(of: g))) }
      }
      #expect(Array(columns.dropLast()) == expected)
      if output == 1 { #expect(columns[inputs.count] == Array(tokens.dropFirst())) }
      for (c, column) in columns.enumerated() { used[c].formUnion(column) }
    }
    #expect(set.metadata["positions"] == .integer(set.elements))
    #expect(set.metadata["labelsUsed"] == .integer(used[inputs.count].count))
    var reader = try set.metadataReader()
    for (g, var table) in try reader.objects("inputs").enumerated() {
      #expect(try table.int("order") == inputs[g])
      #expect(try table.int("rowsUsed") == used[g].count)
    }
  }

  @Test func refusesWhatIsNoSetOfSymbolsOrTokens() throws {
    let wide = try folder.set(
      [[1]], element: .u16, column: Column("symbol"), perShard: 1, metadata: ["terminals": [1]],
      name: "wide")
    #expect(
      refusal { _ = try tokens(wide, order: 1) }.contains("expected one column 'symbol' of u8"))
    let foreign = try symbols([[1, 2]], [1], name: "foreign")
    #expect(refusal { _ = try tokens(foreign, order: 1) }.contains("symbol 1 of a document"))
    let doubtful = try folder.set(
      [[0, 2, 2], [0, 2, 1]], element: .u8, column: Column("token"), perShard: 1,
      metadata: ["kind": "grammar", "terminals": [1], "order": 1, "characters": 2], name: "doubtful"
    )
    #expect(
      refusal { _ = try rows(doubtful, inputs: [1], output: 1) }.contains(
        "expected BOS (0) … EOS (1)"))
    let empty = try folder.set(
      [[]], element: .u8, column: Column("token"), perShard: 1,
      metadata: ["kind": "grammar", "terminals": [1], "order": 1, "characters": 0], name: "empty")
    #expect(refusal { _ = try rows(empty, inputs: [1], output: 1) }.contains("found nothing"))
    let counts = try folder.set(
      [[0, 1]], element: .u64, column: Column("token"), perShard: 1,
      metadata: ["kind": "grammar", "terminals": [1], "order": 1, "characters": 0], name: "counts")
    #expect(
      refusal { _ = try rows(counts, inputs: [1], output: 1) }.contains("expected u8, u16 or u32"))
  }
}
