import NGrams
import Shards
import Stages
import Support
import Synchronization
import Tokenization

/// A checked configuration of the stage "map" over byte-pair tokens.
///
/// A document of tokens x_0 … x_{T−1} becomes T − 1 rows: token x_t, n-grams ending in x_t, label
/// x_{t+1}; a document of no or one token becomes an empty one, so documents keep their numbers.
struct TextMapPlan {
  private enum Content {
    case grams(ExactGrams)
    case rows(OverEncodingMapper)
  }

  private let tokens: TextTokens
  private let content: Content
  private let labelBytes: [Int]
  private let columns: [Column]
  private let documentsPerShard: Int
  private let configuration: StageConfiguration

  /// `kind` has been read from `reader`, the reader of the configuration's parameters.
  init(
    _ configuration: StageConfiguration, _ kind: TextMap.Kind, _ reader: inout ConfigReader
  ) throws {
    self.configuration = configuration
    documentsPerShard = try reader.int("documentsPerShard", in: 1...1 << 40)
    tokens = try TextTokens(ShardSet(input: configuration.input("tokens")))
    let vocabulary = tokens.vocabulary
    let middle: [Column]
    switch kind {
    case .ngramIDs:
      let grams = try ExactGrams(vocabulary: vocabulary, order: reader.int("order"))
      content = .grams(grams)
      middle = (2...grams.order).map {
        Column("gram\($0)", cardinality: grams.cardinality(order: $0))
      }
    case .overEncoding:
      // Rows do not depend on widths: any that can be shared will do.
      let layout = try OverEncodingLayout(rowsOf: &reader, vocabulary: vocabulary)
      content = .rows(OverEncodingMapper(layout))
      middle = layout.embedders.enumerated().map {
        Column("input\($0.offset + 1)", cardinality: $0.element.modulus)
      }
    }
    try reader.finish()
    let input = try configuration.input("tokenizer")
    guard input.id == tokens.tokenizer else {
      throw UserError(
        "\(configuration.source): input 'tokenizer' does not match the token set",
        expected: "\(tokens.tokenizer), which made \(tokens.set.directory)", found: input.id,
        remedy: "Name the tokenizer that the tokens were made with.")
    }
    let model = try BytePairModel.load(input: input)
    guard model.vocabularySize == vocabulary else {
      throw UserError(
        "\(input.path): tokenizer does not match the token set",
        expected: "\(vocabulary) tokens", found: "\(model.vocabularySize)")
    }
    labelBytes = model.textBytes
    columns =
      [Column("token", cardinality: vocabulary)] + middle
      + [Column("label", cardinality: vocabulary)]
  }

  func run(_ context: StageContext) throws -> String {
    let largest = columns.reduce(0) { max($0, $1.cardinality ?? 0) }
    let type = ElementType.smallest(cardinality: largest)
    let sums =
      switch (tokens.set.element, type) {
      case (.u32, .u64): try write(UInt32.self, UInt64.self, context)
      case (.u32, _): try write(UInt32.self, UInt32.self, context)
      case (_, .u64): try write(UInt16.self, UInt64.self, context)
      case (_, .u32): try write(UInt16.self, UInt32.self, context)
      default: try write(UInt16.self, UInt16.self, context)
      }
    let seconds = context.evidence.wallSeconds
    context.evidence["zstd"] = .string(Zstd.version)
    context.evidence["positionsPerSecond"] = .double(Double(sums.positions) / seconds)
    return "mapped \(tokens.set.documents) documents, \(sums.positions) positions, "
      + "\(sums.bytes) bytes to \(columns.map(\.name).joined(separator: ", ")) in "
      + "\(Int(seconds * 1000)) ms"
  }

  private struct Sums {
    var positions = 0
    /// Of the text of all labels.
    var bytes = 0
  }

  /// Writes all shards and the index.
  private func write<
    T: ShardElement & FixedWidthInteger & UnsignedInteger,
    U: ShardElement & FixedWidthInteger & UnsignedInteger
  >(_: T.Type, _: U.Type, _ context: StageContext) throws -> Sums {
    let set = tokens.set
    let writer = try ShardSetWriter(
      directory: context.output, element: U.elementType, columns: columns,
      configuration: configuration)
    // Exact ids are too many to mark: what they cover is asked of `ott-map statistics`.
    var marked = columns.map { $0.cardinality ?? 0 }
    if case .grams(let grams) = content {
      for c in 1..<grams.order { marked[c] = Coverage.largestColumn + 1 }
    }
    let cardinalities = marked
    let coverage = Mutex(Coverage(cardinalities))
    let total = Mutex(Sums())
    let shards = (set.documents + documentsPerShard - 1) / documentsPerShard
    try writer.writeShards(count: shards, threads: context.threads) { shard, sink in
      var seen = Coverage(cardinalities)
      var sums = Sums()
      var scratch = [U](repeating: 0, count: columns.count * set.maxDocumentLength)
      var wide = [UInt64](repeating: 0, count: set.maxDocumentLength)
      let range = set.documents(ofShard: shard, documentsPerShard: documentsPerShard)
      try set.forEachPiece(ofDocuments: range) { loaded, documents in
        let column = loaded.buffer(0, as: T.self)
        for d in documents {
          let document = column.span.extracting(loaded.rows(ofDocument: d))
          let positions = OverEncodingMapper.positions(ofTokens: document.count)
          try scratch.withUnsafeMutableBufferPointer { scratch in
            let filled = UnsafeMutableBufferPointer(
              rebasing: scratch[..<(columns.count * positions)])
            map(document, positions: positions, into: filled, wide: &wide, seen: &seen)
            let labels = filled[((columns.count - 1) * positions)...]
            sums.bytes += labels.reduce(0) { $0 + labelBytes[Int($1)] }
            try sink.append(document: filled.span)
          }
          sums.positions += positions
        }
      }
      let (marks, counts) = (seen, sums)
      coverage.withLock { $0.formUnion(marks) }
      total.withLock {
        $0.positions += counts.positions
        $0.bytes += counts.bytes
      }
    }
    let sums = total.withLock { $0 }
    try writer.finish(metadata: metadata(used: coverage.withLock { $0.counts }, sums))
    return sums
  }

  /// Fills (columns, positions), planar, for one document.
  private func map<
    T: FixedWidthInteger & UnsignedInteger, U: FixedWidthInteger & UnsignedInteger
  >(
    _ document: Span<T>, positions: Int, into filled: UnsafeMutableBufferPointer<U>,
    wide: inout [UInt64], seen: inout Coverage
  ) {
    func part(_ c: Int) -> UnsafeMutableBufferPointer<U> {
      UnsafeMutableBufferPointer(rebasing: filled[c * positions..<(c + 1) * positions])
    }
    let (first, last) = (part(0), part(columns.count - 1))
    for t in 0..<positions {
      first[t] = U(truncatingIfNeeded: document[t])
      last[t] = U(truncatingIfNeeded: document[t + 1])
    }
    for c in 1..<columns.count - 1 {
      var output = part(c).mutableSpan
      switch content {
      case .grams(let grams):
        grams.extend(to: c + 1, tokens: document, shorter: part(c - 1).span, into: &output)
      case .rows(let mapper):
        var sums = wide.mutableSpan
        mapper.mapRows(embedder: c - 1, tokens: document, sums: &sums, into: &output)
      }
    }
    for c in columns.indices { seen.mark(part(c).span, column: c) }
  }

  private func metadata(used: [Int?], _ sums: Sums) -> ConfigValue {
    func number(_ count: Int?) -> ConfigValue { count.map(ConfigValue.integer) ?? .null }
    let vocabulary = tokens.vocabulary
    var members: [String: ConfigValue] = [
      "vocabulary": .integer(vocabulary), "tokenizer": .string(tokens.tokenizer),
      "endOfText": number(tokens.endOfText),
      "inputs": [
        ["order": 1, "rows": .integer(vocabulary), "rowsUsed": number(used[0])]
      ],
      "labels": .integer(vocabulary), "labelsUsed": number(used[columns.count - 1]),
      "labelBytes": .array(labelBytes.map(ConfigValue.integer)), "bytes": .integer(sums.bytes),
      "documents": .integer(tokens.set.documents), "positions": .integer(sums.positions),
    ]
    switch content {
    case .grams(let grams):
      members["kind"] = .string(TextMap.Kind.ngramIDs.rawValue)
      members["order"] = .integer(grams.order)
    case .rows(let mapper):
      let layout = mapper.layout
      members["kind"] = .string(TextMap.Kind.overEncoding.rawValue)
      members["order"] = .integer(layout.order)
      members["orders"] = .array(layout.orders.map(ConfigValue.integer))
      members["slices"] = .integer(layout.slices)
      members["rows"] = .integer(layout.rows)
      members["moduli"] = .string(layout.moduli.rawValue)
      members["tables"] = .array(
        layout.embedders.enumerated().map { i, embedder in
          [
            "order": .integer(embedder.order), "slice": .integer(embedder.slice),
            "modulus": .integer(embedder.modulus), "rowsUsed": number(used[i + 1]),
          ]
        })
    }
    return .object(members)
  }
}
