import Foundation
import Support

/// One shard open for reading. Everything but the frames is checked and in memory.
///
/// Opening checks magic, version, header digest, file size, the digest of the tail, the frame table
/// and the document lengths, in this order, and allocates nothing that the file is too small to fill.
package final class ShardFile: Sendable {
  package let path: String
  let header: ShardHeader
  let layout: ShardLayout
  /// Producer: stage, version, id, parameters, columns.
  package let metadata: ConfigValue
  package let documentLengths: [UInt32]
  private let table: [FrameEntry]
  private let file: OpenFile
  private let headerBytes: [UInt8]
  private let tail: [UInt8]
  private let rawLengthDigest: [UInt8]

  package var elements: Int { header.elements }
  package var documents: Int { header.documents }
  package var columns: [Column] { layout.columns }
  package var element: ElementType { header.element }
  package var frames: Int { table.count }
  /// Rows of every frame but the last.
  package var frameRows: Int { header.frameRows }

  /// Opens the shard at `path`; with a record, also checks it against the index of its set.
  package convenience init(path: String) throws {
    try self.init(path: path, record: nil, layout: nil)
  }

  init(path: String, record: ShardRecord?, layout expected: ShardLayout?) throws {
    self.path = path
    let fault = { (expected: String, found: String) in
      ShardFault.error(path, expected: expected, found: found)
    }
    guard FileBytes.exists(path) else { throw fault("a shard", "no such file") }
    file = try OpenFile(path)
    var status = stat()
    guard fstat(file.descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw fault("a regular file", "something else")
    }
    let size = Int(status.st_size)
    if let record, record.bytes != size {
      throw fault("\(record.bytes) bytes", "\(size) bytes (truncated?)")
    }
    headerBytes = try ShardFile.read(
      file.descriptor, path: path, offset: 0, count: min(size, ShardHeader.size))
    let header = try ShardHeader(headerBytes, path: path, fileBytes: size)
    self.header = header
    if let record, (record.elements, record.documents) != (header.elements, header.documents) {
      throw fault(
        "\(record.elements) elements in \(record.documents) documents",
        "\(header.elements) in \(header.documents)")
    }
    if let record, record.rawDigest != SHA256.hexadecimal(header.rawDigest) {
      throw fault("content \(record.rawDigest)", SHA256.hexadecimal(header.rawDigest))
    }
    let tail = try ShardFile.read(
      file.descriptor, path: path, offset: header.lengthsOffset, count: size - header.lengthsOffset)
    self.tail = tail
    var tailHash = SHA256()
    tailHash.update(tail)
    guard tailHash.finalize() == header.tailDigest else {
      throw fault("lengths, metadata and frame table that match their digest", "altered bytes")
    }
    metadata = try ShardFile.metadata(
      tail[header.lengthBytes..<header.lengthBytes + header.metadataBytes], path: path)
    layout = ShardLayout(
      element: header.element, columns: try ShardFile.columns(of: metadata, path: path),
      frameRows: header.frameRows, level: expected?.level ?? 0)
    guard layout.columns.count == header.columns else {
      throw fault("\(header.columns) columns", "\(layout.columns.count) in the metadata")
    }
    if let expected, layout != expected {
      throw fault("the columns of its index", "others")
    }
    table = try ShardFile.table(
      tail[(header.lengthBytes + header.metadataBytes)...], header: header, path: path)
    let lengths = try ShardFile.rawLengths(tail, header: header, path: path)
    rawLengthDigest = lengths.withUnsafeBytes { SHA256.halves(of: $0) }
    let width = header.lengthWidth
    documentLengths = (0..<header.documents).map { i in
      (0..<width).reduce(UInt32(0)) { $0 | UInt32(lengths[i * width + $1]) << (8 * $1) }
    }
    let total = documentLengths.reduce(0) { $0 + Int($1) }
    guard total == header.elements else {
      throw fault("document lengths that add up to \(header.elements)", "\(total)")
    }
  }

  // MARK: - Frames

  /// Decodes frame `i` into `output`, planar: (columns, rows of the frame). Checks the frame's digest,
  /// its zstd checksum and the cardinalities.
  ///
  /// - Precondition: `output` has exactly `rawBytes(ofFrame: i)` bytes.
  package func decode(frame i: Int, into output: UnsafeMutableRawBufferPointer) throws {
    let bytes = try compressed(frame: i)
    try bytes.withUnsafeBytes { bytes in
      try checkDigest(of: bytes, frame: i)
      try decode(bytes, frame: i, into: output, with: Decompressor())
    }
  }

  package func rawBytes(ofFrame i: Int) -> Int { table[i].rawBytes }

  /// Decodes all frames in order, streaming; checks the digest of each.
  ///
  /// - Parameters:
  ///   - fileDigest: SHA-256 that the whole file must have; nil skips that pass.
  ///   - isThorough: also check the digest of the raw content.
  ///   - target: where the planar rows of a frame shall be decoded to; nil for a buffer of our own.
  ///   - place: gets each planar frame that had no target; valid during the call.
  package func decodeAll(
    fileDigest: String? = nil, isThorough: Bool = false,
    into target: (_ rows: Range<Int>) -> UnsafeMutableRawBufferPointer? = { _ in nil },
    _ place: (_ rows: Range<Int>, _ raw: UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let decompressor = try Decompressor()
    let own = ByteBuffer()
    var fileHash = SHA256()
    var rawHash = SHA256()
    fileHash.update(headerBytes)
    for i in 0..<frames {
      let bytes = try compressed(frame: i)
      let rows = i * frameRows..<i * frameRows + header.rows(ofFrame: i)
      try bytes.withUnsafeBytes { bytes in
        if fileDigest != nil { fileHash.update(bytes) }
        try checkDigest(of: bytes, frame: i)
        let given = target(rows)
        let output = given ?? own.room(for: table[i].rawBytes)
        try decode(bytes, frame: i, into: output, with: decompressor)
        let raw = UnsafeRawBufferPointer(output)
        if isThorough { rawHash.update(SHA256.halves(of: raw)) }
        if given == nil { try place(rows, raw) }
      }
    }
    if let fileDigest {
      fileHash.update(tail)
      let found = fileHash.finalizeHex()
      guard found == fileDigest else {
        throw ShardFault.error(path, expected: "SHA-256 \(fileDigest)", found: found)
      }
    }
    if isThorough {
      rawHash.update(rawLengthDigest)
      guard rawHash.finalize() == header.rawDigest else {
        throw ShardFault.error(
          path, expected: "content \(SHA256.hexadecimal(header.rawDigest))",
          found: rawHash.finalizeHex())
      }
    }
  }

  private func compressed(frame i: Int) throws -> [UInt8] {
    try ShardFile.read(
      file.descriptor, path: path, offset: table[i].offset, count: table[i].compressedBytes)
  }

  private func checkDigest(of bytes: UnsafeRawBufferPointer, frame i: Int) throws {
    guard FrameEntry.digest(of: bytes) == table[i].digest else {
      throw ShardFault.error(
        path, expected: "frame \(i) as its digest in the frame table", found: "altered bytes")
    }
  }

  private func decode(
    _ bytes: UnsafeRawBufferPointer, frame i: Int, into output: UnsafeMutableRawBufferPointer,
    with decompressor: borrowing Decompressor
  ) throws {
    precondition(output.count == table[i].rawBytes, "frame \(i) has \(table[i].rawBytes) bytes")
    if let problem = decompressor.decode(bytes, into: output) {
      throw ShardFault.error(path, expected: "frame \(i) to decode", found: problem)
    }
    try layout.checkCardinality(
      of: UnsafeRawBufferPointer(output), rows: header.rows(ofFrame: i), path: path)
  }

  // MARK: - Parts

  private static func read(
    _ descriptor: Int32, path: String, offset: Int, count: Int
  ) throws -> [UInt8] {
    let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      guard
        let got = Descriptor.fill(
          UnsafeMutableRawBufferPointer(buffer), from: descriptor, at: offset)
      else { throw FileFault.error("cannot read \(path)") }
      filled = got
    }
    guard bytes.count == count else {
      throw ShardFault.error(
        path, expected: "\(count) bytes at \(offset)", found: "\(bytes.count) (truncated?)")
    }
    return bytes
  }

  private static func metadata(_ bytes: ArraySlice<UInt8>, path: String) throws -> ConfigValue {
    do {
      return try ConfigValue.parse(json: Array(bytes), source: path)
    } catch let error as UserError {
      throw ShardFault.error(path, expected: "JSON metadata", found: error.description)
    }
  }

  private static func columns(of metadata: ConfigValue, path: String) throws -> [Column] {
    var reader = try ConfigReader(metadata, source: path, path: "metadata")
    return try reader.objects("columns").map { entry in
      var entry = entry
      return Column(
        try entry.string("name"),
        cardinality: try entry.optionalInt("cardinality", in: 1...Int.max))
    }
  }

  private static func table(
    _ bytes: ArraySlice<UInt8>, header: ShardHeader, path: String
  ) throws -> [FrameEntry] {
    func integer(_ offset: Int, _ width: Int) -> UInt64 {
      (0..<width).reduce(0) { $0 | UInt64(bytes[bytes.startIndex + offset + $1]) << (8 * $1) }
    }
    var offset = ShardHeader.size
    let entries = try (0..<header.frames).map { i in
      let at = i * ShardHeader.tableEntrySize
      let entry = FrameEntry(
        offset: Int(truncatingIfNeeded: integer(at, 8)), compressedBytes: Int(integer(at + 8, 4)),
        rawBytes: Int(integer(at + 12, 4)),
        digest: bytes[(bytes.startIndex + at + 16)..<(bytes.startIndex + at + 32)])
      let rawBytes = header.rows(ofFrame: i) * header.rowBytes
      guard entry.offset == offset, entry.rawBytes == rawBytes,
        entry.compressedBytes <= header.lengthsOffset - offset,
        entry.rawBytes / ShardHeader.maximumExpansion <= entry.compressedBytes
      else {
        throw ShardFault.error(
          path, expected: "frame \(i) of \(rawBytes) raw bytes at \(offset)",
          found: "\(entry.rawBytes) raw, \(entry.compressedBytes) compressed at \(entry.offset)")
      }
      offset += entry.compressedBytes
      return entry
    }
    guard offset == header.lengthsOffset else {
      throw ShardFault.error(
        path, expected: "frames up to \(header.lengthsOffset)", found: "frames up to \(offset)")
    }
    return entries
  }

  private static func rawLengths(
    _ tail: [UInt8], header: ShardHeader, path: String
  ) throws -> [UInt8] {
    guard header.documents > 0 else { return [] }
    let size = header.documents * header.lengthWidth
    let decompressor = try Decompressor()
    var problem: String?
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { output, filled in
      let output = UnsafeMutableRawBufferPointer(
        rebasing: UnsafeMutableRawBufferPointer(output)[..<size])
      tail.withUnsafeBytes { tail in
        problem = decompressor.decode(
          UnsafeRawBufferPointer(rebasing: tail[..<header.lengthBytes]), into: output)
      }
      filled = problem == nil ? size : 0
    }
    if let problem {
      throw ShardFault.error(path, expected: "document lengths to decode", found: problem)
    }
    return bytes
  }
}
