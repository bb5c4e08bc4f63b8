import Contracts
import Grammar
import Shards
import Support

/// The stage "sample": shard *s* holds sentences s · documentsPerShard ..< (s + 1) · documentsPerShard
/// of the stream, each by its own index, so the bytes do not depend on threads.
package struct SampleStage: Sendable {
  /// Sentences that are drawn at a time.
  private static let batch: UInt64 = 512

  private let configuration: StageConfiguration
  private let parameters: SampleParameters
  private let grammar: Grammar

  /// Checks the parameters and reads the grammar.
  package init(_ configuration: StageConfiguration) throws {
    self.configuration = configuration
    parameters = try SampleParameters(configuration)
    let path = parameters.grammar
    let bytes = try FileBytes.read(path)
    let digest = SHA256.hex(of: bytes)
    guard digest == parameters.grammarDigest else {
      throw UserError(
        "\(path): the grammar is not the one that was planned",
        expected: "SHA-256 \(parameters.grammarDigest)", found: digest,
        remedy: "Run the same make again, which plans with the grammar as it is now.")
    }
    grammar = try Grammar(bytes: bytes, source: path).rooted(at: parameters.root)
  }

  /// Writes all shards and the index into `output`.
  package func run(output: String, threads: Int) throws -> StageSummary {
    let writer = try ShardSetWriter(
      directory: output, element: .u8,
      columns: [Column("symbol", cardinality: grammar.terminalCount + 1)],
      configuration: configuration, level: parameters.compressionLevel)
    let sampler = SentenceSampler(grammar, seed: parameters.seed, stream: parameters.stream)
    let (documents, documentsPerShard) = (parameters.documents, parameters.documentsPerShard)
    let shards = (documents + documentsPerShard - 1) / documentsPerShard
    try writer.writeShards(count: shards, threads: threads) { shard, sink in
      let lower = shard * documentsPerShard
      let upper = min(lower + documentsPerShard, documents)
      try Self.draw(UInt64(lower)..<UInt64(upper), with: sampler, into: &sink)
    }
    let symbols = writer.elements
    try writer.finish(metadata: metadata(symbols: symbols))
    return StageSummary(
      "\(documents) sentences of \(grammar.name) rooted at \(grammar.root), \(symbols) symbols",
      amounts: ["symbols": symbols])
  }

  private static func draw(
    _ indices: Range<UInt64>, with sampler: SentenceSampler, into sink: inout ShardSink
  ) throws {
    var symbols: [UInt8] = []
    var lengths: [Int] = []
    var next = indices.lowerBound
    while next < indices.upperBound {
      let end = min(next + batch, indices.upperBound)
      symbols.removeAll(keepingCapacity: true)
      lengths.removeAll(keepingCapacity: true)
      sampler.appendSentences(next..<end, to: &symbols, lengths: &lengths)
      let all = symbols.span
      var start = 0
      for length in lengths {
        try sink.append(document: all.extracting(start..<start + length))
        start += length
      }
      next = end
      try Interruption.check()
    }
  }

  private func metadata(symbols: Int) -> ConfigValue {
    [
      "grammar": .string(grammar.name), "grammarDigest": .string(parameters.grammarDigest),
      "root": .integer(grammar.root),
      "terminals": .array((1...grammar.terminalCount).map(ConfigValue.integer)),
      "seed": .integer(Int(parameters.seed)), "stream": .string(parameters.stream),
      "documents": .integer(parameters.documents), "characters": .integer(symbols),
    ]
  }
}
