import Contracts
import NGrams
import Shards
import Support
import Tokenization

/// The stage "map" with kind grammar: over n-gram tokens of a grammar's symbols.
///
/// Input: tokens. Writes the
/// columns input0 … and label, one row for every predicted position.
struct SymbolMapping {
  private let configuration: StageConfiguration
  private let tokens: ShardSet
  private let base: NGramVocabulary
  private let alphabet: Alphabet
  private let characters: Int
  private let mapper: RowMapper
  private let documentsPerShard: Int

  init(_ configuration: StageConfiguration, _ parameters: GrammarMapParameters) throws {
    self.configuration = configuration
    documentsPerShard = parameters.documentsPerShard
    tokens = try ShardSet(input: configuration.input("tokens"))
    var metadata = try tokens.metadataReader()
    let kind = try metadata.string("kind")
    guard kind == DataKind.grammar.rawValue, tokens.columns.map(\.name) == ["token"] else {
      throw UserError(
        "\(tokens.directory): token set", expected: "n-gram tokens in one column 'token'",
        found: "kind '\(kind)', columns \(tokens.columns.map(\.name))",
        remedy: kind == DataKind.text.rawValue
          ? "Set parameters.kind to \(kind) for byte-pair tokens."
          : "Give the output of ott-tokenize as input 'tokens'.")
    }
    alphabet = try Alphabet(metadata.ints("terminals", in: 0...255).map { UInt8($0) })
    base = try NGramVocabulary(alphabet: alphabet.count, order: metadata.int("order"))
    characters = try metadata.int("characters", in: 0...1 << 60)
    mapper = try configuration.reader().locating("inputOrders, outputOrder") { [base] in
      let mapper = try RowMapper(
        base: base, inputOrders: parameters.inputOrders, outputOrder: parameters.outputOrder)
      let largest = mapper.tables.reduce(mapper.labels) { max($0, $1.rows) }
      _ = try IDType.narrowest(for: largest, of: "rows and labels")
      return mapper
    }
  }

  func run(output: String, threads: Int) throws -> StageSummary {
    let (writer, counted) = try tokens.map(
      by: NGramRows(mapper), documentsPerShard: documentsPerShard, output: output,
      configuration: configuration, threads: threads)
    let positions = writer.elements
    try writer.finish(metadata: metadata(used: counted.coverage.counts, positions: positions))
    let tables = mapper.tables.map { "\($0.order)-gram (\($0.rows))" }.joined(separator: " + ")
    return StageSummary(
      "mapped \(tokens.documents) documents, \(positions) positions"
        + " to \(tables) rows and \(mapper.labels) labels",
      amounts: ["symbols": characters, "positions": positions])
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
      "kind": .string(DataKind.grammar.rawValue), "tokenizerOrder": .integer(base.order),
      "terminals": .array(alphabet.values.map { .integer(Int($0)) }),
      "tokenVocabulary": .integer(base.size), "inputs": .array(inputs),
      "outputOrder": .integer(mapper.outputOrder), "labels": .integer(mapper.labels),
      "labelsUsed": number(used[mapper.tables.count]),
      "labelCharacters": .array(labelCharacters), "characters": .integer(characters),
      "documents": .integer(tokens.documents), "positions": .integer(positions),
    ]
  }
}

/// Tokens to the rows of every table and labels, and which of them occur.
private struct NGramRows: DocumentMapper {
  let mapper: RowMapper
  let columns: [Column]
  private(set) var coverage: Coverage

  init(_ mapper: RowMapper) {
    self.mapper = mapper
    columns =
      mapper.tables.enumerated().map { Column("input\($0.offset)", cardinality: $0.element.rows) }
      + [Column("label", cardinality: mapper.labels)]
    coverage = Coverage(columns.map { $0.cardinality ?? 0 })
  }

  func rows(ofDocument length: Int) -> Int { max(0, length - 1) }

  mutating func map<T: ShardInteger, U: ShardInteger>(
    _ document: Span<T>, into columns: PlanarColumns<U>
  ) throws {
    try mapper.validate(document)
    let tables = mapper.tables.count
    for c in 0...tables {
      var output = columns[c].mutableSpan
      if c < tables {
        mapper.mapRows(table: c, tokens: document, into: &output)
      } else {
        mapper.mapLabels(tokens: document, into: &output)
      }
      coverage.mark(columns[c].span, column: c)
    }
  }

  mutating func merge(_ other: NGramRows) { coverage.formUnion(other.coverage) }
}
