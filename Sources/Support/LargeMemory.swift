#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Memory that is read and written all over: in large pages where the system has them, because each look
/// at another page of the usual size costs a look at tables too.
package enum LargeMemory {
  /// 2 MiB.
  package static let pageBytes = 1 << 21

  /// Memory of any content, which the caller deallocates.
  package static func allocate(bytes: Int) -> UnsafeMutableRawPointer {
    guard bytes >= pageBytes else { return .allocate(byteCount: max(64, bytes), alignment: 64) }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: pageBytes)
    // Advice: where it is not taken, all works as well.
    _ = madvise(memory, bytes, MADV_HUGEPAGE)
    return memory
  }
}
