import Contracts
import NGrams
import Parallel
import Shards
import Support
import Tokenization

/// The stage "map" with kind text: over byte-pair tokens.
///
/// A document of tokens x_0 … x_{T−1} becomes T − 1 rows: token x_t, n-grams ending in x_t or the length
/// of the longest f-gram that does, label x_{t+1}; a document of no or one token becomes an empty one, so
/// documents keep their numbers.
struct TextMapping {
  private let configuration: StageConfiguration
  private let tokens: TextTokens
  private let rows: TextRows
  private let documentsPerShard: Int

  init(
    _ configuration: StageConfiguration, _ parameters: TextMapParametersByContent, threads: Int
  ) throws {
    self.configuration = configuration
    tokens = try TextTokens(ShardSet(input: configuration.input("tokens")))
    let vocabulary = tokens.vocabulary
    let content: TextRows.Content
    switch parameters {
    case .nGrams(let parameters):
      documentsPerShard = parameters.documentsPerShard
      content =
        parameters.content == .ngramIDs
        ? .grams(try ExactGrams(vocabulary: vocabulary, order: parameters.order))
        : .rows(OverEncodingMapper(try parameters.layout(vocabulary: vocabulary)))
    case .fGrams(let parameters):
      documentsPerShard = parameters.documentsPerShard
      let found = try DiscoveredGrams(ShardSet(input: configuration.input("fgrams")))
      guard found.tokenizer == tokens.tokenizer, found.vocabulary == vocabulary else {
        throw UserError(
          "\(configuration.source): input 'fgrams' does not match the token set",
          expected: "f-grams of \(vocabulary) tokens of \(tokens.tokenizer), which made "
            + tokens.set.directory,
          found: "\(found.vocabulary) tokens of \(found.tokenizer)",
          remedy: "Discover f-grams in tokens of the same tokenizer.")
      }
      content = .matches(
        MatchCounts(
          try found.load(
            longest: parameters.longest, size: parameters.size, pool: WorkerPool(threads: threads)),
          of: found.id),
        try parameters.order.map { try ExactGrams(vocabulary: vocabulary, order: $0) })
    }
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
    rows = TextRows(content, vocabulary: vocabulary, labelBytes: model.textBytes)
  }

  func run(output: String, threads: Int) throws -> StageSummary {
    let (writer, counted) = try tokens.set.map(
      by: rows, documentsPerShard: documentsPerShard, output: output,
      configuration: configuration, threads: threads)
    let positions = writer.elements
    try writer.finish(metadata: metadata(counted, positions: positions))
    return StageSummary(
      "mapped \(tokens.set.documents) documents, \(positions) positions, \(counted.bytes) bytes to "
        + rows.columns.map(\.name).joined(separator: ", "), amounts: ["positions": positions])
  }

  private func metadata(_ counted: TextRows, positions: Int) -> ConfigValue {
    func number(_ count: Int?) -> ConfigValue { count.map(ConfigValue.integer) ?? .null }
    let used = counted.coverage.counts
    let vocabulary = tokens.vocabulary
    var members: [String: ConfigValue] = [
      "kind": .string(DataKind.text.rawValue), "vocabulary": .integer(vocabulary),
      "tokenizer": .string(tokens.tokenizer),
      "endOfText": number(tokens.endOfText),
      "inputs": [
        ["order": 1, "rows": .integer(vocabulary), "rowsUsed": number(used[0])]
      ],
      "labels": .integer(vocabulary), "labelsUsed": number(used[used.count - 1]),
      "labelBytes": .array(rows.labelBytes.map(ConfigValue.integer)),
      "bytes": .integer(counted.bytes), "documents": .integer(tokens.set.documents),
      "positions": .integer(positions),
    ]
    switch counted.content {
    case .grams(let grams):
      members["content"] = .string(TextMap.Content.ngramIDs.rawValue)
      members["order"] = .integer(grams.order)
    case .matches(let matches, let grams):
      members["content"] = .string(TextMap.Content.fGrams.rawValue)
      members.merge(matches.members) { $1 }
      members["order"] = grams.map { .integer($0.order) }
    case .rows(let mapper):
      let layout = mapper.layout
      members["content"] = .string(TextMap.Content.overEncoding.rawValue)
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

/// The lengths of the longest f-grams, and how many positions each length has.
private struct MatchCounts {
  /// Id of the set that they were cut from.
  let discovered: String
  private var match: LongestMatch
  /// By length.
  private var positions: [Int]

  init(_ set: FGramSet, of discovered: String) {
    self.discovered = discovered
    match = LongestMatch(set)
    positions = [Int](repeating: 0, count: set.longest + 1)
  }

  var set: FGramSet { match.set }

  mutating func map<T: ShardInteger, U: ShardInteger>(
    _ document: Span<T>, into lengths: inout MutableSpan<U>
  ) {
    match.match(document, into: &lengths)
    for t in 0..<lengths.count { positions[Int(truncatingIfNeeded: lengths[t])] += 1 }
  }

  mutating func merge(_ other: MatchCounts) {
    for length in positions.indices { positions[length] += other.positions[length] }
  }

  /// Of the metadata.
  var members: [String: ConfigValue] {
    [
      "longest": .integer(set.longest), "size": .integer(set.count),
      "fgrams": .string(discovered),
      "lengths": .array(
        (1...set.longest).map { length in
          [
            "length": .integer(length), "fGrams": .integer(set.ids(ofLength: length).count),
            "positions": .integer(positions[length]),
          ]
        }),
    ]
  }
}

/// Tokens to a column of themselves, n-gram ids, rows or lengths of f-grams, and labels; which of them
/// occur, and the bytes of text of all labels.
private struct TextRows: DocumentMapper {
  enum Content {
    case grams(ExactGrams)
    case rows(OverEncodingMapper)
    case matches(MatchCounts, ExactGrams?)
  }

  private(set) var content: Content
  let labelBytes: [Int]
  let columns: [Column]
  private(set) var coverage: Coverage
  private(set) var bytes = 0
  /// Sums of one document before they are reduced.
  private var sums: [UInt64] = []

  init(_ content: Content, vocabulary: Int, labelBytes: [Int]) {
    self.content = content
    self.labelBytes = labelBytes
    func columns(of grams: ExactGrams?) -> [Column] {
      grams.map { grams in
        (2...grams.order).map { Column("gram\($0)", cardinality: grams.cardinality(order: $0)) }
      } ?? []
    }
    let middle: [Column]
    // Exact ids are too many to mark: what they cover is asked of `ott-map statistics`.
    let unmarked = Coverage.largestColumn + 1
    let marked: [Int]
    switch content {
    case .grams(let grams):
      middle = columns(of: grams)
      marked = middle.map { _ in unmarked }
    case .rows(let mapper):
      middle = mapper.layout.embedders.enumerated().map {
        Column("input\($0.offset + 1)", cardinality: $0.element.modulus)
      }
      marked = mapper.layout.embedders.map(\.modulus)
    case .matches(let matches, let grams):
      let lengths = matches.set.longest + 1
      middle = [Column("match", cardinality: lengths)] + columns(of: grams)
      marked = [lengths] + middle.dropFirst().map { _ in unmarked }
    }
    self.columns =
      [Column("token", cardinality: vocabulary)] + middle
      + [Column("label", cardinality: vocabulary)]
    coverage = Coverage([vocabulary] + marked + [vocabulary])
  }

  func rows(ofDocument length: Int) -> Int { OverEncodingMapper.positions(ofTokens: length) }

  mutating func map<T: ShardInteger, U: ShardInteger>(
    _ document: Span<T>, into columns: PlanarColumns<U>
  ) throws {
    let positions = columns.rows
    let label = self.columns.count - 1
    let (first, last) = (columns[0], columns[label])
    for t in 0..<positions {
      first[t] = U(truncatingIfNeeded: document[t])
      last[t] = U(truncatingIfNeeded: document[t + 1])
    }
    if sums.count < positions { sums = [UInt64](repeating: 0, count: positions) }
    for c in 1..<label {
      var output = columns[c].mutableSpan
      switch content {
      case .grams(let grams):
        grams.extend(to: c + 1, tokens: document, shorter: columns[c - 1].span, into: &output)
      case .rows(let mapper):
        var sums = sums.mutableSpan
        mapper.mapRows(embedder: c - 1, tokens: document, sums: &sums, into: &output)
      case .matches(_, let grams?) where c > 1:
        let shorter = columns[c == 2 ? 0 : c - 1]
        grams.extend(to: c, tokens: document, shorter: shorter.span, into: &output)
      case .matches(var matches, let grams):
        matches.map(document, into: &output)
        content = .matches(matches, grams)
      }
    }
    for c in 0...label { coverage.mark(columns[c].span, column: c) }
    bytes += last.reduce(0) { $0 + labelBytes[Int($1)] }
  }

  mutating func merge(_ other: TextRows) {
    coverage.formUnion(other.coverage)
    bytes += other.bytes
    if case .matches(var own, let grams) = content, case .matches(let others, _) = other.content {
      own.merge(others)
      content = .matches(own, grams)
    }
  }
}
