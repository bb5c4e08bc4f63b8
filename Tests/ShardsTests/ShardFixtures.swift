import Foundation
import Shards
import Support

/// A directory that disappears with its owner.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/ott-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Random documents, reproducible.
func randomDocuments(
  _ count: Int, longest: Int, below cardinality: UInt32, columns: Int = 1, seed: UInt64 = 1
) -> [[UInt32]] {
  (0..<count).map { i in
    var stream = RandomStream(seed: seed, name: "documents", index: UInt64(i))
    let length = Int(stream.below(UInt32(longest + 1)))
    return (0..<length * columns).map { _ in stream.below(cardinality) }
  }
}

let testConfiguration = StageConfiguration(
  stage: "sample", version: 1, parameters: ["seed": 1],
  inputs: ["tokens": .init(id: "0123456789ab", path: "anywhere")])

/// Writes `documents` as a set, `perShard` documents a shard.
@discardableResult
func write(
  _ documents: [[UInt32]], to directory: String, element: ElementType = .u8,
  columns: [Column] = [Column("symbol", cardinality: 4)], perShard: Int = 10, threads: Int = 1,
  frameRows: Int = 64, level: Int = 1
) throws -> ShardSet {
  let writer = try ShardSetWriter(
    directory: directory, element: element, columns: columns, configuration: testConfiguration,
    frameRows: frameRows, level: level)
  let shards = (documents.count + perShard - 1) / perShard
  try writer.writeShards(count: shards, threads: threads) { shard, sink in
    for document in documents[shard * perShard..<min(documents.count, (shard + 1) * perShard)] {
      try sink.append(document: document)
    }
  }
  try writer.finish(metadata: ["kind": "test"])
  return try ShardSet(directory: directory)
}

extension LoadedColumns {
  /// Document `d` planar, as it was appended.
  func document(_ d: Int) -> [UInt32] {
    columns.indices.flatMap { integers(column: $0, rows: rows(ofDocument: d)).map(UInt32.init) }
  }
}
