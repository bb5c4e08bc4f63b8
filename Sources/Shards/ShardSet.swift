import Parallel
import Support

/// A finished shard set: its index, checked, and its shards, opened on demand.
package struct ShardSet: Sendable {
  package let directory: String
  package let stage: StageIndex
  let index: ShardIndex

  /// Reads and checks `directory/index.json`, and that all its shards are there with their sizes.
  package init(directory: String) throws {
    self.directory = directory
    stage = try StageIndex(directory: directory)
    index = try ShardIndex(stage)
    for record in index.shards where !FileBytes.exists(directory + "/" + record.name) {
      throw ShardFault.error(
        directory + "/" + record.name, expected: "a shard of \(record.bytes) bytes",
        found: "no such file")
    }
  }

  /// Opens an input of a stage: the set at its path, which must have the id the configuration names.
  package init(input: StageConfiguration.Input) throws {
    try self.init(directory: input.path)
    guard id == input.id else {
      throw UserError(
        "\(input.path)/\(StageIndex.fileName): id", expected: input.id, found: id,
        remedy: StageIndex.remedy(input.path))
    }
  }

  package var id: String { stage.id }
  package var columns: [Column] { index.layout.columns }
  package var element: ElementType { index.layout.element }
  package var layout: ShardLayout { index.layout }
  /// Rows of the whole set.
  package var elements: Int { index.elements }
  package var documents: Int { index.documents }
  package var shards: [ShardRecord] { index.shards }
  package var maxDocumentLength: Int { index.longestDocument }
  package var meanDocumentLength: Double { index.meanDocumentLength }
  package var bytes: Int { index.bytes }
  /// What the stage said about the set.
  package var metadata: ConfigValue { index.metadata }

  /// A reader of `metadata` whose messages name the index file.
  package func metadataReader() throws -> ConfigReader {
    try ConfigReader(metadata, source: directory + "/" + StageIndex.fileName, path: "metadata")
  }

  /// Opens shard `i`, checked against the index except for its frames.
  package func open(shard i: Int) throws -> ShardFile {
    try ShardFile(
      path: directory + "/" + index.shards[i].name, record: index.shards[i], layout: index.layout)
  }

  /// Decodes shard `i` alone; checks the digest of every frame.
  package func load(shard i: Int) throws -> LoadedColumns {
    let file = try open(shard: i)
    let loaded = LoadedColumns(
      layout: index.layout, count: file.elements,
      documentOffsets: ShardSet.offsets([file.documentLengths]))
    try file.decodeAll(into: loaded.target) { loaded.place($1, rows: $0) }
    return loaded
  }

  /// Decodes the whole set, `threads` shards at a time; checks the digests of all frames.
  package func load(threads: Int) throws -> LoadedColumns {
    try load(pool: WorkerPool(threads: max(1, min(threads, index.shards.count))))
  }

  package func load(pool: WorkerPool) throws -> LoadedColumns {
    let files = try index.shards.indices.map { try open(shard: $0) }
    let starts = files.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.elements) }
    let loaded = LoadedColumns(
      layout: index.layout, count: starts.last ?? 0,
      documentOffsets: ShardSet.offsets(files.map(\.documentLengths)))
    try pool.forEach(0..<files.count) { _, i in
      let start = starts[i]
      let place = { (rows: Range<Int>) in start + rows.lowerBound..<start + rows.upperBound }
      try files[i].decodeAll(into: { loaded.target(rows: place($0)) }) {
        loaded.place($1, rows: place($0))
      }
    }
    return loaded
  }

  /// Checks every digest of every shard; returns the number of raw bytes checked.
  package func verify(threads: Int) throws -> Int {
    let pool = WorkerPool(threads: max(1, min(threads, index.shards.count)))
    try pool.forEach(0..<index.shards.count) { _, i in
      let file = try open(shard: i)
      let longest = file.documentLengths.max().map(Int.init) ?? 0
      guard longest == index.shards[i].longestDocument else {
        throw ShardFault.error(
          file.path, expected: "longest document \(index.shards[i].longestDocument)",
          found: "\(longest)")
      }
      try file.decodeAll(fileDigest: index.shards[i].fileDigest, isThorough: true) { _, _ in }
    }
    return elements * index.layout.columns.count * element.width
  }

  private static func offsets(_ lengths: [[UInt32]]) -> [Int] {
    var offsets = [0]
    offsets.reserveCapacity(lengths.reduce(1) { $0 + $1.count })
    var end = 0
    for part in lengths {
      for length in part {
        end += Int(length)
        offsets.append(end)
      }
    }
    return offsets
  }
}
