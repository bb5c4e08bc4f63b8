import Contracts
import NGrams
import Parallel
import Shards
import Support

/// The stage "discover": the f-grams of a token set, n-grams that occur often inside its documents.
///
/// The token that ends every document is no part of it.
package struct DiscoverStage: Sendable {
  private let configuration: StageConfiguration
  private let parameters: DiscoverParameters
  private let tokens: TextTokens
  /// Which documents of a share are read: those of a smaller one are among them.
  private let draws = RandomStream(seed: 0, name: "share of documents")

  /// Checks the parameters and the set.
  package init(_ configuration: StageConfiguration) throws {
    self.configuration = configuration
    parameters = try DiscoverParameters(configuration)
    tokens = try TextTokens(ShardSet(input: configuration.input("tokens")))
  }

  /// Writes the shards and last the index into `output`.
  ///
  /// - Parameter memoryBytes: of the positions and keys that are counted; what exceeds it goes to files
  ///   in `output` that leave nothing behind. No byte depends on it.
  /// - Throws: `UserError` when no n-gram occurs often enough.
  package func run(output: String, threads: Int, memoryBytes: Int) throws -> StageSummary {
    let pool = WorkerPool(threads: threads)
    let (discovery, found) = try discover(pool, memoryBytes: memoryBytes, spillingInto: output)
    let count = found.levels.reduce(0) { $0 + $1.keys.count }
    guard count > 0 else {
      throw UserError(
        "\(configuration.source): parameters.minimumCount",
        expected: "at most the occurrences of the most frequent n-gram of \(tokens.set.directory)",
        found: "\(parameters.minimumCount), which none of its \(found.tokens) tokens reach",
        remedy: "Lower minimumCount, or read more text.")
    }
    try DiscoveredGrams.write(
      found.levels, of: discovery, tokens: found.tokens, tokenizer: tokens.tokenizer, to: output,
      configuration: configuration, pool: pool)
    let lengths = found.levels.map { "\($0.keys.count) of \($0.length)" }.joined(separator: ", ")
    return StageSummary(
      "found \(count) f-grams (\(lengths) tokens) in \(found.tokens) tokens",
      amounts: ["tokens": found.tokens])
  }

  /// What `run` counts, without writing it.
  package func discover(
    _ pool: WorkerPool, memoryBytes: Int, spillingInto directory: String
  ) throws -> (discovery: FGramDiscovery, found: (tokens: Int, levels: [FGramDiscovery.Level])) {
    let discovery = FGramDiscovery(
      vocabulary: tokens.vocabulary, longest: parameters.longest,
      minimumCount: parameters.minimumCount, memoryBytes: memoryBytes, directory: directory)
    let set = tokens.set
    let starts = set.shards.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.documents) }
    let found = try discovery.run(pieces: set.shards.count, pool: pool) { shard, sink in
      let loaded = try set.load(shard: shard)
      if set.element == .u16 {
        try append(loaded, from: starts[shard], as: UInt16.self, to: &sink)
      } else {
        try append(loaded, from: starts[shard], as: UInt32.self, to: &sink)
      }
    }
    return (discovery, found)
  }

  /// Whether document `number` of the set is read.
  private func isDrawn(_ number: Int) -> Bool {
    guard let share = parameters.share else { return true }
    var draw = draws.at(index: UInt64(number))
    return Double(draw.next32()) < share * 0x1p32
  }

  /// - Parameter first: number of the first document in the set.
  private func append<T: ShardInteger>(
    _ loaded: LoadedColumns, from first: Int, as type: T.Type, to sink: inout DocumentSink
  ) throws {
    let column = loaded.buffer(0, as: type).span
    for d in 0..<loaded.documents where isDrawn(first + d) {
      var rows = loaded.rows(ofDocument: d)
      if let end = tokens.endOfText, let last = rows.last, Int(column[last]) == end {
        rows = rows.dropLast()
      }
      try sink.append(column.extracting(rows))
    }
  }
}
