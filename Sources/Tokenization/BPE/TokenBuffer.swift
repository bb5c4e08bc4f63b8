/// A growing run of token ids with unchecked appends for the encoder's inner loop.
package final class TokenBuffer {
  package private(set) var base: UnsafeMutablePointer<UInt32>
  package var count = 0
  private var capacity: Int

  package init(capacity: Int = 1 << 12) {
    self.capacity = max(16, capacity)
    base = Self.allocate(self.capacity)
  }

  deinit { HugeMemory.deallocate(base) }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<UInt32> {
    HugeMemory.allocate(byteCount: count * 4).bindMemory(to: UInt32.self, capacity: count)
  }

  /// Makes room for `additional` elements behind `count`.
  @inline(__always)
  package func reserve(_ additional: Int) {
    if count &+ additional > capacity { grow(count &+ additional) }
  }

  @inline(never)
  private func grow(_ needed: Int) {
    capacity = max(needed, capacity * 2)
    let larger = Self.allocate(capacity)
    larger.update(from: base, count: count)
    HugeMemory.deallocate(base)
    base = larger
  }

  package func append(_ token: UInt32) {
    reserve(1)
    base[count] = token
    count += 1
  }

  package func removeAll() { count = 0 }

  package var tokens: [UInt32] { Array(UnsafeBufferPointer(start: base, count: count)) }
}
