import Shards
import Support
import Synchronization

/// An unsigned integer that a shard can hold.
typealias ShardInteger = ShardElement & FixedWidthInteger & UnsignedInteger

/// What turns each document of ids of one shard set into the columns of a document of another, and
/// counts what it sees. A value: every shard is mapped by a copy of its own, and the copies' counts are
/// merged, so that nothing depends on threads.
protocol DocumentMapper: Sendable {
  /// Of the new set.
  var columns: [Column] { get }

  /// Rows that a document of `length` ids becomes; must not fall as `length` grows.
  func rows(ofDocument length: Int) -> Int

  /// Fills the columns of one document.
  ///
  /// - Parameters:
  ///   - document: the ids as they are stored; U is at least as wide.
  ///   - columns: `rows(ofDocument:)` rows each, of any content.
  mutating func map<T: ShardInteger, U: ShardInteger>(
    _ document: Span<T>, into columns: PlanarColumns<U>
  ) throws

  /// Adds what another copy has counted.
  mutating func merge(_ other: Self)
}

/// The columns of one document: (columns, rows), planar.
struct PlanarColumns<U> {
  private let elements: UnsafeMutableBufferPointer<U>
  let rows: Int

  /// - Parameter elements: borrowed while the columns are in use.
  init(_ elements: UnsafeMutableBufferPointer<U>, rows: Int) {
    self.elements = elements
    self.rows = rows
  }

  subscript(column: Int) -> UnsafeMutableBufferPointer<U> {
    UnsafeMutableBufferPointer(rebasing: elements[column * rows..<(column + 1) * rows])
  }
}

extension ShardSet {
  /// Writes the shards of the set that `mapper` makes of the first column of this one, in shards of
  /// `documentsPerShard` documents.
  ///
  /// The element type is the narrowest that holds the ids of every column and of this set.
  ///
  /// - Returns: the writer, whose index is still to be written, and the mapper with all counts.
  /// - Throws: `UserError` for a set whose elements are no token ids (u8, u16 or u32), and as `mapper`.
  func map<M: DocumentMapper>(
    by mapper: M, documentsPerShard: Int, output: String, configuration: StageConfiguration,
    threads: Int
  ) throws -> (writer: ShardSetWriter, mapper: M) {
    let largest = mapper.columns.reduce(0) { max($0, $1.cardinality ?? 0) }
    let narrowest = ElementType.smallest(cardinality: largest)
    let rewriting = Rewriting(
      source: self, mapper: mapper,
      writer: try ShardSetWriter(
        directory: output, element: narrowest.width < element.width ? element : narrowest,
        columns: mapper.columns, configuration: configuration),
      documentsPerShard: documentsPerShard, threads: threads)
    // Spelled out, so that each pair of types gets loops of its own.
    let merged =
      switch (element, rewriting.writer.layout.element) {
      case (.u8, .u8): try rewriting.run(UInt8.self, UInt8.self)
      case (.u8, .u16): try rewriting.run(UInt8.self, UInt16.self)
      case (.u8, .u32): try rewriting.run(UInt8.self, UInt32.self)
      case (.u16, .u16): try rewriting.run(UInt16.self, UInt16.self)
      case (.u16, .u32): try rewriting.run(UInt16.self, UInt32.self)
      case (.u16, .u64): try rewriting.run(UInt16.self, UInt64.self)
      case (.u32, .u32): try rewriting.run(UInt32.self, UInt32.self)
      case (.u32, .u64): try rewriting.run(UInt32.self, UInt64.self)
      default:
        throw UserError(
          "\(directory): element type", expected: "u8, u16 or u32", found: element.rawValue)
      }
    return (rewriting.writer, merged)
  }
}

/// The loop over shards and documents that all stages over documents of ids have in common.
private struct Rewriting<M: DocumentMapper> {
  let source: ShardSet
  let mapper: M
  let writer: ShardSetWriter
  let documentsPerShard: Int
  let threads: Int

  func run<T: ShardInteger, U: ShardInteger>(_: T.Type, _: U.Type) throws -> M {
    let columns = mapper.columns.count
    let merged = Mutex(mapper)
    let shards = (source.documents + documentsPerShard - 1) / documentsPerShard
    try writer.writeShards(count: shards, threads: threads) { shard, sink in
      var own = mapper
      let scratch = UnsafeMutableBufferPointer<U>.allocate(
        capacity: max(1, columns * own.rows(ofDocument: source.maxDocumentLength)))
      scratch.initialize(repeating: 0)
      defer { scratch.deallocate() }
      let range = source.documents(ofShard: shard, documentsPerShard: documentsPerShard)
      try source.forEachPiece(ofDocuments: range) { loaded, documents in
        let column = loaded.buffer(0, as: T.self)
        for d in documents {
          let document = column.span.extracting(loaded.rows(ofDocument: d))
          let rows = own.rows(ofDocument: document.count)
          try own.map(document, into: PlanarColumns(scratch, rows: rows))
          let filled = UnsafeMutableBufferPointer(rebasing: scratch[..<(columns * rows)])
          try sink.append(document: filled.span)
        }
      }
      let counted = own
      merged.withLock { $0.merge(counted) }
    }
    return merged.withLock { $0 }
  }
}
