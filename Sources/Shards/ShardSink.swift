import Support

/// Takes the documents of one shard and turns them into its bytes: compressed frames as they fill, the
/// rest at the end. Memory: one raw frame, the compressed shard, and 4 bytes a document.
package struct ShardSink: ~Copyable {
  package let shard: Int
  package private(set) var elements = 0
  package var documents: Int { lengths.count }

  private let path: String
  private let layout: ShardLayout
  private let space: ShardWorkspace
  private var filledRows = 0
  private var lengths: [UInt32] = []
  private var rawHash = SHA256()

  /// - Parameter space: nobody else's until this sink is done.
  init(shard: Int, path: String, layout: ShardLayout, space: ShardWorkspace) {
    self.shard = shard
    self.path = path
    self.layout = layout
    self.space = space
    space.body.removeAll()
    space.table.removeAll()
  }

  /// Appends one document.
  ///
  /// - Parameter values: (columns, length), planar: all of column 0, then column 1, …. With one column
  ///   simply the document. `T` of another width than the set's element type is converted, and a value
  ///   that does not fit is an error.
  /// - Throws: `UserError` for an id outside its column's cardinality or element type.
  package mutating func append<T: FixedWidthInteger & BitwiseCopyable>(
    document values: Span<T>
  ) throws {
    try values.withUnsafeBufferPointer { values in
      if T.bitWidth / 8 == layout.element.width && layout.element != .f64 {
        try append(raw: UnsafeRawBufferPointer(values))
      } else {
        switch layout.element {
        case .u8: try appendConverted(values, as: UInt8.self)
        case .u16: try appendConverted(values, as: UInt16.self)
        case .u32: try appendConverted(values, as: UInt32.self)
        case .u64: try appendConverted(values, as: UInt64.self)
        case .f64: preconditionFailure("integers appended to a shard of f64")
        }
      }
    }
  }

  package mutating func append<T: FixedWidthInteger & BitwiseCopyable>(document values: [T]) throws
  {
    try append(document: values.span)
  }

  /// Appends one document of a set of `f64`; shape as for integers.
  package mutating func append(document values: [Double]) throws {
    precondition(layout.element == .f64, "doubles appended to a shard of \(layout.element)")
    try values.withUnsafeBytes { try append(raw: $0) }
  }

  private mutating func appendConverted<T: FixedWidthInteger, U: FixedWidthInteger>(
    _ values: UnsafeBufferPointer<T>, as type: U.Type
  ) throws {
    let converted = try values.map { value in
      guard let narrow = U(exactly: value) else {
        throw UserError(
          path, expected: "values that fit \(layout.element.rawValue)", found: "\(value)")
      }
      return narrow
    }
    try converted.withUnsafeBytes { try append(raw: $0) }
  }

  /// Appends one document given as the bytes of its planar elements.
  mutating func append(raw values: UnsafeRawBufferPointer) throws {
    let columns = layout.columns.count
    precondition(
      values.count % (columns * layout.element.width) == 0,
      "a document of \(values.count) bytes does not fill \(columns) columns")
    let rows = values.count / (columns * layout.element.width)
    guard let length = UInt32(exactly: rows) else {
      throw UserError(path, expected: "documents below 2^32 elements", found: "\(rows)")
    }
    lengths.append(length)
    elements += rows
    let width = layout.element.width
    var done = 0
    while done < rows {
      let take = min(rows - done, layout.frameRows - filledRows)
      for column in 0..<columns {
        let target = (column * layout.frameRows + filledRows) * width
        let source = (column * rows + done) * width
        space.frame.overwrite(at: target, with: values[source..<source + take * width])
      }
      done += take
      filledRows += take
      if filledRows == layout.frameRows { try flush() }
    }
  }

  /// Compresses the rows of the open frame.
  private mutating func flush() throws {
    guard filledRows > 0 else { return }
    let stride = layout.frameRows * layout.element.width
    let used = filledRows * layout.element.width
    if filledRows < layout.frameRows {
      for column in 1..<max(1, layout.columns.count) {
        space.frame.move(from: column * stride, to: column * used, count: used)
      }
    }
    let raw = UnsafeRawBufferPointer(rebasing: space.frame.bytes[..<(used * layout.columns.count)])
    try layout.checkCardinality(of: raw, rows: filledRows, path: path)
    rawHash.update(SHA256.halves(of: raw))
    let offset = ShardHeader.size + space.body.count
    let size = try space.compressor.append(raw, to: space.body)
    space.table.append(littleEndian: UInt64(offset))
    space.table.append(littleEndian: UInt32(size))
    space.table.append(littleEndian: UInt32(raw.count))
    let compressed = space.body.bytes[(space.body.count - size)...]
    FrameEntry.digest(of: UnsafeRawBufferPointer(rebasing: compressed)).withUnsafeBytes {
      space.table.append($0)
    }
    filledRows = 0
  }

  /// Closes the shard. Its bytes behind the header stay in the workspace until they are stored.
  consuming func finish(metadata: String) throws -> FinishedShard {
    try flush()
    let frameBytes = space.body.count
    let longest = lengths.max() ?? 0
    let lengthWidth = longest <= UInt16.max ? 2 : 4
    let rawLengths = ByteBuffer(capacity: lengths.count * lengthWidth)
    for length in lengths {
      if lengthWidth == 2 {
        rawLengths.append(littleEndian: UInt16(length))
      } else {
        rawLengths.append(littleEndian: length)
      }
    }
    rawHash.update(SHA256.halves(of: rawLengths.bytes))
    let lengthBytes =
      lengths.isEmpty ? 0 : try space.compressor.append(rawLengths.bytes, to: space.body)
    let text = Array(metadata.utf8)
    text.withUnsafeBytes { space.body.append($0) }
    space.body.append(space.table.bytes)
    var tailHash = SHA256()
    tailHash.update(UnsafeRawBufferPointer(rebasing: space.body.bytes[frameBytes...]))
    let rawDigest = rawHash.finalize()
    let header = ShardHeader(
      element: layout.element, columns: layout.columns.count, shard: shard, elements: elements,
      documents: lengths.count, frameRows: layout.frameRows, frameBytes: frameBytes,
      lengthBytes: lengthBytes, lengthWidth: lengthWidth, metadataBytes: text.count,
      rawDigest: rawDigest, tailDigest: tailHash.finalize()
    ).encoded
    return FinishedShard(
      path: path, header: header, space: space, elements: elements, documents: lengths.count,
      longestDocument: Int(longest), rawDigest: SHA256.hexadecimal(rawDigest))
  }
}

/// A shard in memory, ready to be stored.
// Unchecked: the workspace passes from the thread that filled it to the one that stores it.
struct FinishedShard: @unchecked Sendable {
  let path: String
  let header: [UInt8]
  let space: ShardWorkspace
  let elements: Int
  let documents: Int
  let longestDocument: Int
  let rawDigest: String

  /// Writes the file, whole or not at all, and synced; the directory is left to the caller.
  func store() throws -> ShardRecord {
    let body = space.body.bytes
    var hash = SHA256()
    hash.update(header)
    hash.update(body)
    try AtomicFile.write(to: path, syncingDirectory: false) {
      try $0.append(header)
      try $0.append(body)
    }
    return ShardRecord(
      name: path.split(separator: "/").last.map(String.init) ?? path, elements: elements,
      documents: documents, longestDocument: longestDocument, bytes: header.count + body.count,
      fileDigest: hash.finalizeHex(), rawDigest: rawDigest)
  }
}

/// The buffers that writing one shard needs, kept for the next one.
final class ShardWorkspace {
  let compressor: Compressor
  /// (columns, frameRows) planar: the open frame.
  let frame: ByteBuffer
  /// Compressed frames so far; at the end all of the file behind the header.
  let body = ByteBuffer(capacity: 1 << 20)
  let table = ByteBuffer()

  init(_ layout: ShardLayout) throws {
    compressor = try Compressor(level: layout.level)
    frame = ByteBuffer(capacity: layout.frameBytes)
    frame.take(frame.room(for: layout.frameBytes).count)
  }
}

/// What all shards of a set have in common.
package struct ShardLayout: Sendable, Equatable {
  package let element: ElementType
  package let columns: [Column]
  package let frameRows: Int
  package let level: Int

  var frameBytes: Int { frameRows * columns.count * element.width }

  /// Checks that the ids of one planar frame lie below their columns' cardinalities, and that those
  /// of u64 are integers of 63 bits.
  func checkCardinality(of raw: UnsafeRawBufferPointer, rows: Int, path: String) throws {
    guard rows > 0 else { return }
    for (position, column) in columns.enumerated() {
      let limit = column.cardinality ?? (element == .u64 ? element.largestCardinality : nil)
      guard let cardinality = limit else { continue }
      let size = rows * element.width
      let values = UnsafeRawBufferPointer(rebasing: raw[position * size..<(position + 1) * size])
      let largest =
        switch element {
        case .u8: ShardLayout.largest(values, as: UInt8.self)
        case .u16: ShardLayout.largest(values, as: UInt16.self)
        case .u32: ShardLayout.largest(values, as: UInt32.self)
        case .u64: ShardLayout.largest(values, as: UInt64.self)
        case .f64: 0
        }
      guard largest < cardinality else {
        throw ShardFault.error(
          path, expected: "ids below \(cardinality) in column '\(column.name)'", found: "\(largest)"
        )
      }
    }
  }

  private static func largest<T: FixedWidthInteger & BitwiseCopyable>(
    _ bytes: UnsafeRawBufferPointer, as type: T.Type
  ) -> Int {
    bytes.withMemoryRebound(to: T.self) { values in
      var largest: T = 0
      for value in values where value > largest { largest = value }
      return Int(clamping: largest)
    }
  }
}

/// One shard as the index lists it.
package struct ShardRecord: Sendable, Equatable {
  package let name: String
  package let elements: Int
  package let documents: Int
  package let longestDocument: Int
  /// Size of the file.
  package let bytes: Int
  /// SHA-256 of the file.
  package let fileDigest: String
  /// SHA-256 of the raw frames and raw document lengths.
  package let rawDigest: String
}
