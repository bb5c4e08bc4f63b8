#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The one owner of a block of floats: zeroed pages straight from the system, returned on `deinit`.
/// A page that is never touched costs no memory, so capacities may be generous.
package struct FloatBuffer: ~Copyable {
  package let base: UnsafeMutablePointer<Float>
  package let count: Int
  private let bytes: Int

  /// Precondition: the system grants the address space.
  package init(count: Int) {
    self.count = count
    bytes = max(count, 1) * MemoryLayout<Float>.stride
    guard
      let pages = mmap(
        nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      pages != MAP_FAILED
    else { preconditionFailure("no address space for \(bytes) bytes") }
    madvise(pages, bytes, MADV_HUGEPAGE)
    base = pages.bindMemory(to: Float.self, capacity: max(count, 1))
  }

  deinit { munmap(base, bytes) }

  package var buffer: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: base, count: count)
  }
}

/// A box for the noncopyable buffer, so that an array can hold it.
final class FloatBox {
  let floats: FloatBuffer
  init(count: Int) { floats = FloatBuffer(count: count) }
}
