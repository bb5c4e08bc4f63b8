import Support

/// The first 160 bytes of a shard, the layout that follows from them, and the check that both are
/// possible before anything is allocated. `docs/FORMAT.md` has the table.
package struct ShardHeader: Equatable {
  static let magic = Array("OTTSHARD".utf8)
  static let version: UInt32 = 1
  package static let size = 160
  static let tableEntrySize = 32
  static let maximumColumns = 1024
  /// Raw bytes of one frame, at most.
  static let maximumFrameBytes = 1 << 28
  /// A zstd block of at least 4 bytes holds at most 128 KiB, so no frame expands more than this.
  static let maximumExpansion = 1 << 15

  package var element: ElementType
  package var columns: Int
  /// Position of the shard in its set.
  package var shard: Int
  /// Rows: elements of each column.
  package var elements: Int
  package var documents: Int
  /// Rows of every frame but the last, which has the rest.
  package var frameRows: Int
  /// Compressed bytes of all frames together.
  package var frameBytes: Int
  /// Compressed bytes of the document lengths; 0 where there is no document.
  package var lengthBytes: Int
  /// Bytes of one document length: 2 or 4.
  package var lengthWidth: Int
  package var metadataBytes: Int
  /// SHA-256 over the `SHA256.halves` of each raw frame in order and of the raw document lengths.
  package var rawDigest: [UInt8]
  /// SHA-256 of everything behind the frames: lengths, metadata, frame table.
  package var tailDigest: [UInt8]

  package var frames: Int { elements == 0 ? 0 : (elements - 1) / frameRows + 1 }
  package var lengthsOffset: Int { ShardHeader.size + frameBytes }
  package var metadataOffset: Int { lengthsOffset + lengthBytes }
  package var tableOffset: Int { metadataOffset + metadataBytes }
  package var tableBytes: Int { frames * ShardHeader.tableEntrySize }
  package var fileBytes: Int { tableOffset + tableBytes }
  package var rowBytes: Int { columns * element.width }

  /// Rows of frame `i`.
  func rows(ofFrame i: Int) -> Int { min(frameRows, elements - i * frameRows) }

  // MARK: - Bytes

  package var encoded: [UInt8] {
    var bytes = ShardHeader.magic
    func put<Value: FixedWidthInteger>(_ value: Value) {
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    put(ShardHeader.version)
    put(element.code)
    put(UInt8(lengthWidth))
    put(UInt16(columns))
    for value in [elements, documents, frameRows, frameBytes, lengthBytes] { put(UInt64(value)) }
    put(UInt32(metadataBytes))
    put(UInt32(shard))
    bytes += rawDigest + tailDigest
    precondition(bytes.count == ShardHeader.size - 32)
    var hash = SHA256()
    hash.update(bytes)
    return bytes + hash.finalize()
  }

  /// Reads a header and checks it against the size of its file.
  ///
  /// - Throws: `UserError` that says what is wrong; nothing beyond the header was read or allocated.
  package init(_ bytes: [UInt8], path: String, fileBytes: Int) throws {
    let fault = { (expected: String, found: String) in
      ShardFault.error(path, expected: expected, found: found)
    }
    guard bytes.count >= 8, Array(bytes[..<8]) == ShardHeader.magic else {
      throw fault(
        "an overtoken shard (magic OTTSHARD)", bytes.isEmpty ? "an empty file" : "a foreign file")
    }
    guard bytes.count >= ShardHeader.size else {
      throw fault("a header of \(ShardHeader.size) bytes", "\(bytes.count) bytes (truncated?)")
    }
    func integer(_ offset: Int, _ width: Int) -> UInt64 {
      (0..<width).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * $1) }
    }
    guard integer(8, 4) == UInt64(ShardHeader.version) else {
      throw fault("shard format \(ShardHeader.version)", "format \(integer(8, 4))")
    }
    var hash = SHA256()
    hash.update(Array(bytes[..<(ShardHeader.size - 32)]))
    guard hash.finalize() == Array(bytes[(ShardHeader.size - 32)..<ShardHeader.size]) else {
      throw fault("a header that matches its digest", "an altered header")
    }
    guard let element = ElementType(code: bytes[12]) else {
      throw fault("element type 1...4", "\(bytes[12])")
    }
    self.element = element
    lengthWidth = Int(bytes[13])
    columns = Int(integer(14, 2))
    // Below 2⁴⁸ no sum or product of two of these that is formed here overflows 64 bits.
    let counts = (0..<5).map { integer(16 + 8 * $0, 8) }
    guard counts.allSatisfy({ $0 < 1 << 48 }) else {
      throw fault("counts below 2^48", "\(counts.max() ?? 0)")
    }
    elements = Int(counts[0])
    documents = Int(counts[1])
    frameRows = Int(counts[2])
    frameBytes = Int(counts[3])
    lengthBytes = Int(counts[4])
    metadataBytes = Int(integer(56, 4))
    shard = Int(integer(60, 4))
    rawDigest = Array(bytes[64..<96])
    tailDigest = Array(bytes[96..<128])
    guard (1...ShardHeader.maximumColumns).contains(columns), [2, 4].contains(lengthWidth) else {
      throw fault(
        "1...\(ShardHeader.maximumColumns) columns and lengths of 2 or 4 bytes",
        "\(columns) columns, \(lengthWidth) bytes")
    }
    guard frameRows >= 1, frameRows <= ShardHeader.maximumFrameBytes / rowBytes else {
      throw fault(
        "frames of 1...\(ShardHeader.maximumFrameBytes / rowBytes) rows", "\(frameRows) rows")
    }
    guard frames < 1 << 32, fileBytes == self.fileBytes else {
      throw fault("\(self.fileBytes) bytes", "\(fileBytes) bytes (truncated?)")
    }
    let content = elements.multipliedReportingOverflow(by: rowBytes)
    guard !content.overflow,
      content.partialValue / ShardHeader.maximumExpansion <= frameBytes,
      documents * lengthWidth / ShardHeader.maximumExpansion <= lengthBytes,
      (documents == 0) == (lengthBytes == 0)
    else {
      throw fault(
        "counts that the compressed sections can hold",
        "\(elements) elements in \(frameBytes) bytes, \(documents) documents in \(lengthBytes)")
    }
  }

  init(
    element: ElementType, columns: Int, shard: Int, elements: Int, documents: Int, frameRows: Int,
    frameBytes: Int, lengthBytes: Int, lengthWidth: Int, metadataBytes: Int, rawDigest: [UInt8],
    tailDigest: [UInt8]
  ) {
    self.element = element
    self.columns = columns
    self.shard = shard
    self.elements = elements
    self.documents = documents
    self.frameRows = frameRows
    self.frameBytes = frameBytes
    self.lengthBytes = lengthBytes
    self.lengthWidth = lengthWidth
    self.metadataBytes = metadataBytes
    self.rawDigest = rawDigest
    self.tailDigest = tailDigest
  }
}

enum ShardFault {
  /// An error about the shard at `path`, with the way to get it back.
  static func error(_ path: String, expected: String, found: String) -> UserError {
    let directory =
      path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]) : "."
    return UserError(
      path, expected: expected, found: found, remedy: StageIndex.remedy(directory))
  }
}

/// One entry of the frame table.
struct FrameEntry {
  var offset: Int
  var compressedBytes: Int
  var rawBytes: Int
  /// First 16 bytes of `SHA256.halves` of the compressed frame.
  var digest: ArraySlice<UInt8>

  static func digest(of frame: UnsafeRawBufferPointer) -> ArraySlice<UInt8> {
    SHA256.halves(of: frame)[..<16]
  }
}
