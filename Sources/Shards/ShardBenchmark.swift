import Foundation
import Support

/// How close reading and writing come to the zstd library itself, on one thread.
package struct ShardBenchmark: Sendable {
  /// Raw bytes that were written and read in each repetition.
  package let rawBytes: Int
  package let level: Int
  /// Best of the repetitions, in raw bytes a second of CPU time of the computing thread: what other
  /// programs on the machine disturb least. Storing happens on a thread of its own meanwhile.
  package let writeRate: Double
  package let plainWriteRate: Double
  package let readRate: Double
  package let plainReadRate: Double
  /// Raw bytes over compressed bytes.
  package let compression: Double

  /// Measures with the content of `set` (its first shards, up to `limit` raw bytes): our whole path
  /// (documents in, synced file out; file in, checked columns out) against `ZSTD_compress2` and
  /// `ZSTD_decompressDCtx` on the same frames in memory. Temporary files go to a directory of their
  /// own under the system's temporary directory.
  package static func measure(
    _ set: ShardSet, limit: Int, level: Int?, repetitions: Int
  ) throws -> ShardBenchmark {
    let level = level ?? set.layout.level
    var parts: [LoadedColumns] = []
    var total = 0
    for shard in set.shards.indices where parts.isEmpty || total < limit {
      parts.append(try set.load(shard: shard))
      total += (parts.last?.count ?? 0) * set.columns.count * set.element.width
    }
    guard total > 0 else {
      throw UserError(set.directory, expected: "elements to measure with", found: "an empty set")
    }
    let directory =
      FileManager.default.temporaryDirectory.path + "/overtoken-bench-\(getpid())"
    try AtomicFile.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let documents = parts.map(planarDocuments)
    let frames = try (0..<parts.count).flatMap { try rawFrames(set, shard: $0) }

    var best = (write: Double.infinity, plainWrite: Double.infinity)
    var bestRead = (read: Double.infinity, plainRead: Double.infinity)
    var compressedBytes = 0
    for _ in 0..<repetitions {
      var writer: ShardSetWriter?
      best.write = min(
        best.write, try seconds { writer = try write(documents, set, level, to: directory) })
      try writer?.finish(metadata: [:])
      var compressed: [[UInt8]] = []
      best.plainWrite = min(
        best.plainWrite, try seconds { compressed = try plainWrite(frames, level) })
      compressedBytes = compressed.reduce(0) { $0 + $1.count }
      let written = try ShardSet(directory: directory)
      bestRead.read = min(
        bestRead.read,
        try seconds { for i in written.shards.indices { _ = try written.load(shard: i) } })
      bestRead.plainRead = min(
        bestRead.plainRead, try seconds { try plainRead(compressed, sizes: frames.map(\.count)) })
    }
    let rate = { (seconds: Double) in Double(total) / seconds }
    return ShardBenchmark(
      rawBytes: total, level: level, writeRate: rate(best.write),
      plainWriteRate: rate(best.plainWrite), readRate: rate(bestRead.read),
      plainReadRate: rate(bestRead.plainRead),
      compression: Double(total) / Double(compressedBytes))
  }

  private static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = Host.threadSeconds
    try body()
    return Host.threadSeconds - start
  }

  /// The documents of a shard as its sink takes them, end to end, with their sizes in bytes.
  private struct Documents {
    var bytes: [UInt8] = []
    var lengths: [Int] = []
  }

  private static func planarDocuments(_ part: LoadedColumns) -> Documents {
    var documents = Documents()
    for d in 0..<part.documents {
      let rows = part.rows(ofDocument: d)
      let before = documents.bytes.count
      for column in part.columns.indices {
        documents.bytes.append(contentsOf: part.raw(column: column, rows: rows))
      }
      documents.lengths.append(documents.bytes.count - before)
    }
    return documents
  }

  private static func rawFrames(_ set: ShardSet, shard: Int) throws -> [[UInt8]] {
    var frames: [[UInt8]] = []
    try set.open(shard: shard).decodeAll { _, raw in frames.append(Array(raw)) }
    return frames
  }

  private static func write(
    _ shards: [Documents], _ set: ShardSet, _ level: Int, to directory: String
  ) throws -> ShardSetWriter {
    let writer = try ShardSetWriter(
      directory: directory, element: set.element, columns: set.columns,
      configuration: StageConfiguration(stage: "bench", version: 1, parameters: [:]),
      frameRows: set.layout.frameRows, level: level)
    try writer.writeShards(count: shards.count, threads: 1) { shard, sink in
      try shards[shard].bytes.withUnsafeBytes { bytes in
        var start = 0
        for length in shards[shard].lengths {
          try sink.append(raw: UnsafeRawBufferPointer(rebasing: bytes[start..<start + length]))
          start += length
        }
      }
    }
    return writer
  }

  private static func plainWrite(_ frames: [[UInt8]], _ level: Int) throws -> [[UInt8]] {
    let compressor = try Compressor(level: level)
    let output = ByteBuffer(capacity: 1 << 22)
    return try frames.map { frame in
      output.removeAll()
      _ = try frame.withUnsafeBytes { try compressor.append($0, to: output) }
      return Array(output.bytes)
    }
  }

  /// Like our reader into memory that holds it all.
  private static func plainRead(_ frames: [[UInt8]], sizes: [Int]) throws {
    let decompressor = try Decompressor()
    let output = ByteBuffer(capacity: sizes.reduce(0, +))
    for (frame, size) in zip(frames, sizes) {
      let problem = frame.withUnsafeBytes {
        decompressor.decode($0, into: output.room(for: size))
      }
      precondition(problem == nil, "zstd does not read its own frame: \(problem ?? "")")
      output.take(size)
    }
  }
}
