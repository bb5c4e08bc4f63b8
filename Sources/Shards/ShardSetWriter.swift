import Foundation
import Parallel
import Support
import Synchronization

/// Writes a shard set: shards in any order by any number of threads, the index last.
///
///     let writer = try ShardSetWriter(
///       directory: context.output, element: .u8, columns: [Column("symbol", cardinality: 4)],
///       configuration: context.configuration)
///     try writer.writeShards(count: shards, threads: context.threads) { shard, sink in
///       for i in range(of: shard) { try sink.append(document: sentence(i)) }
///     }
///     try writer.finish(metadata: […])
///
/// The bytes depend on configuration, documents and the zstd library only, not on threads or time.
package final class ShardSetWriter: Sendable {
  /// Rows of a frame where nothing else is asked for.
  package static let standardFrameRows = 1 << 18
  /// The zstd level where nothing else is asked for.
  package static let standardLevel = 3

  package let directory: String
  package let layout: ShardLayout
  private let configuration: StageConfiguration
  private let shardMetadata: String
  private let records = Mutex<[Int: ShardRecord]>([:])
  private let spaces = Workspaces()

  /// - Throws: `UserError` when a cardinality does not fit `element` or the level is not zstd's.
  package init(
    directory: String, element: ElementType, columns: [Column], configuration: StageConfiguration,
    frameRows: Int = standardFrameRows, level: Int = standardLevel
  ) throws {
    precondition(
      (1...ShardHeader.maximumColumns).contains(columns.count), "\(columns.count) columns")
    precondition(
      frameRows >= 1
        && frameRows <= ShardHeader.maximumFrameBytes / (columns.count * element.width),
      "frames of \(frameRows) rows")
    guard (1...22).contains(level) else {
      throw UserError("compression level", expected: "1...22", found: "\(level)")
    }
    for column in columns {
      guard let cardinality = column.cardinality, element != .f64 else { continue }
      guard cardinality >= 1, cardinality <= element.largestCardinality else {
        throw UserError(
          "column '\(column.name)'",
          expected: "at most \(element.largestCardinality) ids (\(element))",
          found: "\(cardinality)")
      }
    }
    self.directory = directory
    self.configuration = configuration
    layout = ShardLayout(element: element, columns: columns, frameRows: frameRows, level: level)
    shardMetadata =
      ConfigValue.object([
        "stage": .string(configuration.stage), "version": .integer(configuration.version),
        "id": .string(configuration.id), "parameters": configuration.parameters,
        "columns": ShardSetWriter.describe(columns),
      ]).canonicalJSON
  }

  /// Writes shards `0..<count`, each by one call of `body` on one of `threads` threads.
  ///
  /// `body` must make shard *i* from *i* alone. The error of the lowest failed shard is thrown.
  package func writeShards(
    count: Int, threads: Int,
    _ body: @Sendable (_ shard: Int, _ sink: inout ShardSink) throws -> Void
  ) throws {
    try writeShards(count: count, pool: WorkerPool(threads: min(threads, max(1, count))), body)
  }

  package func writeShards(
    count: Int, pool: WorkerPool,
    _ body: @Sendable (_ shard: Int, _ sink: inout ShardSink) throws -> Void
  ) throws {
    let storing = BackgroundQueue(depth: 2)
    let result = Result {
      try pool.forEach(0..<count) { _, shard in
        try writeShard(shard, storing) { try body(shard, &$0) }
      }
    }
    try storing.finish()
    try result.get()
    try AtomicFile.syncDirectory(of: directory + "/.")
  }

  private func writeShard(
    _ shard: Int, _ storing: BackgroundQueue, _ body: (inout ShardSink) throws -> Void
  ) throws {
    try Interruption.check()
    let path = directory + "/" + ShardSetWriter.name(ofShard: shard)
    let space = try spaces.take(layout)
    var sink = ShardSink(shard: shard, path: path, layout: layout, space: space)
    try body(&sink)
    let finished = try sink.finish(metadata: shardMetadata)
    storing.enqueue { [self] in
      let record = try finished.store()
      spaces.giveBack(finished.space)
      records.withLock {
        precondition($0.updateValue(record, forKey: shard) == nil, "shard \(shard) written twice")
      }
    }
  }

  /// Writes shard number `shard` alone, by the calling thread.
  package func writeShard(_ shard: Int, _ body: (inout ShardSink) throws -> Void) throws {
    let storing = BackgroundQueue(depth: 1)
    let result = Result { try writeShard(shard, storing, body) }
    try storing.finish()
    try result.get()
    try AtomicFile.syncDirectory(of: directory + "/.")
  }

  /// Elements written so far, for progress.
  package var elements: Int { records.withLock { $0.values.reduce(0) { $0 + $1.elements } } }

  /// Removes shards of an older, larger set, and writes the index.
  ///
  /// - Parameter metadata: what the stage says about the set; part of the identity, so no times.
  package func finish(metadata: ConfigValue) throws {
    let records = self.records.withLock { $0 }.sorted { $0.key < $1.key }
    precondition(
      records.map(\.key) == Array(0..<records.count), "shards must be numbered without a gap")
    try removeOtherShards(keeping: Set(records.map(\.value.name)))
    try StageIndex.write(
      to: directory, configuration: configuration,
      content: ShardIndex(layout: layout, shards: records.map(\.value), metadata: metadata).content)
  }

  private func removeOtherShards(keeping names: Set<String>) throws {
    for name in try AtomicFile.names(in: directory)
    where name.hasSuffix(".shard") && !names.contains(name) {
      let path = directory + "/" + name
      guard unlink(path) == 0 else { throw FileFault.error("cannot remove \(path)") }
    }
  }

  /// "00012.shard".
  package static func name(ofShard shard: Int) -> String {
    let digits = String(shard)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".shard"
  }

  static func describe(_ columns: [Column]) -> ConfigValue {
    .array(
      columns.map {
        ["name": .string($0.name), "cardinality": $0.cardinality.map(ConfigValue.integer) ?? .null]
      })
  }
}

/// Workspaces that no shard uses at the moment.
// Unchecked: `idle` is guarded by `lock`, and a workspace has one user at a time.
private final class Workspaces: @unchecked Sendable {
  private let lock = NSLock()
  private var idle: [ShardWorkspace] = []

  func take(_ layout: ShardLayout) throws -> ShardWorkspace {
    try lock.withLock { idle.popLast() } ?? ShardWorkspace(layout)
  }

  func giveBack(_ space: ShardWorkspace) { lock.withLock { idle.append(space) } }
}
