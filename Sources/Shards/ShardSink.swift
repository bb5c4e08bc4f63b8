import Support

/// Takes the documents of one shard and turns them into its bytes: compressed frames as they fill, the
/// rest at the end. Memory: one raw frame, the compressed shard, and 4 bytes a document.
package struct ShardSink: ~Copyable {
  package let shard: Int
  package private(set) var elements = 0
  package var documents: Int { lengths.count }

  private let path: String
  private let layout: ShardLayout
  private let compressor: Compressor
  /// (columns, frameRows) planar.
  private let frame: ByteBuffer
  private var filledRows = 0
  private let body = ByteBuffer(capacity: 1 << 20)
  private let table = ByteBuffer()
  private var lengths: [UInt32] = []
  private var rawHash = SHA256()

  init(shard: Int, path: String, layout: ShardLayout) throws {
    self.shard = shard
    self.path = path
    self.layout = layout
    compressor = try Compressor(level: layout.level)
    frame = ByteBuffer(capacity: layout.frameBytes)
    frame.take(frame.room(for: layout.frameBytes).count)
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
        frame.overwrite(at: target, with: values[source..<source + take * width])
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
        frame.move(from: column * stride, to: column * used, count: used)
      }
    }
    let raw = UnsafeRawBufferPointer(rebasing: frame.bytes[..<(used * layout.columns.count)])
    try layout.checkCardinality(of: raw, rows: filledRows, path: path)
    rawHash.update(raw)
    let offset = ShardHeader.size + body.count
    let size = try compressor.append(raw, to: body)
    table.append(littleEndian: UInt64(offset))
    table.append(littleEndian: UInt32(size))
    table.append(littleEndian: UInt32(raw.count))
    let compressed = body.bytes[(body.count - size)...]
    table.append(
      littleEndian: FrameEntry.digest(of: UnsafeRawBufferPointer(rebasing: compressed)))
    filledRows = 0
  }

  /// Writes the shard file, whole or not at all.
  consuming func finish(metadata: String) throws -> ShardRecord {
    try flush()
    let frameBytes = body.count
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
    rawHash.update(rawLengths.bytes)
    let lengthBytes = lengths.isEmpty ? 0 : try compressor.append(rawLengths.bytes, to: body)
    let text = Array(metadata.utf8)
    text.withUnsafeBytes { body.append($0) }
    body.append(table.bytes)
    var tailHash = SHA256()
    tailHash.update(UnsafeRawBufferPointer(rebasing: body.bytes[frameBytes...]))
    let rawDigest = rawHash.finalize()
    let header = ShardHeader(
      element: layout.element, columns: layout.columns.count, shard: shard, elements: elements,
      documents: lengths.count, frameRows: layout.frameRows, frameBytes: frameBytes,
      lengthBytes: lengthBytes, lengthWidth: lengthWidth, metadataBytes: text.count,
      rawDigest: rawDigest, tailDigest: tailHash.finalize()
    ).encoded
    var fileHash = SHA256()
    fileHash.update(header)
    fileHash.update(body.bytes)
    let bytes = body.bytes
    try AtomicFile.write(to: path) {
      try $0.append(header)
      try $0.append(bytes)
    }
    return ShardRecord(
      name: path.split(separator: "/").last.map(String.init) ?? path, elements: elements,
      documents: lengths.count, longestDocument: Int(longest), bytes: header.count + bytes.count,
      fileDigest: fileHash.finalizeHex(), rawDigest: SHA256.hexadecimal(rawDigest))
  }
}

/// What all shards of a set have in common.
package struct ShardLayout: Sendable, Equatable {
  package let element: ElementType
  package let columns: [Column]
  package let frameRows: Int
  package let level: Int

  var frameBytes: Int { frameRows * columns.count * element.width }

  /// Checks that the ids of one planar frame lie below their columns' cardinalities.
  func checkCardinality(of raw: UnsafeRawBufferPointer, rows: Int, path: String) throws {
    guard rows > 0 else { return }
    for (position, column) in columns.enumerated() {
      guard let cardinality = column.cardinality else { continue }
      let size = rows * element.width
      let values = UnsafeRawBufferPointer(rebasing: raw[position * size..<(position + 1) * size])
      let largest =
        switch element {
        case .u8: ShardLayout.largest(values, as: UInt8.self)
        case .u16: ShardLayout.largest(values, as: UInt16.self)
        case .u32: ShardLayout.largest(values, as: UInt32.self)
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
      return Int(largest)
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
