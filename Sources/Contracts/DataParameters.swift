import NGrams
import Support
import Tokenization

// MARK: - Sources

/// Stage sample: sentences of a grammar.
package struct SampleParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.sample

  /// Path of the grammar file, and SHA-256 of its bytes.
  @Key() package var grammar: String
  @Key() package var grammarDigest: String
  /// The symbol that sentences are derived from.
  @Key(in: 1...99_999) package var root: Int
  @Key() package var seed: UInt64
  /// Name of the random stream; see `SentenceStream`.
  @Key() package var stream: String
  @Key(in: 1...1 << 40) package var documents: Int
  @Key(in: 1...1 << 30) package var documentsPerShard: Int
  /// Of zstd.
  @Key(in: 1...22) package var compressionLevel: Int

  package init() {}
}

/// Stage vocabulary: a tokenizer trained on one part of a corpus.
package struct VocabularyParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.vocabulary

  /// Tokens, special ones included.
  @Key(in: 2...1 << 24) package var vocabulary: Int
  @Key() package var pattern: PretokenPattern
  /// They get the first ids.
  @Key() package var specialTokens: [String]
  /// Occurrences of a pair that is merged.
  @Key(in: 1...Int.max) package var minimumCount: Int
  @Key() package var part: CorpusSplit.Part
  /// Expected share of the documents that are held out.
  @Key(in: 0...1) package var heldoutShare: Double
  /// Name and seed of the stream that draws them.
  @Key() package var split: String
  @Key() package var splitSeed: UInt64
  /// See `CorpusSplit`; nil for 0.
  @Key(in: 1...1000) package var groupWords: Int?
  @Key(in: 64...1 << 40) package var blockBytes: Int?

  package init() {}

  package var training: BytePairTraining {
    BytePairTraining(
      vocabularySize: vocabulary, pattern: pattern, specialTokens: specialTokens,
      minimumCount: Int64(minimumCount))
  }

  package var corpusSplit: CorpusSplit {
    CorpusSplit(
      name: split, seed: splitSeed, validation: heldoutShare, groupWords: groupWords ?? 0,
      blockBytes: blockBytes ?? 0)
  }

  package func check(_ reader: ConfigReader) throws {
    try reader.locating("vocabulary") { try training.validate() }
  }
}

// MARK: - Tokens

/// Stage tokenize.
package typealias TokenizeParameters = ByKind<GrammarTokenizeParameters, TextTokenizeParameters>

/// Symbols to n-gram tokens.
package struct GrammarTokenizeParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.tokenize

  /// Symbols of a token.
  @Key(in: 1...64) package var order: Int
  @Key(in: 1...1 << 30) package var documentsPerShard: Int

  package init() {}
}

/// Text to byte-pair tokens.
package struct TextTokenizeParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.tokenize

  package enum Element: String, CaseIterable, Sendable {
    case u16, u32

    /// The smallest that holds the ids of so many tokens.
    package init(vocabulary: Int) { self = vocabulary <= 1 << 16 ? .u16 : .u32 }
  }

  /// Which documents of the corpus, as in `VocabularyParameters`.
  @Key() package var part: CorpusSplit.Part
  @Key(in: 0...1) package var heldoutShare: Double
  @Key() package var split: String
  @Key() package var splitSeed: UInt64
  @Key(in: 1...1000) package var groupWords: Int?
  @Key(in: 64...1 << 40) package var blockBytes: Int?
  @Key() package var element: Element
  /// A shard ends with the document that reaches so many bytes of text.
  @Key(in: 1...1 << 40) package var shardBytes: Int
  /// A special token behind every document.
  @Key() package var endOfText: String?
  /// Of a tokenizer that names none.
  @Key() package var pattern: PretokenPattern?

  package init() {}

  package var corpusSplit: CorpusSplit {
    CorpusSplit(
      name: split, seed: splitSeed, validation: heldoutShare, groupWords: groupWords ?? 0,
      blockBytes: blockBytes ?? 0)
  }
}

// MARK: - Rows and labels

/// Stage map.
package typealias MapParameters = ByKind<GrammarMapParameters, TextMapParametersByContent>

/// N-gram tokens to table rows and labels.
package struct GrammarMapParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.map

  /// One table each: [3] is the naive 3-gram input, [1, 2, 3] the hierarchical one.
  @Key(in: 1...64) package var inputOrders: [Int]
  /// Symbols of a label.
  @Key(in: 1...64) package var outputOrder: Int
  @Key(in: 1...1 << 30) package var documentsPerShard: Int

  package init() {}

  package func check(_ reader: ConfigReader) throws {
    guard !inputOrders.isEmpty, Set(inputOrders).count == inputOrders.count else {
      throw reader.fault(
        "inputOrders", expected: "one or more orders, all different", found: "\(inputOrders)")
    }
  }
}

/// Byte-pair tokens to what stands between them and their labels; the key `content` says what.
package enum TextMapParametersByContent: StageParameters {
  /// Content ngramIDs or overEncoding.
  case nGrams(TextMapParameters)
  /// Content fGrams.
  case fGrams(FGramMapParameters)

  package static let stage = Stage.map

  package init(reader: inout ConfigReader) throws {
    switch try reader.choice("content", TextMap.Content.self) {
    case .ngramIDs, .overEncoding: self = .nGrams(try TextMapParameters(reader: &reader))
    case .fGrams: self = .fGrams(try FGramMapParameters(reader: &reader))
    }
  }

  package var members: [String: ConfigValue] {
    switch self {
    case .nGrams(let parameters): parameters.members
    case .fGrams(let parameters): parameters.members
    }
  }
}

/// Byte-pair tokens to lengths of the f-grams that end with them, and to n-gram ids.
package struct FGramMapParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.map

  @Key() package var content: TextMap.Content
  /// Tokens of the longest f-gram.
  @Key(in: 2...8) package var longest: Int
  /// How many of the most frequent are taken; 0 for all.
  @Key(in: 0...1 << 40) package var size: Int
  /// Highest order of n-grams; nil for none.
  @Key(in: 2...64) package var order: Int?
  @Key(in: 1...1 << 30) package var documentsPerShard: Int

  package init() {}
}

/// Byte-pair tokens to n-gram ids or table rows.
package struct TextMapParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.map

  @Key() package var content: TextMap.Content
  /// Highest order of n-grams.
  @Key(in: 2...64) package var order: Int
  @Key(in: 1...1 << 30) package var documentsPerShard: Int
  /// Of content overEncoding: its tables; see `layout(vocabulary:)`.
  @Key(in: 2...64) package var orders: [Int]?
  @Key(in: 1...1024) package var slices: Int?
  @Key(in: 1...OverEncodingLayout.largestModulus) package var rows: Int?
  @Key() package var moduli: OverEncodingLayout.Moduli?

  package init() {}

  /// The tables of content overEncoding. Rows do not depend on widths: each has one column.
  ///
  /// - Throws: `UserError` for numbers that do not go together.
  package func layout(vocabulary: Int) throws -> OverEncodingLayout {
    let slices = slices ?? 1
    return try OverEncodingLayout(
      vocabulary: vocabulary, order: order, slices: slices, rows: rows ?? 1,
      width: slices * max(1, orders?.count ?? order - 1), moduli: moduli ?? .coprime,
      orders: orders)
  }

  package func check(_ reader: ConfigReader) throws {
    let given = [
      ("orders", orders != nil), ("slices", slices != nil), ("rows", rows != nil),
      ("moduli", moduli != nil),
    ]
    switch content {
    case .ngramIDs:
      guard let extra = given.first(where: \.1) else { return }
      throw reader.fault(
        extra.0, expected: "no such key with content ngramIDs", found: "one", remedy: "Delete it.")
    case .overEncoding:
      guard let missing = given.dropFirst().first(where: { !$0.1 }) else { return }
      throw reader.fault(
        missing.0, expected: "the tables of content overEncoding", found: "no such key",
        remedy: "Add it.")
    case .fGrams:
      throw reader.fault(
        "content", expected: "ngramIDs or overEncoding", found: "'\(content.rawValue)'")
    }
  }
}
