import ArgumentParser
import Parallel
import Shards
import Stages
import Support
import Synchronization
import Tokenization

/// The stage "tokenize": documents of symbols to documents of character n-grams.
struct NGramStage: ParsableCommand {
  static let version = 1

  static let configuration = CommandConfiguration(
    commandName: "stage",
    abstract: "Tokenize a sample set as a configuration says (the default).",
    discussion: """
      kind ngram: parameters order (1, 2, 3 …), documentsPerShard; input symbols. Every document \
      becomes BOS, its n-grams from left to right, one shorter gram if symbols are left over, EOS.

      kind bpe: text files to byte-pair tokens; `ott-tokenize configure` writes its configuration.
      """)

  @OptionGroup var options: StageOptions

  func run() throws {
    let libraries = ["zstd": Zstd.version]
    try runStage("tokenize", version: Self.version, options: options, libraries: libraries) {
      context in
      var reader = try context.configuration.reader()
      switch try reader.choice("kind", TokenizerKind.self) {
      case .ngram:
        let plan = try TokenizePlan(context.configuration, &reader)
        context.say(try plan.run(context))
      case .bpe: context.say(try BytePairStage.run(context, &reader))
      }
    }
  }
}

private enum TokenizerKind: String, CaseIterable {
  case ngram, bpe
}

/// A checked configuration of the stage.
private struct TokenizePlan {
  let symbols: ShardSet
  let tokenizer: NGramTokenizer
  let documentsPerShard: Int
  let configuration: StageConfiguration

  init(_ configuration: StageConfiguration, _ reader: inout ConfigReader) throws {
    let order = try reader.int("order")
    documentsPerShard = try reader.int("documentsPerShard", in: 1...1 << 40)
    try reader.finish()
    symbols = try ShardSet(input: configuration.input("symbols"))
    guard symbols.element == .u8, symbols.columns.map(\.name) == ["symbol"] else {
      throw UserError(
        "\(symbols.directory): columns", expected: "one column 'symbol' of u8",
        found: "\(symbols.columns.map(\.name)) of \(symbols.element.rawValue)",
        remedy: "Give the output of ott-sample as input 'symbols'.")
    }
    var metadata = try symbols.metadataReader()
    let terminals = try metadata.ints("terminals", in: 0...255).map { UInt8($0) }
    tokenizer = try reader.locating("order") {
      try NGramTokenizer(alphabet: Alphabet(terminals), order: order)
    }
    self.configuration = configuration
  }

  func run(_ context: StageContext) throws -> String {
    let type = try IDType.narrowest(
      for: tokenizer.vocabulary.size, of: "\(tokenizer.vocabulary.order)-gram vocabulary")
    let characters =
      switch type {
      case .u8: try write(UInt8.self, context)
      case .u16: try write(UInt16.self, context)
      case .u32: try write(UInt32.self, context)
      }
    let seconds = context.evidence.wallSeconds
    context.evidence["symbolsPerSecond"] = .double(Double(characters) / seconds)
    let vocabulary = tokenizer.vocabulary
    return "tokenized \(symbols.documents) documents, \(characters) symbols"
      + " into \(vocabulary.order)-grams (\(vocabulary.size) ids) in \(seconds.formatted) s"
  }

  private func write<T: ShardElement & FixedWidthInteger & UnsignedInteger>(
    _ type: T.Type, _ context: StageContext
  ) throws -> Int {
    let writer = try ShardSetWriter(
      directory: context.output, element: T.elementType,
      columns: [Column("token", cardinality: tokenizer.vocabulary.size)],
      configuration: configuration)
    let totals = Mutex((characters: 0, tokens: 0))
    let shards = (symbols.documents + documentsPerShard - 1) / documentsPerShard
    try writer.writeShards(count: shards, threads: context.threads) { shard, sink in
      var scratch = [T](
        repeating: 0, count: tokenizer.tokenCount(symbols: symbols.maxDocumentLength))
      var characters = 0
      let range = symbols.documents(ofShard: shard, documentsPerShard: documentsPerShard)
      try symbols.forEachPiece(ofDocuments: range) { loaded, documents in
        let column = loaded.buffer(0, as: UInt8.self)
        for d in documents {
          let rows = loaded.rows(ofDocument: d)
          var tokens = scratch.mutableSpan
          let count = try tokenizer.encode(column.span.extracting(rows), into: &tokens)
          try sink.append(document: scratch.span.extracting(0..<count))
          characters += rows.count
        }
      }
      let tokens = sink.elements
      totals.withLock {
        $0.characters += characters
        $0.tokens += tokens
      }
    }
    let (characters, tokens) = totals.withLock { $0 }
    try writer.finish(metadata: [
      "kind": "ngram", "order": .integer(tokenizer.vocabulary.order),
      "terminals": .array(tokenizer.alphabet.values.map { .integer(Int($0)) }),
      "vocabulary": .integer(tokenizer.vocabulary.size), "characters": .integer(characters),
      "tokens": .integer(tokens), "documents": .integer(symbols.documents),
    ])
    return characters
  }
}

extension Double {
  /// Two decimals.
  fileprivate var formatted: String {
    let hundredths = Int((self * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }
}
