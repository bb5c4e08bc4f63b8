import Foundation
import Parallel
import Support
import Synchronization

/// Keys, parted by their hash: each part is counted alone, so that its table stays in a cache. What
/// exceeds a bound on memory goes to a file.
///
/// Blocks of 512 keys; a worker fills one of its own for each part.
// Unchecked: lists are guarded by `lock`; a block has one user at a time.
final class KeyPartitions: @unchecked Sendable {
  static let blockBytes = 4096
  private static let blockKeys = blockBytes / 8

  let count: Int
  /// Upper bits of the hash that number the part.
  let bits: UInt64
  /// Full blocks that a part keeps in memory.
  private let quota: Int
  private let directory: String
  private let lock = NSLock()
  private var parts: [Part]
  private var spill: SpillFile?
  private var idle: [UnsafeMutablePointer<UInt64>] = []
  private var slabs: [UnsafeMutableRawPointer] = []

  private struct Part {
    /// Blocks and the keys in each.
    var blocks: [(UnsafeMutablePointer<UInt64>, Int)] = []
    var spilled: [(offset: Int, keys: Int)] = []
  }

  /// - Parameters:
  ///   - bits: 1 to 16.
  ///   - memoryBytes: of full blocks; at least one a part stays.
  ///   - directory: where the rest goes.
  init(bits: Int, memoryBytes: Int, directory: String) {
    precondition(1...16 ~= bits, "2 to 65,536 parts")
    self.bits = UInt64(bits)
    count = 1 << bits
    quota = max(1, memoryBytes / Self.blockBytes / count)
    self.directory = directory
    parts = [Part](repeating: Part(), count: count)
  }

  deinit { for slab in slabs { slab.deallocate() } }

  // MARK: - Filling

  /// One worker's blocks.
  struct Writer: ~Copyable {
    private let owner: KeyPartitions
    private let shift: UInt64
    /// Where the next key of each part goes; at a multiple of the block's size there is no room.
    private let heads: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>
    private var own: [UnsafeMutablePointer<UInt64>] = []
    private var failure: (any Error)?

    fileprivate init(_ owner: KeyPartitions) {
      self.owner = owner
      shift = 64 - owner.bits
      heads = .allocate(capacity: owner.count)
      for part in 0..<owner.count { heads[part] = owner.take(&own) }
    }

    deinit { heads.deallocate() }

    @inline(__always)
    mutating func append(_ key: UInt64) {
      let part = Int(GramKey.hash(key) >> shift)
      let head = heads[part]
      head.pointee = key
      heads[part] = head + 1
      if UInt(bitPattern: head + 1) & UInt(KeyPartitions.blockBytes - 1) == 0 { turn(part) }
    }

    @inline(never)
    private mutating func turn(_ part: Int) {
      let block = heads[part] - KeyPartitions.blockKeys
      do {
        try owner.keep(block, KeyPartitions.blockKeys, part: part)
      } catch {
        if failure == nil { failure = error }
      }
      heads[part] = owner.take(&own)
    }

    /// Hands over what is there.
    ///
    /// - Throws: the first error of spilling.
    consuming func finish() throws {
      for part in 0..<owner.count {
        let filled = Int(bitPattern: heads[part]) & (KeyPartitions.blockBytes - 1)
        owner.keepLast(heads[part] - filled / 8, filled / 8, part: part)
      }
      owner.giveBack(own)
      if let failure { throw failure }
    }
  }

  func writer() -> Writer { Writer(self) }

  /// A block from a worker's own ones, of which it takes many at a time.
  private func take(_ own: inout [UnsafeMutablePointer<UInt64>]) -> UnsafeMutablePointer<UInt64> {
    if let block = own.popLast() { return block }
    let wanted = 64
    lock.withLock {
      if idle.count < wanted {
        let slab = LargeMemory.allocate(bytes: LargeMemory.pageBytes)
        slabs.append(slab)
        for offset in stride(from: 0, to: LargeMemory.pageBytes, by: Self.blockBytes) {
          idle.append((slab + offset).bindMemory(to: UInt64.self, capacity: Self.blockKeys))
        }
      }
      own += idle[(idle.count - wanted)...]
      idle.removeLast(wanted)
    }
    guard let block = own.popLast() else { preconditionFailure("blocks were made") }
    return block
  }

  private func giveBack(_ blocks: [UnsafeMutablePointer<UInt64>]) {
    lock.withLock { idle += blocks }
  }

  /// Keeps a full block; when the part then has its quota of them, all go to the file.
  private func keep(_ block: UnsafeMutablePointer<UInt64>, _ keys: Int, part: Int) throws {
    let full: [(UnsafeMutablePointer<UInt64>, Int)] = lock.withLock {
      parts[part].blocks.append((block, keys))
      guard parts[part].blocks.count > quota else { return [] }
      defer { parts[part].blocks = [] }
      return parts[part].blocks
    }
    if full.isEmpty { return }
    defer { giveBack(full.map(\.0)) }
    let file = try lock.withLock {
      let file = try spill ?? SpillFile(in: directory)
      spill = file
      return file
    }
    let keys = full.reduce(0) { $0 + $1.1 }
    let joined = UnsafeMutablePointer<UInt64>.allocate(capacity: keys)
    defer { joined.deallocate() }
    var end = joined
    for (block, count) in full {
      end.initialize(from: block, count: count)
      end += count
    }
    let offset = try file.append(UnsafeRawBufferPointer(start: joined, count: 8 * keys))
    lock.withLock { parts[part].spilled.append((offset, keys)) }
  }

  private func keepLast(_ block: UnsafeMutablePointer<UInt64>, _ keys: Int, part: Int) {
    lock.withLock {
      if keys == 0 { idle.append(block) } else { parts[part].blocks.append((block, keys)) }
    }
  }

  // MARK: - Emptying

  /// When all parts are drained: gives the file back.
  func reset() { lock.withLock { spill = nil } }

  /// Calls `body` with all keys of a part, in pieces of any order, and forgets them.
  func drain(_ part: Int, _ body: (UnsafeBufferPointer<UInt64>) -> Void) throws {
    let (taken, file) = lock.withLock {
      defer { parts[part] = Part() }
      return (parts[part], spill)
    }
    for (block, keys) in taken.blocks { body(UnsafeBufferPointer(start: block, count: keys)) }
    giveBack(taken.blocks.map(\.0))
    guard let file, !taken.spilled.isEmpty else { return }
    let buffer = UnsafeMutableBufferPointer<UInt64>.allocate(
      capacity: taken.spilled.reduce(0) { max($0, $1.keys) })
    defer { buffer.deallocate() }
    for (offset, keys) in taken.spilled {
      let piece = UnsafeMutableBufferPointer(rebasing: buffer[..<keys])
      try file.read(into: UnsafeMutableRawBufferPointer(piece), at: offset)
      body(UnsafeBufferPointer(piece))
    }
  }
}

/// How often each of many keys occurs: open addressing at a load of at most one half, used again for one
/// part after another.
struct KeyCounter: ~Copyable {
  /// (2 · 2^bits): key and count; `UInt64.max` is no key.
  private var slots: UnsafeMutablePointer<UInt64>
  private var bits: UInt64 = 10
  private(set) var distinct = 0
  /// Upper bits of the hash that all keys of a part share.
  private let shared: UInt64

  init(shared: UInt64) {
    self.shared = shared
    slots = .allocate(capacity: 2 << bits)
    slots.initialize(repeating: .max, count: 2 << bits)
  }

  deinit { slots.deallocate() }

  mutating func removeAll() {
    slots.update(repeating: .max, count: 2 << bits)
    distinct = 0
  }

  mutating func add(_ keys: UnsafeBufferPointer<UInt64>) {
    for start in stride(from: 0, to: keys.count, by: 512) {
      add(some: UnsafeBufferPointer(rebasing: keys[start..<min(start + 512, keys.count)]))
    }
  }

  private mutating func add(some keys: UnsafeBufferPointer<UInt64>) {
    // Room for all of them beforehand, so that the loop has no look at the load.
    while 2 * (distinct + keys.count) > 1 << bits { grow() }
    let (shared, shift, mask) = (shared, 64 - bits, (1 << Int(bits)) - 1)
    let slots = slots
    var new = 0
    for key in keys {
      var slot = Int((GramKey.hash(key) << shared) >> shift)
      while slots[2 * slot] != key {
        if slots[2 * slot] == .max {
          slots[2 * slot] = key
          slots[2 * slot + 1] = 0
          new += 1
          break
        }
        slot = (slot + 1) & mask
      }
      slots[2 * slot + 1] &+= 1
    }
    distinct += new
  }

  private mutating func grow() {
    let (old, count) = (slots, 1 << Int(bits))
    bits += 1
    slots = .allocate(capacity: 2 << bits)
    slots.initialize(repeating: .max, count: 2 << bits)
    for i in 0..<count where old[2 * i] != .max {
      var slot = Int((GramKey.hash(old[2 * i]) << shared) >> (64 - bits))
      while slots[2 * slot] != .max { slot = (slot + 1) & ((1 << Int(bits)) - 1) }
      slots[2 * slot] = old[2 * i]
      slots[2 * slot + 1] = old[2 * i + 1]
    }
    old.deallocate()
  }

  /// Appends the keys that occur `minimum` times, in no order, and their counts.
  func collect(atLeast minimum: Int, _ keys: inout [UInt64], _ counts: inout [Int]) {
    for i in 0..<1 << Int(bits) where slots[2 * i] != .max && slots[2 * i + 1] >= minimum {
      keys.append(slots[2 * i])
      counts.append(Int(slots[2 * i + 1]))
    }
  }
}
