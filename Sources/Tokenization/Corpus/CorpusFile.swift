import CZlib
import CZstd
import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An open regular file, read from front to end as it is stored.
final class RawFile {
  private let path: BytePath
  private let descriptor: Int32

  init(_ path: BytePath) throws {
    self.path = path
    descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC) }
    if descriptor < 0 {
      throw UserError(
        "\(path): cannot be read", expected: "a corpus file",
        found: String(cString: strerror(errno)))
    }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  /// Fills the front of `output` and returns the number of bytes; 0 at the end of the file.
  func read(into output: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let count = Descriptor.read(into: output, from: descriptor) else {
      throw UserError("\(path): cannot be read", found: String(cString: strerror(errno)))
    }
    return count
  }

  /// The next bytes, at most `limit`; none at the end of the file.
  func read(upTo limit: Int) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      count = try read(into: UnsafeMutableRawBufferPointer(buffer))
    }
  }

  /// Bytes of the file.
  func size() throws -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileFault.error("\(path): cannot be read") }
    return Int(status.st_size)
  }
}

/// Reads a file from front to end, plain, gzip (`.gz`, several members too, and zeros behind them, with
/// which archives are padded) or zstd (`.zst`, several frames too), in constant memory.
///
/// A compressed file that ends inside a member or frame, or that holds none, is an error, as is one
/// that does not decode.
final class CorpusFile {
  private enum Decoder {
    case plain
    case gzip(UnsafeMutablePointer<z_stream>)
    case zstd(OpaquePointer)

    /// - Throws: `UserError` when the library has no memory to start.
    init(for path: BytePath) throws {
      if path.hasSuffix(".gz") {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 16: a gzip header, checksum and length are expected and checked.
        let status = inflateInit2_(
          stream, 16 + MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
          stream.deallocate()
          throw Self.fault(path, "zlib status \(status)")
        }
        self = .gzip(stream)
      } else if path.hasSuffix(".zst") {
        guard let context = ZSTD_createDCtx() else { throw Self.fault(path, "zstd has no memory") }
        // As large as the library can: a window that was used to compress is needed to decompress.
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, CorpusFile.largestWindow)
        self = .zstd(context)
      } else {
        self = .plain
      }
    }

    private static func fault(_ path: BytePath, _ reason: String) -> UserError {
      UserError(
        "\(path): the decoder cannot start", found: reason,
        remedy: "Free memory and run the same command again.")
    }
  }

  /// Binary logarithm of the largest window of zstd: 2 GiB.
  private static let largestWindow: Int32 = 31

  let path: BytePath
  private let file: RawFile
  private let decoder: Decoder
  private let input: UnsafeMutableRawBufferPointer
  private var filled = 0
  private var taken = 0
  private var fileBytes = 0
  /// Nothing of an unfinished member or frame has been read.
  private var isBetweenFrames = true
  /// A whole member or frame has been read.
  private var hasFrames = false

  init(path: BytePath) throws {
    self.path = path
    file = try RawFile(path)
    decoder = try Decoder(for: path)
    input = .allocate(byteCount: 1 << 18, alignment: 64)
  }

  deinit {
    input.deallocate()
    switch decoder {
    case .plain: break
    case .gzip(let stream):
      inflateEnd(stream)
      stream.deallocate()
    case .zstd(let context): ZSTD_freeDCtx(context)
    }
  }

  /// Fills the front of `output` and returns the number of bytes; 0 at the end of the file.
  func read(into output: UnsafeMutableRawBufferPointer) throws -> Int {
    if case .plain = decoder { return try readRaw(into: output) }
    while true {
      if taken == filled {
        filled = try readRaw(into: input)
        taken = 0
        if filled == 0 {
          if isBetweenFrames && hasFrames { return 0 }
          throw UserError(
            "\(path): truncated", expected: "the end of the compressed data",
            found: hasFrames || !isBetweenFrames ? "the end of the file" : "an empty file",
            remedy: "Fetch or compress the file again.")
        }
      }
      let written = try decode(into: output)
      if written > 0 { return written }
    }
  }

  /// Bytes read from the file, as they are stored, since the last call.
  func takeFileBytes() -> Int {
    defer { fileBytes = 0 }
    return fileBytes
  }

  private func readRaw(into output: UnsafeMutableRawBufferPointer) throws -> Int {
    let count = try file.read(into: output)
    fileBytes += count
    return count
  }

  private func decode(into output: UnsafeMutableRawBufferPointer) throws -> Int {
    switch decoder {
    case .plain: return 0
    case .gzip(let stream):
      if isBetweenFrames {
        while hasFrames && taken < filled && input[taken] == 0 { taken += 1 }
        if taken == filled { return 0 }
        inflateReset(stream)
      }
      stream.pointee.next_in = input.baseAddress?.advanced(by: taken)
        .assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_in = UInt32(filled - taken)
      stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(output.count)
      let status = inflate(stream, Z_NO_FLUSH)
      taken = filled - Int(stream.pointee.avail_in)
      if status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR {
        throw damaged(stream.pointee.msg.map { String(cString: $0) } ?? "zlib status \(status)")
      }
      isBetweenFrames = status == Z_STREAM_END
      if isBetweenFrames { hasFrames = true }
      return output.count - Int(stream.pointee.avail_out)
    case .zstd(let context):
      var source = ZSTD_inBuffer(src: input.baseAddress, size: filled, pos: taken)
      var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
      let status = ZSTD_decompressStream(context, &target, &source)
      if ZSTD_isError(status) != 0 { throw fault(ofZstd: status) }
      taken = source.pos
      isBetweenFrames = status == 0
      if isBetweenFrames { hasFrames = true }
      return target.pos
    }
  }

  private func fault(ofZstd status: Int) -> UserError {
    let reason = String(cString: ZSTD_getErrorName(status))
    switch ZSTD_getErrorCode(status) {
    case ZSTD_error_frameParameter_windowTooLarge, ZSTD_error_memory_allocation:
      return UserError(
        "\(path): needs more memory to decompress than there is",
        expected: "a window of at most 2 GiB", found: reason,
        remedy: "Compress the file again, without --long or with a smaller one.")
    default: return damaged(reason)
    }
  }

  private func damaged(_ reason: String) -> UserError {
    UserError("\(path): not decodable", found: reason, remedy: "Fetch or compress the file again.")
  }
}
