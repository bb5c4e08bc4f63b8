import NGrams
import Shards
import Stages
import Support
import Synchronization
import Tokenization

/// A checked configuration of the stage "map".
struct MapPlan {
  let tokens: ShardSet
  let base: NGramVocabulary
  let terminals: ConfigValue
  let characters: Int
  let mapper: RowMapper
  let documentsPerShard: Int
  let configuration: StageConfiguration

  init(_ configuration: StageConfiguration) throws {
    var reader = try configuration.reader()
    let inputOrders = try reader.ints("inputOrders")
    let outputOrder = try reader.int("outputOrder")
    documentsPerShard = try reader.int("documentsPerShard", in: 1...1 << 40)
    try reader.finish()
    tokens = try ShardSet(input: configuration.input("tokens"))
    var metadata = try tokens.metadataReader()
    let kind = try metadata.string("kind")
    guard kind == "ngram", tokens.columns.map(\.name) == ["token"] else {
      throw UserError(
        "\(tokens.directory): token set", expected: "n-gram tokens in one column 'token'",
        found: "kind '\(kind)', columns \(tokens.columns.map(\.name))",
        remedy: kind == "bpe"
          ? "Set parameters.kind to ngramIDs or overEncoding for byte-pair tokens."
          : "Give the output of ott-tokenize as input 'tokens'.")
    }
    let alphabet = try Alphabet(metadata.ints("terminals", in: 0...255).map { UInt8($0) })
    terminals = .array(alphabet.values.map { .integer(Int($0)) })
    base = try NGramVocabulary(alphabet: alphabet.count, order: metadata.int("order"))
    characters = try metadata.int("characters", in: 0...1 << 60)
    mapper = try reader.locating("inputOrders, outputOrder") { [base] in
      try RowMapper(base: base, inputOrders: inputOrders, outputOrder: outputOrder)
    }
    self.configuration = configuration
  }

  func run(_ context: StageContext) throws -> String {
    let largest = mapper.tables.reduce(mapper.labels) { max($0, $1.rows) }
    let type = try IDType.narrowest(for: largest, of: "rows and labels")
    let positions =
      switch (tokens.element, type) {
      case (.u8, .u8): try write(UInt8.self, UInt8.self, context)
      case (.u8, .u16): try write(UInt8.self, UInt16.self, context)
      case (.u8, .u32): try write(UInt8.self, UInt32.self, context)
      case (.u16, .u8), (.u16, .u16): try write(UInt16.self, UInt16.self, context)
      case (.u16, .u32): try write(UInt16.self, UInt32.self, context)
      case (.u32, _): try write(UInt32.self, UInt32.self, context)
      case (.f64, _), (.u64, _):
        throw UserError(
          "\(tokens.directory): element type", expected: "u8, u16 or u32",
          found: tokens.element.rawValue)
      }
    let seconds = context.evidence.wallSeconds
    context.evidence["symbolsPerSecond"] = .double(Double(characters) / seconds)
    context.evidence["positionsPerSecond"] = .double(Double(positions) / seconds)
    let tables = mapper.tables.map { "\($0.order)-gram (\($0.rows))" }.joined(separator: " + ")
    return "mapped \(tokens.documents) documents, \(positions) positions"
      + " to \(tables) rows and \(mapper.labels) labels in \(Int(seconds * 1000)) ms"
  }

  /// Writes all shards and the index; returns the number of positions.
  private func write<
    T: ShardElement & FixedWidthInteger & UnsignedInteger,
    U: ShardElement & FixedWidthInteger & UnsignedInteger
  >(_: T.Type, _: U.Type, _ context: StageContext) throws -> Int {
    let tables = mapper.tables
    let columns =
      tables.enumerated().map { Column("input\($0.offset)", cardinality: $0.element.rows) }
      + [Column("label", cardinality: mapper.labels)]
    let writer = try ShardSetWriter(
      directory: context.output, element: U.elementType, columns: columns,
      configuration: configuration)
    let coverage = Mutex(Coverage(columns.map { $0.cardinality ?? 0 }))
    let shards = (tokens.documents + documentsPerShard - 1) / documentsPerShard
    try writer.writeShards(count: shards, threads: context.threads) { shard, sink in
      var seen = Coverage(columns.map { $0.cardinality ?? 0 })
      let scratch = UnsafeMutableBufferPointer<U>.allocate(
        capacity: columns.count * max(1, tokens.maxDocumentLength))
      defer { scratch.deallocate() }
      let range = tokens.documents(ofShard: shard, documentsPerShard: documentsPerShard)
      try tokens.forEachPiece(ofDocuments: range) { loaded, documents in
        let column = loaded.buffer(0, as: T.self)
        for d in documents {
          let document = column.span.extracting(loaded.rows(ofDocument: d))
          try mapper.validate(document)
          let positions = document.count - 1
          for c in columns.indices {
            let part = UnsafeMutableBufferPointer(
              rebasing: scratch[c * positions..<(c + 1) * positions])
            var output = part.mutableSpan
            if c < tables.count {
              mapper.mapRows(table: c, tokens: document, into: &output)
            } else {
              mapper.mapLabels(tokens: document, into: &output)
            }
            seen.mark(part.span, column: c)
          }
          let filled = UnsafeMutableBufferPointer(rebasing: scratch[..<(columns.count * positions)])
          try sink.append(document: filled.span)
        }
      }
      let marked = seen
      coverage.withLock { $0.formUnion(marked) }
    }
    let used = coverage.withLock { $0.counts }
    let positions = writer.elements
    try writer.finish(metadata: metadata(used: used, positions: positions))
    return positions
  }

  private func metadata(used: [Int?], positions: Int) -> ConfigValue {
    func number(_ count: Int?) -> ConfigValue { count.map(ConfigValue.integer) ?? .null }
    let inputs = mapper.tables.enumerated().map { g, table -> ConfigValue in
      [
        "order": .integer(table.order), "rows": .integer(table.rows), "rowsUsed": number(used[g]),
      ]
    }
    // A row consumes the symbols of its next token; of a joint label only the first symbol is next.
    let labelCharacters = (0..<mapper.labels).map { label -> ConfigValue in
      if mapper.outputOrder > 1 { return .integer(label < 2 ? 0 : 1) }
      return .integer(base.length(of: label))
    }
    return [
      "kind": "ngram", "tokenizerOrder": .integer(base.order), "terminals": terminals,
      "tokenVocabulary": .integer(base.size), "inputs": .array(inputs),
      "outputOrder": .integer(mapper.outputOrder), "labels": .integer(mapper.labels),
      "labelsUsed": number(used[mapper.tables.count]),
      "labelCharacters": .array(labelCharacters), "characters": .integer(characters),
      "documents": .integer(tokens.documents), "positions": .integer(positions),
    ]
  }
}
