import CTokenization

/// Counts the distinct pretokens of text that streams by: memory is bounded by the distinct ones,
/// counts are 64 bits wide. One counter per thread; `merge` adds another's counts.
package final class PretokenCounter {
  private struct Slot {
    var key: PretokenCache.Key
    var count: UInt64
  }

  private static let batch = 256
  private let scanner: PretokenScanner
  private let ends: UnsafeMutablePointer<Int>
  private let keys: UnsafeMutablePointer<PretokenCache.Key>
  private let homes: UnsafeMutablePointer<Int>
  private let keyMasks = PretokenCache.Key.masks()
  private var slots: UnsafeMutablePointer<Slot>
  private var mask: Int
  private var shortCount = 0
  private var long: [ArraySlice<UInt8>: UInt64] = [:]
  /// Bytes counted.
  package private(set) var byteCount = 0

  package init(_ pattern: PretokenPattern) {
    scanner = PretokenScanner(pattern)
    ends = .allocate(capacity: Self.batch + PretokenScanner.slack)
    keys = .allocate(capacity: Self.batch + PretokenScanner.slack)
    homes = .allocate(capacity: Self.batch + PretokenScanner.slack)
    (slots, mask) = Self.allocate(1 << 16)
  }

  deinit {
    ends.deallocate()
    keys.deallocate()
    homes.deallocate()
    keyMasks.deallocate()
    HugeMemory.deallocate(slots)
  }

  private static func allocate(_ count: Int) -> (UnsafeMutablePointer<Slot>, Int) {
    let memory = HugeMemory.allocate(byteCount: count * MemoryLayout<Slot>.stride)
    let slots = memory.bindMemory(to: Slot.self, capacity: count)
    slots.initialize(
      repeating: Slot(key: PretokenCache.Key(low: 0, high: 0), count: 0), count: count)
    return (slots, count - 1)
  }

  /// Distinct pretokens seen.
  package var distinct: Int { shortCount + long.count }

  /// Counts the pretokens of one document.
  package func add(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let base = bytes.baseAddress else { return }
    let raw = UnsafeRawPointer(base)
    let count = bytes.count
    let (ends, keys, homes, keyMasks) = (ends, keys, homes, keyMasks)
    byteCount += count
    var position = 0
    while position < count {
      let first = position
      let found = scanner.scan(base, &position, count, into: ends, capacity: Self.batch)
      if (shortCount + found) * 2 > mask + 1 { grow() }
      let (slots, mask) = (slots, mask)
      var start = first
      for index in 0..<found {
        let length = ends[index] &- start
        if length <= PretokenCache.longestShort && start &+ 16 <= count {
          keys[index] = PretokenCache.Key(raw + start, length, keyMasks[length])
        } else {
          keys[index] = PretokenCache.Key(careful: base + start, length)
        }
        homes[index] =
          Int(truncatingIfNeeded: Mixing.hash(keys[index].low, keys[index].high)) & mask
        scan_prefetch(slots + homes[index])
        start = ends[index]
      }
      var added = 0
      start = first
      for index in 0..<found {
        let key = keys[index]
        if key.high == 0 {
          long[copy(base + start, ends[index] - start), default: 0] += 1
        } else {
          added &+= bump(slots, mask, key, homes[index], 1)
        }
        start = ends[index]
      }
      shortCount += added
    }
  }

  private func copy(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> ArraySlice<UInt8> {
    ArraySlice(UnsafeBufferPointer(start: bytes, count: count))
  }

  /// Adds to a key's count; returns 1 when the key is new.
  @inline(__always)
  private func bump(
    _ slots: UnsafeMutablePointer<Slot>, _ mask: Int, _ key: PretokenCache.Key, _ home: Int,
    _ count: UInt64
  ) -> Int {
    var slot = home
    while true {
      if slots[slot].key.low == key.low && slots[slot].key.high == key.high {
        slots[slot].count &+= count
        return 0
      }
      if slots[slot].key.high == 0 {
        slots[slot] = Slot(key: key, count: count)
        return 1
      }
      slot = (slot &+ 1) & mask
    }
  }

  private func grow() {
    let (old, oldMask) = (slots, mask)
    (slots, mask) = Self.allocate((oldMask + 1) * 2)
    for index in 0...oldMask where old[index].key.high != 0 {
      let key = old[index].key
      let home = Int(truncatingIfNeeded: Mixing.hash(key.low, key.high)) & mask
      _ = bump(slots, mask, key, home, old[index].count)
    }
    HugeMemory.deallocate(old)
  }

  /// Adds the counts of `other`.
  package func merge(_ other: PretokenCounter) {
    byteCount += other.byteCount
    for index in 0...other.mask where other.slots[index].key.high != 0 {
      if (shortCount + 1) * 2 > mask + 1 { grow() }
      let key = other.slots[index].key
      let home = Int(truncatingIfNeeded: Mixing.hash(key.low, key.high)) & mask
      shortCount += bump(slots, mask, key, home, other.slots[index].count)
    }
    long.merge(other.long, uniquingKeysWith: &+)
  }

  /// Calls `body` with the bytes and the count of every distinct pretoken, in no order to rely on.
  package func forEach(_ body: (UnsafeBufferPointer<UInt8>, UInt64) -> Void) {
    for index in 0...mask where slots[index].key.high != 0 {
      let key = slots[index].key
      let bytes = [key.low.littleEndian, key.high.littleEndian]
      bytes.withUnsafeBytes { raw in
        raw.withMemoryRebound(to: UInt8.self) {
          body(UnsafeBufferPointer(rebasing: $0[0..<Int(key.high >> 56)]), slots[index].count)
        }
      }
    }
    for (bytes, count) in long { bytes.withUnsafeBufferPointer { body($0, count) } }
  }
}
