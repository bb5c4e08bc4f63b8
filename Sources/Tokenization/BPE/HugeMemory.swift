import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Large buffers on huge pages where the system grants them on request: first touches of 4 KiB
/// pages are a good part of a first pass over text.
enum HugeMemory {
  private static let pageBytes = 1 << 21

  /// Uninitialized memory, aligned to 64 bytes at least. Ends the process with a message when there
  /// is none.
  static func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
    let isLarge = byteCount >= pageBytes
    var memory: UnsafeMutableRawPointer?
    let status = posix_memalign(&memory, isLarge ? pageBytes : 64, max(64, byteCount))
    guard status == 0, let memory else {
      Resources.exit(without: "memory of \(byteCount) bytes")
    }
    #if os(Linux)
      if isLarge { madvise(memory, byteCount, MADV_HUGEPAGE) }
    #endif
    return memory
  }

  static func deallocate(_ memory: UnsafeMutableRawPointer) { free(memory) }
}
