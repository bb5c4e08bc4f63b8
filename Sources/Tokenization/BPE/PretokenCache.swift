#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Pretoken → ids, learnt from the text that goes by; each encoder has its own.
///
/// Pretokens of 1…15 bytes are keys of 16 bytes (the bytes, zeros, the length) in slots of 32 bytes
/// with up to four ids inside, probed linearly at a load of at most one half. Longer ones are in a
/// table with their bytes beside it. Entries come from merging only: a vocabulary entry that its
/// merges cannot reach is never one. When full, a table keeps what it has.
struct PretokenCache: ~Copyable {
  struct Key {
    var low: UInt64
    /// Length in the top byte, so never 0 for a short pretoken.
    var high: UInt64
  }

  struct Slot {
    var key: Key
    /// Up to four ids; the top three bits of lane 0 hold their number, or `overflow`.
    var ids: SIMD4<UInt32>
  }

  static let longestShort = 15
  static let longestLong = 512
  static let countShift: UInt32 = 29
  static let idMask: UInt32 = 1 << 29 - 1
  /// More ids than a slot has room for: lane 1 is their place in `overflowIds`, lane 2 their number.
  static let overflow: UInt32 = 7

  private(set) var slots: UnsafeMutablePointer<Slot>
  private(set) var mask: Int
  private(set) var shortCount = 0
  private let slotLimit: Int
  private(set) var overflowIds: [UInt32] = []
  private var long = LongPretokenTable()

  init(slots count: Int = 1 << 16, slotLimit: Int = 1 << 22) {
    slots = Self.allocate(count)
    mask = count - 1
    self.slotLimit = slotLimit
  }

  deinit { HugeMemory.deallocate(slots) }

  var byteCount: Int {
    (mask + 1) * MemoryLayout<Slot>.stride + overflowIds.capacity * 4 + long.byteCount
  }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<Slot> {
    let memory = HugeMemory.allocate(byteCount: count * MemoryLayout<Slot>.stride)
    memset(memory, 0, count * MemoryLayout<Slot>.stride)
    return memory.bindMemory(to: Slot.self, capacity: count)
  }

  /// Doubles the table when `additional` insertions could fill more than half of it.
  mutating func prepare(additional: Int) {
    let count = mask + 1
    if (shortCount + additional) * 2 <= count || count >= slotLimit { return }
    let larger = Self.allocate(count * 2)
    let largerMask = count * 2 - 1
    for index in 0..<count where slots[index].key.high != 0 {
      let key = slots[index].key
      var home = Int(truncatingIfNeeded: Mixing.hash(key.low, key.high)) & largerMask
      while larger[home].key.high != 0 { home = (home + 1) & largerMask }
      larger[home] = slots[index]
    }
    HugeMemory.deallocate(slots)
    slots = larger
    mask = largerMask
  }

  /// The slot of a key, or the empty slot where it would go.
  func find(_ key: Key, from home: Int) -> UnsafeMutablePointer<Slot> {
    var index = home
    while slots[index].key.high != 0 {
      if slots[index].key.high == key.high && slots[index].key.low == key.low { break }
      index = (index + 1) & mask
    }
    return slots + index
  }

  /// Fills an empty slot that `find` returned, unless the table is full.
  mutating func insert(
    _ key: Key, at slot: UnsafeMutablePointer<Slot>, _ ids: UnsafeBufferPointer<UInt32>
  ) {
    if (shortCount + 1) * 2 > mask + 1 { return }
    var lanes = SIMD4<UInt32>()
    if (1...4).contains(ids.count) {
      for lane in 0..<ids.count { lanes[lane] = ids[lane] }
      lanes[0] |= UInt32(ids.count) << Self.countShift
    } else {
      lanes[0] = Self.overflow << Self.countShift
      lanes[1] = UInt32(overflowIds.count)
      lanes[2] = UInt32(ids.count)
      overflowIds.append(contentsOf: ids)
    }
    slot.pointee = Slot(key: key, ids: lanes)
    shortCount += 1
  }

  /// Appends the ids of a known long pretoken; false when it is unknown.
  func appendLong(_ bytes: UnsafePointer<UInt8>, _ count: Int, to output: TokenBuffer) -> Bool {
    long.append(bytes, count, to: output)
  }

  mutating func insertLong(
    _ bytes: UnsafePointer<UInt8>, _ count: Int, _ ids: UnsafeBufferPointer<UInt32>
  ) {
    long.insert(bytes, count, ids)
  }
}

/// The cache of pretokens of 16…512 bytes.
struct LongPretokenTable {
  private struct Entry {
    var hash: UInt64
    var bytes: Range<Int>
    var ids: Range<Int>
  }

  private static let entryLimit = 1 << 18
  private var entries: [Entry] = []
  private var bytes: [UInt8] = []
  private var ids: [UInt32] = []
  private var slots = [Int32](repeating: -1, count: 1 << 10)

  var byteCount: Int {
    entries.capacity * MemoryLayout<Entry>.stride + bytes.capacity + ids.capacity * 4
      + slots.count * 4
  }

  func append(_ key: UnsafePointer<UInt8>, _ count: Int, to output: TokenBuffer) -> Bool {
    let hash = Mixing.hash(key, count)
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] >= 0 {
      let entry = entries[Int(slots[slot])]
      if entry.hash == hash && entry.bytes.count == count && equal(key, entry.bytes) {
        output.reserve(entry.ids.count)
        for index in entry.ids {
          output.base[output.count] = ids[index]
          output.count += 1
        }
        return true
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    return false
  }

  private func equal(_ key: UnsafePointer<UInt8>, _ range: Range<Int>) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      bytes.baseAddress.map { memcmp($0 + range.lowerBound, key, range.count) == 0 } ?? false
    }
  }

  /// Adds a pretoken that is not in the table.
  mutating func insert(
    _ key: UnsafePointer<UInt8>, _ count: Int, _ tokens: UnsafeBufferPointer<UInt32>
  ) {
    if entries.count == Self.entryLimit { return }
    if (entries.count + 1) * 2 > slots.count {
      slots = [Int32](repeating: -1, count: slots.count * 2)
      for index in entries.indices { place(index) }
    }
    entries.append(
      Entry(
        hash: Mixing.hash(key, count), bytes: bytes.count..<bytes.count + count,
        ids: ids.count..<ids.count + tokens.count))
    bytes.append(contentsOf: UnsafeBufferPointer(start: key, count: count))
    ids.append(contentsOf: tokens)
    place(entries.count - 1)
  }

  private mutating func place(_ index: Int) {
    var slot = Int(truncatingIfNeeded: entries[index].hash) & (slots.count - 1)
    while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = Int32(index)
  }
}
