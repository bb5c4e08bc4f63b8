import Foundation
import Grammar
import Shards
import Stages
import Support

/// The stage "sample": shard *s* holds sentences s · documentsPerShard ..< (s + 1) · documentsPerShard
/// of the stream, each by its own index, so the bytes do not depend on threads.
enum SampleStage {
  /// Part of every id. A change of what any sentence is, or of the metadata, is a new version.
  static let version = 1

  /// Sentences that are drawn at a time.
  private static let batch: UInt64 = 512

  static func run(_ options: StageOptions) throws {
    try runStage("sample", version: version, options: options, libraries: ["zstd": Zstd.version]) {
      context in
      let plan = try SamplePlan(context.configuration)
      let grammar = plan.grammar
      let writer = try ShardSetWriter(
        directory: context.output, element: .u8,
        columns: [Column("symbol", cardinality: grammar.terminalCount + 1)],
        configuration: context.configuration, level: plan.compressionLevel)
      let sampler = SentenceSampler(grammar, seed: plan.seed, stream: plan.stream)
      let begin = Host.monotonicSeconds
      let shards = (plan.documents + plan.documentsPerShard - 1) / plan.documentsPerShard
      try writer.writeShards(count: shards, threads: context.threads) { shard, sink in
        let lower = shard * plan.documentsPerShard
        let upper = min(lower + plan.documentsPerShard, plan.documents)
        try draw(UInt64(lower)..<UInt64(upper), with: sampler, into: &sink)
      }
      let symbols = writer.elements
      try writer.finish(metadata: plan.metadata(symbols: symbols))
      let seconds = Host.monotonicSeconds - begin
      let rate = Double(symbols) / max(seconds, 1e-9) / 1e6
      context.evidence["symbolsPerSecond"] = .double(rate * 1e6)
      context.say(
        "\(plan.documents) sentences of \(grammar.name) rooted at \(grammar.root), "
          + "\(symbols) symbols in \(String(format: "%.2f", seconds)) s "
          + "(\(String(format: "%.1f", rate)) M symbols/s)")
    }
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
}

/// The parameters of the stage, checked.
struct SamplePlan: Sendable {
  let grammar: Grammar
  let digest: String
  let seed: UInt64
  let stream: String
  let documents: Int
  let documentsPerShard: Int
  let compressionLevel: Int

  init(_ configuration: StageConfiguration) throws {
    var reader = try configuration.reader()
    let path = try reader.string("grammar")
    let expected = try reader.string("grammarDigest")
    let root = try reader.int("root", in: 1...99_999)
    seed = UInt64(try reader.int("seed", in: 0...Int.max))
    stream = try reader.string("stream")
    documents = try reader.int("documents", in: 1...1 << 40)
    documentsPerShard = try reader.int("documentsPerShard", in: 1...1 << 30)
    compressionLevel = try reader.int("compressionLevel", in: 1...22)
    try reader.finish()
    let bytes = try FileBytes.read(path)
    digest = SHA256.hex(of: bytes)
    guard digest == expected else {
      throw UserError(
        "\(path): the grammar is not the one that was planned", expected: "SHA-256 \(expected)",
        found: digest, remedy: "Run: make figure2, which plans with the grammar as it is now.")
    }
    grammar = try Grammar(bytes: bytes, source: path).rooted(at: root)
  }

  func metadata(symbols: Int) -> ConfigValue {
    [
      "grammar": .string(grammar.name), "grammarDigest": .string(digest),
      "root": .integer(grammar.root),
      "terminals": .array((1...grammar.terminalCount).map(ConfigValue.integer)),
      "seed": .integer(Int(seed)), "stream": .string(stream), "documents": .integer(documents),
      "characters": .integer(symbols),
    ]
  }
}
