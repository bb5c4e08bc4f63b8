/// Merge rules: (left id, right id) → (rank, merged id).
///
/// A rule's value is `rank << 32 | merged`, so comparing values compares ranks; `absent` is larger
/// than every rule. Open addressing at a load of at most one half.
final class PairTable: @unchecked Sendable {
  static let absent = UInt64.max

  private struct Slot {
    var key: UInt64
    var value: UInt64
  }

  private let slots: UnsafeMutablePointer<Slot>
  private let mask: UInt64
  private(set) var count = 0

  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    slots = .allocate(capacity: size)
    slots.initialize(repeating: Slot(key: 0, value: Self.absent), count: size)
    mask = UInt64(size - 1)
  }

  deinit { slots.deallocate() }

  @inline(__always)
  private func home(_ key: UInt64) -> UInt64 {
    Mixing.mix(key ^ Mixing.first, Mixing.second) & mask
  }

  /// Adds a rule; the last of two rules for a pair stays, as in Hugging Face's map.
  func insert(left: UInt32, right: UInt32, rank: UInt32, merged: UInt32) {
    let key = UInt64(left) << 32 | UInt64(right)
    var slot = home(key)
    while slots[Int(slot)].value != Self.absent && slots[Int(slot)].key != key {
      slot = (slot + 1) & mask
    }
    if slots[Int(slot)].value == Self.absent { count += 1 }
    slots[Int(slot)] = Slot(key: key, value: UInt64(rank) << 32 | UInt64(merged))
  }

  @inline(__always)
  func rule(_ left: UInt32, _ right: UInt32) -> UInt64 {
    let key = UInt64(left) << 32 | UInt64(right)
    var slot = home(key)
    while true {
      let entry = slots[Int(truncatingIfNeeded: slot)]
      if entry.key == key || entry.value == Self.absent { return entry.value }
      slot = (slot &+ 1) & mask
    }
  }

  /// The rules of two bytes at `left << 8 | right`, where byte b is token `byteTokens[b]` or, if
  /// that is `UInt32.max`, none.
  ///
  /// Of the rules there are, not of the 65,536 pairs: an encoder of a small vocabulary costs little.
  func rules(ofBytes byteTokens: [UInt32]) -> [UInt64] {
    var bytes: [UInt32: [Int]] = [:]
    for (byte, id) in byteTokens.enumerated() where id != .max {
      bytes[id, default: []].append(byte)
    }
    var rules = [UInt64](repeating: Self.absent, count: 1 << 16)
    for slot in 0...Int(mask) where slots[slot].value != Self.absent {
      let (left, right) = (slots[slot].key >> 32, slots[slot].key & 0xFFFF_FFFF)
      guard let first = bytes[UInt32(left)], let second = bytes[UInt32(right)] else { continue }
      for left in first {
        for right in second { rules[left << 8 | right] = slots[slot].value }
      }
    }
    return rules
  }

  /// Ids that rules merge into.
  var merged: Set<UInt32> {
    var ids: Set<UInt32> = []
    for slot in 0...Int(mask) where slots[slot].value != Self.absent {
      ids.insert(UInt32(truncatingIfNeeded: slots[slot].value))
    }
    return ids
  }
}
