import DataStages
import NGrams
import Shards
import Support
import Testing
import Tokenization

/// A token set to its f-grams, and to the lengths of those that end at each position.
@Suite struct FGramStagesTests {
  private let folder: DataFolder

  init() throws { folder = try DataFolder() }

  /// Documents of tokens 3…258, which are bytes of text, each ended by token 0.
  private static let documents: [[Int]] = (0..<60).map { i in
    let text = i % 9 == 4 ? "a" : text(i)
    return (i % 9 == 2 ? [] : text.utf8.map { Int($0) + 3 }) + [0]
  }

  private static func text(_ i: Int) -> String {
    "the \(i % 5) cats and the \(i % 3) dogs" + String(repeating: "xyz", count: i % 4)
  }

  private func tokens(
    _ documents: [[Int]] = documents, endOfText: ConfigValue = 0, tokenizer: String? = nil,
    element: ElementType = .u16, name: String = "tokens"
  ) throws -> StageConfiguration.Input {
    try folder.set(
      documents, element: element, column: Column("token", cardinality: 259), perShard: 7,
      metadata: [
        "kind": "text", "vocabulary": 259, "endOfText": endOfText,
        "tokenizer": .string(try tokenizer ?? self.tokenizer().id),
      ], name: name)
  }

  /// Three special tokens and all bytes.
  private func tokenizer() throws -> StageConfiguration.Input {
    let path = folder.path + "/corpus.jsonl"
    try AtomicFile.write("{\"text\": \"ab\"}\n", to: path)
    let corpus = StageConfiguration.Input(
      id: String(try Corpus([path]).digest().prefix(12)), path: path)
    let job = try folder.job(
      "vocabulary",
      [
        "vocabulary": 259, "pattern": "gpt2", "specialTokens": ["<|end|>", "<|a|>", "<|b|>"],
        "minimumCount": 1, "part": "train", "split": "split", "splitSeed": 0, "heldoutShare": 0.0,
      ], ["corpus": corpus], name: "tokenizer")
    if !FileBytes.exists(job.output + "/index.json") {
      _ = try VocabularyStage(job.configuration).run(output: job.output, threads: 1)
    }
    return job.input
  }

  private func discover(
    _ tokens: StageConfiguration.Input, longest: Int = 4, minimumCount: Int = 5,
    share: Double? = nil, memoryBytes: Int = 1 << 24, name: String = "discovered"
  ) throws -> (set: ShardSet, input: StageConfiguration.Input) {
    var parameters: [String: ConfigValue] = [
      "longest": .integer(longest), "minimumCount": .integer(minimumCount),
    ]
    parameters["share"] = share.map(ConfigValue.double)
    return try folder.sameForAnyThreads(
      "discover", .object(parameters), ["tokens": tokens], name: name
    ) { configuration, output, threads in
      _ = try DiscoverStage(configuration).run(
        output: output, threads: threads, memoryBytes: memoryBytes)
    }
  }

  private func map(
    _ tokens: StageConfiguration.Input, _ found: StageConfiguration.Input, longest: Int = 4,
    size: Int = 0, order: Int? = nil, name: String = "map"
  ) throws -> ShardSet {
    var parameters: [String: ConfigValue] = [
      "kind": "text", "content": "fGrams", "longest": .integer(longest), "size": .integer(size),
      "documentsPerShard": 11,
    ]
    parameters["order"] = order.map(ConfigValue.integer)
    return try folder.sameForAnyThreads(
      "map", .object(parameters),
      ["tokens": tokens, "tokenizer": try tokenizer(), "fgrams": found], name: name
    ) { configuration, output, threads in
      _ = try MapStage.run(configuration, output: output, threads: threads)
    }.set
  }

  /// Each n-gram, n = 2…K, that occurs so often, and how often.
  private func counts(_ documents: [[Int]], longest: Int, minimum: Int) -> [[Int]: Int] {
    var counts: [[Int]: Int] = [:]
    for document in documents {
      for n in 2...longest where n <= document.count {
        for start in 0...document.count - n {
          counts[Array(document[start..<start + n]), default: 0] += 1
        }
      }
    }
    return counts.filter { $0.value >= minimum }
  }

  /// Of all documents those of a share, which are among those of a larger one.
  @Test func aShareIsOfWholeDocuments() throws {
    let tokens = try tokens()
    let sizes = try [0.2, 0.5, 0.8, 1].map { share in
      let set = try discover(tokens, minimumCount: 1, share: share, name: "share\(share)").set
      var metadata = try set.metadataReader()
      return (set.elements, try metadata.int("tokens", in: 1...Int.max))
    }
    for (smaller, larger) in zip(sizes, sizes.dropFirst()) {
      #expect(smaller.0 <= larger.0 && smaller.1 < larger.1)
    }
    let whole = try discover(tokens, minimumCount: 1, name: "whole").set
    let tokensOfAll = Self.documents.reduce(0) { $0 + $1.count - 1 }
    #expect(sizes[3].0 == whole.elements && sizes[3].1 == tokensOfAll)
    #expect(sizes[0].1 < tokensOfAll / 2)
  }

  @Test(arguments: [ElementType.u16, .u32])
  func rowsAreTheFrequentGrams(element: ElementType) throws {
    let (set, _) = try discover(tokens(element: element))
    let expected = counts(Self.documents.map { $0.dropLast() }, longest: 4, minimum: 5)
    #expect(
      set.columns.map(\.name) == ["prefix", "token", "count"] && set.elements == expected.count)
    var shorter: [[Int]] = (0..<259).map { [$0] }
    for columns in try set.documents() {
      let grams = zip(columns[0], columns[1]).map { shorter[$0] + [$1] }
      for (gram, count) in zip(grams, columns[2]) { #expect(expected[gram] == count) }
      #expect(zip(grams, grams.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
      shorter = grams
    }
    let metadata = set.metadata
    #expect(metadata["tokens"] == .integer(Self.documents.reduce(0) { $0 + $1.count - 1 }))
    #expect(metadata["vocabulary"] == 259 && metadata["longest"] == 4)
    for length in 2...4 {
      let own = expected.filter { $0.key.count == length }
      let entry = metadata["lengths"]?[length - 2]
      #expect(entry?["length"] == .integer(length) && entry?["fGrams"] == .integer(own.count))
      #expect(entry?["occurrences"] == .integer(own.values.reduce(0, +)))
    }
  }

  @Test func memoryChangesNoByte() throws {
    let tokens = try tokens()
    let large = try discover(tokens, name: "large")
    let small = try discover(tokens, memoryBytes: 1, name: "small")
    #expect(
      try FileBytes.read(large.input.path + "/index.json")
        == FileBytes.read(small.input.path + "/index.json"))
    #expect(try AtomicFile.names(in: small.input.path).allSatisfy { !$0.hasPrefix(".") })
  }

  /// Without a token behind documents their last token is part of f-grams.
  @Test func theEndOfADocumentIsNoPart() throws {
    let with = try discover(tokens(), minimumCount: 1, name: "with")
    let without = try discover(
      tokens(endOfText: .null, name: "unended"), minimumCount: 1, name: "without")
    func ends(_ set: ShardSet) throws -> Int {
      try set.documents().reduce(0) { $0 + $1[1].count { $0 == 0 } }
    }
    #expect(try ends(with.set) == 0)
    #expect(try ends(without.set) > 0)
  }

  @Test(arguments: [(4, 0), (4, 12), (2, 0), (3, 100_000)])
  func matchesAreTheLongest(longest: Int, size: Int) throws {
    let tokens = try tokens()
    let found = try discover(tokens)
    let set = try map(tokens, found.input, longest: longest, size: size)
    #expect(set.columns.map(\.name) == ["token", "match", "label"])
    #expect(set.columns.map(\.cardinality) == [259, longest + 1, 259] && set.element == .u16)
    let all = counts(Self.documents.map { $0.dropLast() }, longest: longest, minimum: 5)
    let kept = Set(
      all.sorted { a, b in
        if a.value != b.value { return a.value > b.value }
        if a.key.count != b.key.count { return a.key.count < b.key.count }
        return a.key.lexicographicallyPrecedes(b.key)
      }.prefix(size == 0 ? all.count : size).map(\.key))
    var positions = [Int](repeating: 0, count: longest + 1)
    for (document, columns) in zip(Self.documents, try set.documents()) {
      let inputs = document.dropLast()
      #expect(columns[0] == Array(inputs) && columns[2] == Array(document.dropFirst()))
      let expected = inputs.indices.map { t in
        (2...longest).last { $0 <= t + 1 && kept.contains(Array(inputs[...t].suffix($0))) } ?? 1
      }
      #expect(columns[1] == expected)
      for length in expected { positions[length] += 1 }
    }
    let metadata = set.metadata
    #expect(metadata["content"] == "fGrams" && metadata["longest"] == .integer(longest))
    // What the set has, where more was asked for.
    #expect(
      metadata["size"] == .integer(kept.count) && metadata["fgrams"] == .string(found.input.id))
    for length in 1...longest {
      let entry = metadata["lengths"]?[length - 1]
      #expect(entry?["length"] == .integer(length))
      #expect(entry?["positions"] == .integer(positions[length]))
      #expect(entry?["fGrams"] == .integer(kept.count { $0.count == length }))
    }
    let text = try TextMap(metadata, source: "map")
    #expect(
      text?.columns
        == .matches(longest: longest, size: kept.count, id: found.input.id, order: nil))
  }

  /// N-gram ids beside the lengths are those of a set without lengths.
  @Test(arguments: [2, 3])
  func ngramsStandBesideMatches(order: Int) throws {
    let tokens = try tokens()
    let found = try discover(tokens)
    let set = try map(tokens, found.input, order: order)
    let plain = try map(tokens, found.input, name: "plain")
    #expect(
      set.columns.map(\.name)
        == ["token", "match"] + (2...order).map { "gram\($0)" } + ["label"])
    for (document, (columns, alone)) in zip(
      Self.documents, zip(try set.documents(), try plain.documents()))
    {
      #expect(columns[0] == alone[0] && columns[1] == alone[1] && columns.last == alone[2])
      for n in 2...order {
        let ids = document.dropLast().indices.map { t in
          document[max(0, t + 1 - n)...t].reduce(0) { $0 * 259 + $1 }
        }
        #expect(columns[n] == ids)
      }
    }
    let text = try #require(try TextMap(set.metadata, source: "map"))
    let layout = try OverEncodingLayout(
      vocabulary: 259, order: order, slices: 1, rows: 100, width: 2 * (order - 1), moduli: .coprime)
    let sources = try text.sources(of: .matchesAndTables(longest: 4, layout, .window), in: "map")
    #expect(sources.map(\.source.column) == ["match"] + (2...order).map { "gram\($0)" })
    let wanted = TextColumns.tables(layout, .window)
    let other = try #require(try TextMap(plain.metadata, source: "p"))
    let message = refusal { _ = try other.sources(of: wanted, in: "p") }
    #expect(
      message.contains("map set without the model's n-grams: expected order \(order) or more"))
  }

  @Test func refusesWhatDoesNotBelongTogether() throws {
    let tokens = try tokens()
    let found = try discover(tokens).input
    #expect(
      refusal { _ = try discover(tokens, minimumCount: 1000, name: "none") }.contains(
        "parameters.minimumCount: expected at most the occurrences of the most frequent n-gram"))
    #expect(
      refusal { _ = try map(tokens, found, longest: 5) }.contains(
        "f-grams of 5 tokens: expected at most 4, found 5. Discover with longest 5."))
    #expect(
      refusal {
        let other = try self.tokens(tokenizer: "000000000000", name: "other")
        _ = try map(tokens, discover(other, name: "others").input)
      }.contains("input 'fgrams' does not match the token set"))
    #expect(refusal { _ = try map(tokens, tokens) }.contains("Give the output of ott-discover."))
    #expect(
      refusal { _ = try discover(found, name: "again") }.contains("byte-pair tokens in one column"))
  }
}

extension ConfigValue {
  fileprivate subscript(position: Int) -> ConfigValue? {
    if case .array(let items) = self { items[position] } else { nil }
  }
}
