import Contracts
import Shards
import Support
import Tokenization

/// The stage "tokenize" with kind grammar: every document becomes BOS, its n-grams from left to right,
/// one shorter gram if symbols are left over, EOS.
///
/// Input: symbols (a sample set).
struct SymbolTokenization {
  private let configuration: StageConfiguration
  private let symbols: ShardSet
  private let tokenizer: NGramTokenizer
  private let documentsPerShard: Int

  init(_ configuration: StageConfiguration, _ parameters: GrammarTokenizeParameters) throws {
    self.configuration = configuration
    let order = parameters.order
    documentsPerShard = parameters.documentsPerShard
    symbols = try ShardSet(input: configuration.input("symbols"))
    guard symbols.element == .u8, symbols.columns.map(\.name) == ["symbol"] else {
      throw UserError(
        "\(symbols.directory): columns", expected: "one column 'symbol' of u8",
        found: "\(symbols.columns.map(\.name)) of \(symbols.element.rawValue)",
        remedy: "Give the output of ott-sample as input 'symbols'.")
    }
    var metadata = try symbols.metadataReader()
    let terminals = try metadata.ints("terminals", in: 0...255).map { UInt8($0) }
    tokenizer = try configuration.reader().locating("order") {
      let tokenizer = try NGramTokenizer(alphabet: Alphabet(terminals), order: order)
      _ = try IDType.narrowest(for: tokenizer.vocabulary.size, of: "\(order)-gram vocabulary")
      return tokenizer
    }
  }

  func run(output: String, threads: Int) throws -> StageSummary {
    let (writer, encoder) = try symbols.map(
      by: NGramEncoder(tokenizer), documentsPerShard: documentsPerShard, output: output,
      configuration: configuration, threads: threads)
    let vocabulary = tokenizer.vocabulary
    try writer.finish(metadata: [
      "kind": .string(DataKind.grammar.rawValue), "order": .integer(vocabulary.order),
      "terminals": .array(tokenizer.alphabet.values.map { .integer(Int($0)) }),
      "vocabulary": .integer(vocabulary.size), "characters": .integer(encoder.characters),
      "tokens": .integer(writer.elements), "documents": .integer(symbols.documents),
    ])
    return StageSummary(
      "tokenized \(symbols.documents) documents, \(encoder.characters) symbols"
        + " into \(vocabulary.order)-grams (\(vocabulary.size) ids)",
      amounts: ["symbols": encoder.characters])
  }
}

/// Symbols to n-gram tokens, and how many symbols there were.
private struct NGramEncoder: DocumentMapper {
  let tokenizer: NGramTokenizer
  private(set) var characters = 0

  init(_ tokenizer: NGramTokenizer) { self.tokenizer = tokenizer }

  var columns: [Column] { [Column("token", cardinality: tokenizer.vocabulary.size)] }

  func rows(ofDocument length: Int) -> Int { tokenizer.tokenCount(symbols: length) }

  mutating func map<T: ShardInteger, U: ShardInteger>(
    _ document: Span<T>, into columns: PlanarColumns<U>
  ) throws {
    precondition(T.self == UInt8.self, "symbols are bytes")
    try document.withUnsafeBytes { symbols in
      var tokens = columns[0].mutableSpan
      _ = try tokenizer.encode(symbols.bindMemory(to: UInt8.self).span, into: &tokens)
    }
    characters += document.count
  }

  mutating func merge(_ other: NGramEncoder) { characters += other.characters }
}
