import Foundation
import Shards
import Support

/// A small map set with structure to learn: symbols count up modulo 3, documents begin anywhere.
enum MapFixture {
  static let documents = 37

  /// Symbols of document `d`; 0 to 10 of them.
  static func symbols(_ d: Int) -> [Int] { (0..<d * 7 % 11).map { ($0 + d) % 3 } }

  /// Rows of document `d`: ids in a table of single symbols and one of pairs, and the next symbol.
  /// 0 stands for the beginning, 1 for the end.
  static func rows(_ d: Int) -> (ones: [Int], pairs: [Int], labels: [Int]) {
    let ids = symbols(d).map { $0 + 2 }
    let ones = [0] + ids
    let pairs = [0] + ids.indices.map { $0 == 0 ? ids[0] : 5 + (ids[$0 - 1] - 2) * 3 + ids[$0] - 2 }
    return (ones, pairs, ids + [1])
  }

  static var metadata: ConfigValue {
    [
      "kind": "grammar", "labels": 5, "labelCharacters": [0, 0, 1, 1, 1],
      "inputs": [["order": 1, "rows": 5], ["order": 2, "rows": 14]],
    ]
  }

  /// Writes the set as directory/map.
  static func write(
    in directory: String, element: ElementType = .u8, stage: String = "map",
    metadata: ConfigValue = metadata, documents: Int = documents
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: stage, version: 1, parameters: ["element": .string(element.rawValue)])
    let path = "\(directory)/map"
    try AtomicFile.makeDirectory(path)
    let writer = try ShardSetWriter(
      directory: path, element: element,
      columns: [
        Column("input0", cardinality: 5), Column("input1", cardinality: 14),
        Column("label", cardinality: 5),
      ], configuration: configuration)
    try writer.writeShards(count: 2, threads: 1) { shard, sink in
      for d in 0..<documents where d % 2 == shard {
        let rows = rows(d)
        try sink.append(document: rows.ones + rows.pairs + rows.labels)
      }
    }
    try writer.finish(metadata: metadata)
    return StageConfiguration.Input(id: configuration.id, path: path)
  }

  /// Every file of `directory` that belongs to the identity of a run.
  static func files(_ directory: String) throws -> [String: [UInt8]] {
    let names = try FileManager.default.contentsOfDirectory(atPath: directory)
    var files: [String: [UInt8]] = [:]
    for name in names where name != "evidence.json" {
      files[name] = try FileBytes.read("\(directory)/\(name)")
    }
    return files
  }
}
