import DataStages
import Foundation
import Shards
import Support
import Testing

/// A folder that disappears with its owner, and stages run in it without a process of their own.
final class DataFolder {
  let path = NSTemporaryDirectory() + "ott-data-stages-" + UUID().uuidString

  init() throws { try AtomicFile.makeDirectory(path) }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// What a stage is asked to do, and where its output goes.
  struct Job {
    let configuration: StageConfiguration
    let output: String

    var input: StageConfiguration.Input { .init(id: configuration.id, path: output) }
  }

  func job(
    _ stage: String, _ parameters: ConfigValue, _ inputs: [String: StageConfiguration.Input],
    name: String
  ) throws -> Job {
    let output = "\(path)/\(name)"
    try AtomicFile.makeDirectory(output)
    return Job(
      configuration: StageConfiguration(
        stage: stage, version: 1, parameters: parameters, inputs: inputs), output: output)
  }

  /// A set of one column as some stage would have left it.
  func set(
    _ documents: [[Int]], element: ElementType, column: Column, perShard: Int,
    metadata: ConfigValue, name: String = "source"
  ) throws -> StageConfiguration.Input {
    let job = try job("test", ["documents": .integer(documents.count)], [:], name: name)
    let writer = try ShardSetWriter(
      directory: job.output, element: element, columns: [column],
      configuration: job.configuration)
    let shards = (documents.count + perShard - 1) / perShard
    try writer.writeShards(count: shards, threads: 1) { shard, sink in
      for document in documents[shard * perShard..<min(documents.count, (shard + 1) * perShard)] {
        try sink.append(document: document)
      }
    }
    try writer.finish(metadata: metadata)
    return job.input
  }

  /// Runs `body` with 1, 2 and 5 threads into folders of their own.
  ///
  /// - Returns: the set, whose index, and so every shard's digest, was the same each time.
  func sameForAnyThreads(
    _ stage: String, _ parameters: ConfigValue, _ inputs: [String: StageConfiguration.Input],
    name: String, _ body: (StageConfiguration, _ output: String, _ threads: Int) throws -> Void
  ) throws -> (set: ShardSet, input: StageConfiguration.Input) {
    var indexes: Set<[UInt8]> = []
    var last: Job?
    for threads in [1, 2, 5] {
      let job = try job(stage, parameters, inputs, name: "\(name)-\(threads)")
      try body(job.configuration, job.output, threads)
      indexes.insert(try FileBytes.read("\(job.output)/\(StageIndex.fileName)"))
      last = job
    }
    #expect(indexes.count == 1, "\(stage): bytes depend on the number of threads")
    let job = try #require(last)
    let set = try ShardSet(input: job.input)
    _ = try set.verify(threads: 1)
    return (set, job.input)
  }
}

extension ShardSet {
  /// (documents, columns, rows)
  func documents() throws -> [[[Int]]] {
    let loaded = try load(threads: 1)
    return (0..<loaded.documents).map { d in
      columns.indices.map { loaded.integers(column: $0, rows: loaded.rows(ofDocument: d)) }
    }
  }

  /// Ids of the first column of each document.
  func ids() throws -> [[Int]] { try documents().map { $0[0] } }
}

/// The message of the `UserError` that `body` throws.
func refusal(_ body: () throws -> Void) -> String {
  do {
    try body()
  } catch let error as UserError {
    return error.description
  } catch {
    return "no UserError: \(error)"
  }
  return "nothing thrown"
}
