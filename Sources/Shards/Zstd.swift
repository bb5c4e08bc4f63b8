import CZstd
import Support

/// Independent zstd frames with content size and checksum, single-threaded (nbWorkers = 0): the bytes
/// are a function of input, level and library version.
struct Compressor: ~Copyable {
  private let context: OpaquePointer

  init(level: Int) throws {
    guard let context = ZSTD_createCCtx() else { throw UserError("zstd: out of memory") }
    self.context = context
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1)
    ZSTD_CCtx_setParameter(context, ZSTD_c_nbWorkers, 0)
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Appends one frame that holds `bytes` to `output`; returns its size.
  func append(_ bytes: UnsafeRawBufferPointer, to output: ByteBuffer) throws -> Int {
    let room = output.room(for: ZSTD_compressBound(bytes.count))
    let size = ZSTD_compress2(
      context, room.baseAddress, room.count, bytes.baseAddress, bytes.count)
    guard ZSTD_isError(size) == 0 else { throw Zstd.fault("cannot compress", size) }
    output.take(size)
    return size
  }
}

struct Decompressor: ~Copyable {
  private let context: OpaquePointer

  init() throws {
    guard let context = ZSTD_createDCtx() else { throw UserError("zstd: out of memory") }
    self.context = context
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Decodes the one frame that `bytes` must be into the whole of `output`; nil when done, or what is
  /// wrong with the frame.
  func decode(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) -> String? {
    let frame = ZSTD_findFrameCompressedSize(bytes.baseAddress, bytes.count)
    if ZSTD_isError(frame) != 0 { return Zstd.name(frame) }
    guard frame == bytes.count else { return "\(bytes.count - frame) bytes behind the zstd frame" }
    let content = ZSTD_getFrameContentSize(bytes.baseAddress, bytes.count)
    guard content == UInt64(output.count) else {
      return "a zstd frame of another content size"
    }
    let size = ZSTD_decompressDCtx(
      context, output.baseAddress, output.count, bytes.baseAddress, bytes.count)
    if ZSTD_isError(size) != 0 { return Zstd.name(size) }
    return size == output.count ? nil : "only \(size) of \(output.count) bytes"
  }
}

package enum Zstd {
  /// "1.5.4".
  package static var version: String { String(cString: ZSTD_versionString()) }

  static func name(_ code: Int) -> String { String(cString: ZSTD_getErrorName(code)) }

  static func fault(_ what: String, _ code: Int) -> UserError {
    UserError("zstd: \(what): \(name(code))")
  }
}
