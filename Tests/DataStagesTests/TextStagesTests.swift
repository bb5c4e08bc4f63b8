import DataStages
import NGrams
import Shards
import Support
import Testing
import Tokenization

/// A corpus to a tokenizer, to tokens, to n-gram ids and rows, against the definitions.
@Suite struct TextStagesTests {
  private let folder: DataFolder

  init() throws { folder = try DataFolder() }

  /// Texts of no, one and many tokens; empty ones are no documents.
  private static let texts = (0..<60).map { i -> String in
    if i % 10 == 3 { return "" }
    if i % 10 == 7 { return "a" }
    return "The \(i % 7) cats sat on \(i) mats, don't they? Ünï "
      + String(repeating: "again and ", count: i % 4 * i)
  }

  private func corpus(
    _ texts: [String] = texts, name: String = "corpus"
  ) throws -> StageConfiguration.Input {
    let path = "\(folder.path)/\(name).jsonl"
    try AtomicFile.write(texts.map { "{\"text\": \"\($0)\"}\n" }.joined(), to: path)
    return .init(id: String(try Corpus([path]).digest().prefix(12)), path: path)
  }

  private func vocabulary(
    _ corpus: StageConfiguration.Input, size: Int = 300, validation: Double = 0, threads: Int = 2,
    name: String = "vocabulary"
  ) throws -> StageConfiguration.Input {
    let job = try folder.job(
      "vocabulary",
      [
        "vocabulary": .integer(size), "pattern": "gpt2", "specialTokens": ["<|end|>"],
        "minimumCount": 1, "part": "train", "split": "split", "splitSeed": 0,
        "heldoutShare": .double(validation),
      ], ["corpus": corpus], name: name)
    _ = try VocabularyStage(job.configuration).run(output: job.output, threads: threads)
    return job.input
  }

  private func tokens(
    _ corpus: StageConfiguration.Input, _ tokenizer: StageConfiguration.Input,
    element: String = "u16", part: String = "train", validation: Double = 0,
    endOfText: ConfigValue = "<|end|>", name: String = "tokens"
  ) throws -> (set: ShardSet, input: StageConfiguration.Input) {
    try folder.sameForAnyThreads(
      "tokenize",
      [
        "kind": "text", "part": .string(part), "split": "split", "splitSeed": 0,
        "heldoutShare": .double(validation), "element": .string(element), "shardBytes": 1500,
        "endOfText": endOfText,
      ], ["corpus": corpus, "tokenizer": tokenizer], name: name
    ) { configuration, output, threads in
      _ = try TokenizeStage.run(configuration, output: output, threads: threads, isQuiet: true)
    }
  }

  private func map(
    _ parameters: ConfigValue, _ tokens: StageConfiguration.Input,
    _ tokenizer: StageConfiguration.Input, name: String = "map"
  ) throws -> ShardSet {
    try folder.sameForAnyThreads(
      "map", parameters, ["tokens": tokens, "tokenizer": tokenizer], name: name
    ) { configuration, output, threads in
      _ = try MapStage.run(configuration, output: output, threads: threads)
    }.set
  }

  @Test func vocabulariesAreTheSameForAnyThreads() throws {
    let corpus = try corpus()
    let one = try vocabulary(corpus, threads: 1, name: "one")
    let three = try vocabulary(corpus, threads: 3, name: "three")
    #expect(
      try FileBytes.read(one.path + "/index.json") == FileBytes.read(three.path + "/index.json"))
    #expect(try BytePairModel.load(input: one).vocabularySize == 300)
    #expect(
      refusal { _ = try vocabulary(corpus, size: 100_000, name: "large") }.contains(
        "no more pairs of the corpus occur 1 times"))
  }

  @Test(arguments: [ConfigValue.null, "<|end|>"])
  func tokensAreThoseOfTheEncoder(endOfText: ConfigValue) throws {
    let corpus = try corpus()
    let tokenizer = try vocabulary(corpus)
    let (set, _) = try tokens(corpus, tokenizer, endOfText: endOfText)
    let encoder = BytePairEncoder(
      try BytePairModel.load(input: tokenizer), findsSpecialTokens: false)
    let texts = Self.texts.filter { !$0.isEmpty }
    #expect(
      try set.ids()
        == texts.map {
          encoder.encode(Array($0.utf8)).map(Int.init) + (endOfText == .null ? [] : [0])
        })
    #expect(set.shards.count > 3)
    #expect(set.metadata["bytes"] == .integer(texts.reduce(0) { $0 + $1.utf8.count }))
    #expect(set.metadata["tokens"] == .integer(set.elements))
    #expect(set.metadata["documents"] == .integer(texts.count))
  }

  @Test func partsTogetherAreTheCorpus() throws {
    let corpus = try corpus()
    let tokenizer = try vocabulary(corpus)
    let whole = try tokens(corpus, tokenizer, name: "whole").set.ids()
    let train = try tokens(corpus, tokenizer, validation: 0.3, name: "train").set.ids()
    let heldout = try tokens(
      corpus, tokenizer, part: "validation", validation: 0.3, name: "heldout"
    ).set.ids()
    #expect(train.count + heldout.count == whole.count && !train.isEmpty && !heldout.isEmpty)
    #expect(train.allSatisfy(whole.contains) && heldout.allSatisfy(whole.contains))
    // A part of no document is a set of none.
    let none = try tokens(corpus, tokenizer, part: "validation", name: "none")
    #expect(try none.set.ids().isEmpty)
    let ids: ConfigValue = [
      "kind": "text", "content": "ngramIDs", "order": 2, "documentsPerShard": 5,
    ]
    #expect(try map(ids, none.input, tokenizer).documents().isEmpty)
  }

  /// The n-gram id by its definition, whatever its size: modulo 2⁶⁴ it is exact below 2⁶³.
  private func gram(_ tokens: [Int], _ t: Int, _ order: Int) -> Int {
    (0..<order).reversed().reduce(0) { $0 * 300 + (t >= $1 ? tokens[t - $1] : 0) }
  }

  /// u16 tokens to u32 and u64 ids, u32 tokens to both.
  @Test(
    arguments: [
      ("u16", 2, ElementType.u32), ("u16", 4, .u64), ("u32", 3, .u32), ("u32", 5, .u64),
    ])
  func idsAreWhatTheDefinitionSays(element: String, order: Int, expected: ElementType) throws {
    let corpus = try corpus()
    let tokenizer = try vocabulary(corpus)
    let (source, input) = try tokens(corpus, tokenizer, element: element, endOfText: .null)
    let set = try map(
      ["kind": "text", "content": "ngramIDs", "order": .integer(order), "documentsPerShard": 13],
      input, tokenizer)
    #expect(set.element == expected)
    #expect(set.shards.map(\.documents) == [13, 13, 13, 13, 2])
    let tokens = try source.ids()
    #expect(tokens.contains { $0.count == 1 }, "a document without a position")
    for (tokens, columns) in zip(tokens, try set.documents()) {
      let positions = tokens.indices.dropLast()
      #expect(columns.count == order + 1)
      for o in 1...order {
        #expect(columns[o - 1] == positions.map { gram(tokens, $0, o) })
      }
      #expect(columns[order] == Array(tokens.dropFirst()))
    }
    #expect(set.metadata["positions"] == .integer(set.elements))
  }

  @Test func rowsAreIdsModuloTheTables() throws {
    let corpus = try corpus()
    let tokenizer = try vocabulary(corpus)
    let (source, input) = try tokens(corpus, tokenizer)
    let set = try map(
      [
        "kind": "text", "content": "overEncoding", "order": 4, "slices": 2, "rows": 5000,
        "moduli": "coprime",
        "documentsPerShard": 13,
      ], input, tokenizer)
    let layout = try OverEncodingLayout(
      vocabulary: 300, order: 4, slices: 2, rows: 5000, width: 6, moduli: .coprime)
    var used = [Set<Int>](repeating: [], count: layout.embedders.count)
    for (tokens, columns) in zip(try source.ids(), try set.documents()) {
      for (e, embedder) in layout.embedders.enumerated() {
        #expect(
          columns[e + 1]
            == tokens.indices.dropLast().map {
              gram(tokens, $0, embedder.order) % embedder.modulus
            })
        used[e].formUnion(columns[e + 1])
      }
    }
    var reader = try set.metadataReader()
    for (e, var table) in try reader.objects("tables").enumerated() {
      #expect(try table.int("rowsUsed") == used[e].count)
    }
  }

  @Test func sharingCountsWhatTheTokensHold() throws {
    let corpus = try corpus()
    let tokenizer = try vocabulary(corpus)
    let (source, input) = try tokens(corpus, tokenizer)
    let values = try [1, 3].map { threads in
      try RowSharing(
        tokens: input.path, order: 3, slices: 1, rows: [64, 5000], moduli: .paper,
        threads: threads
      ).value
    }
    #expect(values[0] == values[1])
    let tokens = try source.ids()
    var reader = try ConfigReader(values[0], source: "sharing")
    let tables = try reader.objects("tables")
    #expect(tables.count == 4)
    for var table in tables {
      let (order, modulus) = (try table.int("order"), try table.int("modulus"))
      let grams = tokens.flatMap { tokens in
        tokens.indices.dropLast().map { gram(tokens, $0, order) }
      }
      #expect(try table.int("positions") == grams.count)
      #expect(try table.int("distinctGrams") == Set(grams).count)
      #expect(try table.int("rowsUsed") == Set(grams.map { $0 % modulus }).count)
    }
  }

  @Test func curvesNameTheirTokenizerInOneField() throws {
    let corpus = try corpus()
    let tokenizer = try vocabulary(corpus)
    let name = "my \"novels\", (2)/tokenizer.json"
    let texts = try [1, 4].map { threads in
      try VocabularyCurve.csv(
        of: Corpus([corpus.path]), BytePairModel.load(input: tokenizer), tokenizer: name,
        orders: 2, threads: threads)
    }
    #expect(texts[0] == texts[1])
    let lines = texts[0].split(separator: "\n")
    #expect(lines[0] == "tokenizer,measure,order,tokens,value" && lines.count > 4)
    let field = "\"my \"\"novels\"\", (2)/tokenizer.json\","
    for line in lines.dropFirst() {
      #expect(line.hasPrefix(field))
      #expect(line.dropFirst(field.count).split(separator: ",").count == 4)
    }
  }

  @Test func refusesWhatDoesNotBelongTogether() throws {
    let corpus = try corpus()
    let tokenizer = try vocabulary(corpus)
    #expect(
      refusal { _ = try tokens(corpus, tokenizer, endOfText: "<eos>") }.contains(
        "special token \"<eos>\": expected one of <|end|>"))
    let (_, input) = try tokens(corpus, tokenizer)
    let other = try vocabulary(corpus, size: 290, name: "other")
    let ids: ConfigValue = [
      "kind": "text", "content": "ngramIDs", "order": 2, "documentsPerShard": 5,
    ]
    #expect(
      refusal { _ = try map(ids, input, other) }.contains("does not match the token set"))
    _ = try self.corpus(["other"])
    #expect(refusal { _ = try tokens(corpus, tokenizer) }.contains("another corpus"))
  }
}
