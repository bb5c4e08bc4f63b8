import CTokenization

/// Byte-pair merging of one pretoken: until no rule applies, the leftmost pair of the lowest rank
/// becomes one token.
///
/// Two ways to the same ids: short pretokens scan all ranks for each merge; long ones keep the
/// positions of each rank in a list and the ranks in a heap, O(n log R) for n bytes and R distinct
/// ranks, so one piece of many megabytes takes no longer per byte than a few kilobytes do.
final class Merger {
  private static let longest = 64
  private static let dead = UInt32.max

  /// A place of a short pretoken that holds a token.
  private struct Short {
    var id: UInt32
    /// What it becomes together with the token behind it.
    var merged: UInt32
    var previous: Int32
    var next: Int32
  }

  private let pairs: PairTable
  private let hasEveryByte: Bool
  private let byteTokens: [UInt32]
  /// Rules of two bytes, at `left << 8 | right`.
  private let byteRules: [UInt64]
  private let short = UnsafeMutablePointer<Short>.allocate(capacity: Merger.longest)
  /// Of the place with the same number: `rank << 8 | place` of its rule, or `PairTable.absent`.
  private let keys = UnsafeMutablePointer<UInt64>.allocate(capacity: Merger.longest)
  private let rankCount: Int
  /// Empty between calls; moved out of the object while in use.
  private var idleQueue: RankQueue?

  /// `byteTokens[b]` is the token of byte b, `UInt32.max` where the vocabulary has none: such bytes
  /// are dropped, as Hugging Face's model without an unknown token does.
  init(pairs: PairTable, byteTokens: [UInt32], rankCount: Int) {
    self.pairs = pairs
    self.byteTokens = byteTokens
    self.rankCount = rankCount
    byteRules = pairs.rules(ofBytes: byteTokens)
    hasEveryByte = !byteTokens.contains(.max)
  }

  deinit {
    short.deallocate()
    keys.deallocate()
  }

  /// Appends the tokens of `count` bytes to `output`.
  func merge(_ bytes: UnsafePointer<UInt8>, _ count: Int, into output: TokenBuffer) {
    if count == 0 { return }
    output.reserve(count)
    if count <= Self.longest && hasEveryByte {
      mergeShort(bytes, count, into: output)
    } else {
      mergeLong(bytes, count, into: output)
    }
  }

  /// Merges 1…64 bytes. Places stay where they are, so the least key is found without a branch.
  private func mergeShort(
    _ bytes: UnsafePointer<UInt8>, _ count: Int, into output: TokenBuffer
  ) {
    let (short, keys, pairs) = (short, keys, pairs)
    let groups = (count &+ 7) >> 3
    byteRules.withUnsafeBufferPointer { byteRules in
      for place in 0..<count &- 1 {
        let rule = byteRules[Int(bytes[place]) << 8 | Int(bytes[place &+ 1])]
        keys[place] = Self.key(rule, place)
        short[place].merged = UInt32(truncatingIfNeeded: rule)
      }
    }
    for place in count &- 1..<8 &* groups { keys[place] = PairTable.absent }
    byteTokens.withUnsafeBufferPointer { byteTokens in
      for place in 0..<count {
        short[place].id = byteTokens[Int(bytes[place])]
        short[place].previous = Int32(truncatingIfNeeded: place &- 1)
        short[place].next = Int32(truncatingIfNeeded: place &+ 1)
      }
    }
    while true {
      let best = scan_least(keys, groups)
      if best == PairTable.absent { break }
      let place = Int(truncatingIfNeeded: best & 0xFF)
      let id = short[place].merged
      short[place].id = id
      let taken = Int(short[place].next)
      let after = Int(short[taken].next)
      short[place].next = Int32(truncatingIfNeeded: after)
      keys[taken] = PairTable.absent
      var rule = PairTable.absent
      if after < count {
        short[after].previous = Int32(truncatingIfNeeded: place)
        rule = pairs.rule(id, short[after].id)
        short[place].merged = UInt32(truncatingIfNeeded: rule)
      }
      keys[place] = Self.key(rule, place)
      let before = Int(short[place].previous)
      if before >= 0 {
        rule = pairs.rule(short[before].id, id)
        short[before].merged = UInt32(truncatingIfNeeded: rule)
        keys[before] = Self.key(rule, before)
      }
    }
    var place = 0
    while place < count {
      output.base[output.count] = short[place].id
      output.count &+= 1
      place = Int(short[place].next)
    }
  }

  @inline(__always)
  private static func key(_ rule: UInt64, _ place: Int) -> UInt64 {
    rule == PairTable.absent ? rule : (rule >> 32) << 8 | UInt64(truncatingIfNeeded: place)
  }

  /// As `mergeShort`, through the rank queue. A token spans `lengths[start]` places of `ids`, of
  /// which all but the first are dead; the last place holds the length too, to walk left.
  private func mergeLong(_ bytes: UnsafePointer<UInt8>, _ length: Int, into output: TokenBuffer) {
    let ids = UnsafeMutablePointer<UInt32>.allocate(capacity: length)
    let lengths = UnsafeMutablePointer<UInt32>.allocate(capacity: length)
    defer {
      ids.deallocate()
      lengths.deallocate()
    }
    var count = 0
    for index in 0..<length where byteTokens[Int(bytes[index])] != .max {
      ids[count] = byteTokens[Int(bytes[index])]
      lengths[count] = 1
      count += 1
    }
    if count == 0 { return }
    var queue = idleQueue.take() ?? RankQueue(rankCount: rankCount)
    let pairs = pairs
    for index in 0..<count - 1 { queue.push(pairs.rule(ids[index], ids[index + 1]), at: index) }
    while let (rule, position) = queue.popFirst() {
      // A popped position may be stale: merged away, or with other neighbours by now.
      if ids[position] == Self.dead { continue }
      let right = position &+ Int(lengths[position])
      if right >= count || pairs.rule(ids[position], ids[right]) != rule { continue }
      let span = right &- position &+ Int(lengths[right])
      ids[position] = UInt32(truncatingIfNeeded: rule)
      ids[right] = Self.dead
      lengths[position] = UInt32(truncatingIfNeeded: span)
      lengths[position &+ span &- 1] = UInt32(truncatingIfNeeded: span)
      if position > 0 {
        let left = position &- Int(lengths[position &- 1])
        queue.push(pairs.rule(ids[left], ids[position]), at: left)
      }
      if position &+ span < count {
        queue.push(pairs.rule(ids[position], ids[position &+ span]), at: position)
      }
    }
    idleQueue = consume queue
    var position = 0
    while position < count {
      output.base[output.count] = ids[position]
      output.count += 1
      position += Int(lengths[position])
    }
  }
}
