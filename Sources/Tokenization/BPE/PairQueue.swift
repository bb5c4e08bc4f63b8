/// Counts of adjacent pairs of symbols while training, hashed by the pair.
struct PairCounts {
  struct Entry {
    /// `left << 32 | right`.
    var key: UInt64
    var count: Int64 = 0
    /// Occurrences gained since the pair was last queued, and where the next one's place goes.
    var gained: Int32 = 0
    /// How often the pair was queued.
    var queued: Int32 = 0
    var next = 0
  }

  private(set) var slots = [Int32](repeating: -1, count: 1 << 16)
  var entries: [Entry] = []

  /// Index of the pair's entry, made when it is new.
  @inline(__always)
  mutating func find(_ left: UInt32, _ right: UInt32) -> Int {
    let key = UInt64(left) << 32 | UInt64(right)
    let mask = slots.count &- 1
    var slot = Int(truncatingIfNeeded: Mixing.mix(key ^ Mixing.first, Mixing.second)) & mask
    while slots[slot] >= 0 {
      let entry = Int(slots[slot])
      if entries[entry].key == key { return entry }
      slot = (slot &+ 1) & mask
    }
    return add(key, slot)
  }

  @inline(never)
  private mutating func add(_ key: UInt64, _ slot: Int) -> Int {
    slots[slot] = Int32(entries.count)
    entries.append(Entry(key: key))
    if entries.count * 2 > slots.count {
      slots = [Int32](repeating: -1, count: slots.count * 4)
      let mask = slots.count - 1
      for (index, entry) in entries.enumerated() {
        var home = Int(truncatingIfNeeded: Mixing.mix(entry.key ^ Mixing.first, Mixing.second))
        while slots[home & mask] >= 0 { home += 1 }
        slots[home & mask] = Int32(index)
      }
    }
    return entries.count - 1
  }
}

/// Pairs waiting to be merged: most frequent first, then the lower pair.
struct PairQueue {
  struct Entry {
    var count: Int64
    /// `left << 32 | right`.
    var pair: UInt64
    /// Of the pair in `PairCounts`.
    var index: Int32
    /// The places of the occurrences that came with this entry.
    var start: Int
    var number: Int
  }

  private var heap: [Entry] = []

  @inline(__always)
  private static func precedes(_ a: Entry, _ b: Entry) -> Bool {
    a.count > b.count || (a.count == b.count && a.pair < b.pair)
  }

  mutating func push(_ entry: Entry) {
    heap.append(entry)
    heap.withUnsafeMutableBufferPointer { heap in
      var child = heap.count - 1
      while child > 0 {
        let parent = (child - 1) >> 2
        if !Self.precedes(entry, heap[parent]) { break }
        heap[child] = heap[parent]
        child = parent
      }
      heap[child] = entry
    }
  }

  mutating func pop() -> Entry? {
    guard let top = heap.first else { return nil }
    let last = heap.removeLast()
    heap.withUnsafeMutableBufferPointer { heap in
      if heap.isEmpty { return }
      var parent = 0
      while true {
        let first = 4 * parent + 1
        if first >= heap.count { break }
        var best = first
        for child in first + 1..<max(first + 1, min(first + 4, heap.count))
        where Self.precedes(heap[child], heap[best]) {
          best = child
        }
        if !Self.precedes(heap[best], last) { break }
        heap[parent] = heap[best]
        parent = best
      }
      heap[parent] = last
    }
    return top
  }
}
