import Shards
import Support

/// The small shard sets that an evaluation writes beside its index, so that every score can be computed
/// again.
struct ScoreSets {
  let output: String
  let configuration: StageConfiguration
  private var digests: [String: ConfigValue] = [:]

  init(output: String, configuration: StageConfiguration) {
    self.output = output
    self.configuration = configuration
  }

  /// Writes the set `name` of one shard into a directory of that name.
  mutating func write(
    _ name: String, _ element: ElementType, _ columns: [Column],
    _ body: (inout ShardSink) throws -> Void
  ) throws {
    let directory = "\(output)/\(name)"
    try AtomicFile.makeDirectory(directory)
    let writer = try ShardSetWriter(
      directory: directory, element: element, columns: columns, configuration: configuration)
    try writer.writeShard(0, body)
    try writer.finish(metadata: ["content": .string(name)])
    digests[name] = .string(
      SHA256.hex(of: try FileBytes.read("\(directory)/\(StageIndex.fileName)")))
  }

  /// Writes `scores-<set>`: for each of several scores of a set of text, by document.
  mutating func write(_ scores: [TextScores], of set: TextSet) throws {
    let columns = ["document", "tokens", "bytes", "nats"].map { Column($0) }
    try write("scores-\(set.name)", .f64, columns) { sink in
      for documents in scores.map(\.documents) {
        try sink.append(
          document: documents.map { Double($0.document) } + documents.map { Double($0.tokens) }
            + documents.map { Double($0.bytes) } + documents.map(\.nats))
      }
    }
  }

  /// Writes the index; it names the digest of each set's index.
  func finish(metadata: ConfigValue) throws {
    try StageIndex.write(
      to: output, configuration: configuration,
      content: ["metadata": metadata, "sets": .object(digests)])
  }
}
