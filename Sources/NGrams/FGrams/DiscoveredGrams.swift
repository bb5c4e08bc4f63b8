import Parallel
import Shards
import Support

/// The output of stage discover: all f-grams of a token set, in shards.
///
/// A row is an f-gram, rows in the order (length, tokens). Columns: `prefix`, the number, among the
/// f-grams one token shorter, of all tokens but the last (of two tokens: the first itself); `token`, the
/// last; `count`. A document is up to 2²⁰ f-grams of one length, and a shard is one document.
package struct DiscoveredGrams: Sendable {
  package static let rowsPerShard = 1 << 20

  /// Id of the set.
  package let id: String
  /// V.
  package let vocabulary: Int
  /// Id of the tokenizer.
  package let tokenizer: String
  /// K.
  package let longest: Int
  package let minimumCount: Int
  /// Of length n at n − 2.
  package let counts: [Int]
  private let set: ShardSet

  // MARK: - Writing

  /// Writes the shards and last the index into `output`.
  package static func write(
    _ levels: [FGramDiscovery.Level], of discovery: FGramDiscovery, tokens: Int, tokenizer: String,
    to output: String, configuration: StageConfiguration, pool: WorkerPool
  ) throws {
    let prefixes = levels.reduce(discovery.vocabulary) { max($0, $1.keys.count) }
    let most = levels.reduce(0) { $1.counts.reduce($0, max) }
    let writer = try ShardSetWriter(
      directory: output, element: most < 1 << 32 ? .u32 : .u64,
      columns: [
        Column("prefix", cardinality: prefixes),
        Column("token", cardinality: discovery.vocabulary), Column("count"),
      ], configuration: configuration)
    let pieces = levels.flatMap { level in
      stride(from: 0, to: level.keys.count, by: rowsPerShard).map {
        (level, $0..<min($0 + rowsPerShard, level.keys.count))
      }
    }
    try writer.writeShards(count: pieces.count, pool: pool) { shard, sink in
      let (level, rows) = pieces[shard]
      if writer.layout.element == .u32 {
        try sink.append(document: columns(of: level, rows, as: UInt32.self))
      } else {
        try sink.append(document: columns(of: level, rows, as: UInt64.self))
      }
    }
    try writer.finish(metadata: [
      "kind": "text", "vocabulary": .integer(discovery.vocabulary),
      "tokenizer": .string(tokenizer), "longest": .integer(discovery.longest),
      "minimumCount": .integer(discovery.minimumCount), "tokens": .integer(tokens),
      "lengths": .array(
        levels.map { level in
          [
            "length": .integer(level.length), "candidates": .integer(level.candidates),
            "fGrams": .integer(level.keys.count),
            "occurrences": .integer(level.counts.reduce(0, +)),
          ]
        }),
    ])
  }

  private static func columns<U: FixedWidthInteger>(
    of level: FGramDiscovery.Level, _ rows: Range<Int>, as type: U.Type
  ) -> [U] {
    [U](unsafeUninitializedCapacity: 3 * rows.count) { buffer, filled in
      for (i, row) in rows.enumerated() {
        buffer[i] = U(truncatingIfNeeded: GramKey.prefix(level.keys[row]))
        buffer[rows.count + i] = U(truncatingIfNeeded: GramKey.token(level.keys[row]))
        buffer[2 * rows.count + i] = U(truncatingIfNeeded: level.counts[row])
      }
      filled = 3 * rows.count
    }
  }

  // MARK: - Reading

  /// Checks what a set says of itself.
  ///
  /// - Throws: `UserError` for any other set.
  package init(_ set: ShardSet) throws {
    guard set.columns.map(\.name) == ["prefix", "token", "count"],
      set.element == .u32 || set.element == .u64
    else {
      throw UserError(
        "\(set.directory): f-grams", expected: "the columns prefix, token and count",
        found: "\(set.columns.map(\.name).joined(separator: ", ")) of \(set.element.rawValue)",
        remedy: "Give the output of ott-discover.")
    }
    var metadata = try set.metadataReader()
    vocabulary = try metadata.int("vocabulary", in: 1...1 << 31)
    tokenizer = try metadata.string("tokenizer")
    longest = try metadata.int("longest", in: 2...8)
    minimumCount = try metadata.int("minimumCount", in: 1...Int.max)
    var lengths = try metadata.objects("lengths")
    counts = try lengths.indices.map { try lengths[$0].int("fGrams", in: 0...Int(UInt32.max) - 1) }
    guard counts.count == longest - 1, counts.reduce(0, +) == set.elements else {
      throw metadata.fault(
        "lengths", expected: "\(longest - 1) of \(set.elements) f-grams", found: "\(counts)",
        remedy: StageIndex.remedy(set.directory))
    }
    id = set.id
    self.set = set
  }

  /// Reads the f-grams of at most `longest` tokens, the most frequent `size` of them (0: all); see
  /// `FGramSet`.
  ///
  /// - Throws: `UserError` where they are longer than those that were looked for, and for rows that are
  ///   no f-grams in order.
  package func load(longest: Int, size: Int, pool: WorkerPool) throws -> FGramSet {
    guard longest <= self.longest else {
      throw UserError(
        "\(set.directory): f-grams of \(longest) tokens", expected: "at most \(self.longest)",
        found: "\(longest)", remedy: "Discover with longest \(longest).")
    }
    let loaded = try set.load(pool: pool)
    var levels: [(keys: [UInt64], counts: [Int])] = []
    var start = 0
    for count in counts.prefix(longest - 1) {
      levels.append(
        try level(loaded, start..<start + count, prefixes: levels.last?.keys.count ?? vocabulary))
      start += count
    }
    return FGramSet(vocabulary: vocabulary, levels: levels, longest: longest, size: size)
  }

  private func level(
    _ loaded: LoadedColumns, _ rows: Range<Int>, prefixes: Int
  ) throws -> (keys: [UInt64], counts: [Int]) {
    func fault(_ row: Int, _ expected: String, _ found: String) -> UserError {
      UserError(
        "\(set.directory): row \(row)", expected: expected, found: found,
        remedy: StageIndex.remedy(set.directory))
    }
    let first = loaded.integers(column: 0, rows: rows)
    let last = loaded.integers(column: 1, rows: rows)
    let counts = loaded.integers(column: 2, rows: rows)
    var keys: [UInt64] = []
    keys.reserveCapacity(rows.count)
    for i in first.indices {
      guard first[i] < prefixes, last[i] < vocabulary, counts[i] >= minimumCount else {
        throw fault(
          rows.lowerBound + i,
          "a prefix below \(prefixes), a token below \(vocabulary), \(minimumCount) occurrences or more",
          "\(first[i]), \(last[i]), \(counts[i])")
      }
      let key = GramKey.make(
        prefix: UInt32(truncatingIfNeeded: first[i]), token: UInt32(truncatingIfNeeded: last[i]))
      if let before = keys.last, before >= key {
        throw fault(rows.lowerBound + i, "f-grams in order, each once", "one out of order")
      }
      keys.append(key)
    }
    return (keys, counts)
  }
}
