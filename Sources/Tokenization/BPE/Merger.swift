/// Byte-pair merging of one pretoken: until no rule applies, the leftmost pair of the lowest rank
/// becomes one token.
///
/// Two ways to the same ids: short pretokens scan all ranks for each merge; long ones keep the
/// positions of each rank in a list and the ranks in a heap, O(n log R) for n bytes and R distinct
/// ranks, so one piece of many megabytes takes no longer per byte than a few kilobytes do.
final class Merger {
  private static let longest = 64
  private static let dead = UInt32.max

  private let pairs: PairTable
  private let hasEveryByte: Bool
  private let byteTokens: [UInt32]
  /// Rules of two bytes, at `left << 8 | right`.
  private let byteRules: [UInt64]
  private let ids = UnsafeMutablePointer<UInt32>.allocate(capacity: Merger.longest)
  private let rules = UnsafeMutablePointer<UInt64>.allocate(capacity: Merger.longest)
  private let rankCount: Int
  /// Empty between calls; moved out of the object while in use.
  private var idleQueue: RankQueue?

  /// `byteTokens[b]` is the token of byte b, `UInt32.max` where the vocabulary has none: such bytes
  /// are dropped, as Hugging Face's model without an unknown token does.
  init(pairs: PairTable, byteTokens: [UInt32], rankCount: Int) {
    self.pairs = pairs
    self.byteTokens = byteTokens
    self.rankCount = rankCount
    byteRules = (0..<1 << 16).map { pair in
      let (left, right) = (byteTokens[pair >> 8], byteTokens[pair & 0xFF])
      return left == .max || right == .max ? PairTable.absent : pairs.rule(left, right)
    }
    hasEveryByte = !byteTokens.contains(.max)
  }

  deinit {
    ids.deallocate()
    rules.deallocate()
  }

  /// Appends the tokens of `count` bytes to `output`.
  func merge(_ bytes: UnsafePointer<UInt8>, _ count: Int, into output: TokenBuffer) {
    output.reserve(count)
    if count <= Self.longest && hasEveryByte {
      let kept = mergeShort(bytes, count)
      (output.base + output.count).update(from: ids, count: kept)
      output.count += kept
    } else {
      mergeLong(bytes, count, into: output)
    }
  }

  /// Merges 1…64 bytes into the front of `ids` and returns how many are there.
  private func mergeShort(_ bytes: UnsafePointer<UInt8>, _ length: Int) -> Int {
    let (ids, rules, pairs) = (ids, rules, pairs)
    var count = length
    byteRules.withUnsafeBufferPointer { byteRules in
      for index in 0..<count - 1 {
        rules[index] = byteRules[Int(bytes[index]) << 8 | Int(bytes[index + 1])]
      }
    }
    byteTokens.withUnsafeBufferPointer { byteTokens in
      for index in 0..<count { ids[index] = byteTokens[Int(bytes[index])] }
    }
    while count > 1 {
      var best = PairTable.absent
      var at = 0
      for index in 0..<count &- 1 where rules[index] < best {
        best = rules[index]
        at = index
      }
      if best == PairTable.absent { break }
      ids[at] = UInt32(truncatingIfNeeded: best)
      count &-= 1
      var index = at &+ 1
      while index < count {
        ids[index] = ids[index &+ 1]
        rules[index &- 1] = rules[index]
        index &+= 1
      }
      if at > 0 { rules[at &- 1] = pairs.rule(ids[at &- 1], ids[at]) }
      if at &+ 1 < count { rules[at] = pairs.rule(ids[at], ids[at &+ 1]) }
    }
    return count
  }

  /// As `mergeShort`, through the rank queue. A token spans `lengths[start]` places of `ids`, of
  /// which all but the first are dead; the last place holds the length too, to walk left.
  private func mergeLong(_ bytes: UnsafePointer<UInt8>, _ length: Int, into output: TokenBuffer) {
    var ids: [UInt32] = []
    ids.reserveCapacity(length)
    for index in 0..<length where byteTokens[Int(bytes[index])] != .max {
      ids.append(byteTokens[Int(bytes[index])])
    }
    let count = ids.count
    if count == 0 { return }
    var lengths = [UInt32](repeating: 1, count: count)
    let pairs = pairs
    var queue = idleQueue.take() ?? RankQueue(rankCount: rankCount)
    defer { idleQueue = queue }
    ids.withUnsafeMutableBufferPointer { ids in
      lengths.withUnsafeMutableBufferPointer { lengths in
        for index in 0..<count - 1 {
          queue.push(pairs.rule(ids[index], ids[index + 1]), at: index)
        }
        while let (rule, position) = queue.popFirst() {
          // A popped position may be stale: merged away, or with other neighbours by now.
          if ids[position] == Self.dead { continue }
          let right = position + Int(lengths[position])
          if right >= count || pairs.rule(ids[position], ids[right]) != rule { continue }
          let span = right - position + Int(lengths[right])
          ids[position] = UInt32(truncatingIfNeeded: rule)
          ids[right] = Self.dead
          lengths[position] = UInt32(span)
          lengths[position + span - 1] = UInt32(span)
          if position > 0 {
            let left = position - Int(lengths[position - 1])
            queue.push(pairs.rule(ids[left], ids[position]), at: left)
          }
          if position + span < count {
            queue.push(pairs.rule(ids[position], ids[position + span]), at: position)
          }
        }
        var position = 0
        while position < count {
          output.base[output.count] = ids[position]
          output.count += 1
          position += Int(lengths[position])
        }
      }
    }
  }
}
