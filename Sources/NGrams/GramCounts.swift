import Support

/// Exact counts of the n-grams, n = 1…K, of sequences of tokens.
///
/// The first token of a sequence is context only: it is never an event. A gram that ends at an event has
/// two counts. `raw` is how often it occurs. `adjusted` is in how many contexts it occurs, as Kneser-Ney
/// smoothing counts below the highest order: the distinct tokens in front of it, and each occurrence at
/// the beginning of a sequence, in front of which nothing is known.
///
/// A gram is its prefix and its last token, so a pass over N tokens makes N·K look-ups; memory is 24 to
/// 48 bytes a distinct gram.
///
/// Source: Chen and Goodman 1998, §2.7; the count at the beginning as Heafield et al. 2013 count grams
/// that start with the beginning of a sentence.
package struct GramCounts: Sendable {
  /// K.
  package let order: Int
  /// V: tokens are 0..<V.
  package let vocabulary: Int
  /// Of order k at k − 1.
  private(set) var levels: [Level]
  /// Counted tokens, of events alone.
  package private(set) var events = 0

  /// The grams of one order.
  struct Level: Sendable {
    fileprivate(set) var grams: GramTable
    fileprivate(set) var raw: [UInt32]
    fileprivate(set) var adjusted: [UInt32]
  }

  /// - Precondition: `1 ≤ order ≤ 8` and `1 ≤ vocabulary < 2³²`.
  package init(order: Int, vocabulary: Int) {
    precondition(1...8 ~= order, "an order from 1 to 8")
    precondition(vocabulary >= 1 && vocabulary < 1 << 32, "tokens of 32 bits")
    self.order = order
    self.vocabulary = vocabulary
    levels = (1...order).map { k in
      let count = k == 1 ? vocabulary : 0
      return Level(
        grams: GramTable(), raw: [UInt32](repeating: 0, count: count),
        adjusted: [UInt32](repeating: 0, count: count))
    }
  }

  /// Distinct grams of order `k` that end at an event.
  package func distinct(_ k: Int) -> Int { levels[k - 1].raw.lazy.filter { $0 > 0 }.count }

  /// Counts a sequence.
  ///
  /// - Precondition: tokens below the vocabulary.
  package mutating func add(_ tokens: some Sequence<UInt32>) {
    // Ids of the grams of order 1…K that end at the token before, as far as the sequence reaches back.
    var ending: [UInt32] = []
    var position = 0
    for token in tokens {
      precondition(token < vocabulary, "a token of the vocabulary")
      let next = extend(ending, by: token, isEvent: position > 0)
      if position > 0 { count(next, reach: position + 1) }
      ending = next.map(\.id)
      position += 1
    }
    events += max(0, position - 1)
  }

  /// The grams that end at a token: order k behind the gram of order k − 1 in front of it.
  private mutating func extend(
    _ ending: [UInt32], by token: UInt32, isEvent: Bool
  ) -> [(id: UInt32, isNew: Bool)] {
    var result = [(id: token, isNew: false)]
    guard isEvent else { return result }
    for k in 2..<max(2, order + 1) where k - 2 < ending.count {
      let found = levels[k - 1].grams.insert(prefix: ending[k - 2], token: token)
      if found.isNew {
        levels[k - 1].raw.append(0)
        levels[k - 1].adjusted.append(0)
      }
      result.append(found)
    }
    return result
  }

  /// Counts the grams that end at one event, `reach` tokens behind the beginning of the sequence.
  private mutating func count(_ grams: [(id: UInt32, isNew: Bool)], reach: Int) {
    for (index, gram) in grams.enumerated() {
      levels[index].raw[Int(gram.id)] += 1
      // A new gram is a new context of what it ends with.
      if gram.isNew { levels[index - 1].adjusted[Int(grams[index - 1].id)] += 1 }
    }
    if grams.count == reach { levels[reach - 1].adjusted[Int(grams[reach - 1].id)] += 1 }
  }
}

/// Distinct (prefix, token) pairs, numbered from 0 in the order in which they came.
///
/// Open addressing at a load of at most one half.
struct GramTable: Sendable {
  private var slots = [UInt32](repeating: .max, count: 16)
  private(set) var keys: [UInt64] = []

  var count: Int { keys.count }

  static func key(prefix: UInt32, token: UInt32) -> UInt64 {
    UInt64(prefix) << 32 | UInt64(token)
  }

  func prefix(_ id: Int) -> Int { Int(keys[id] >> 32) }

  func find(prefix: UInt32, token: UInt32) -> UInt32? {
    let key = Self.key(prefix: prefix, token: token)
    let id = slots[slot(of: key)]
    return id == .max ? nil : id
  }

  /// - Precondition: fewer than 2³² − 1 pairs.
  mutating func insert(prefix: UInt32, token: UInt32) -> (id: UInt32, isNew: Bool) {
    let key = Self.key(prefix: prefix, token: token)
    var slot = slot(of: key)
    if slots[slot] != .max { return (slots[slot], false) }
    precondition(keys.count < Int(UInt32.max) - 1, "ids of 32 bits")
    if 2 * (keys.count + 1) > slots.count {
      grow()
      slot = self.slot(of: key)
    }
    let id = UInt32(keys.count)
    slots[slot] = id
    keys.append(key)
    return (id, true)
  }

  /// Where a key stands, or would.
  private func slot(of key: UInt64) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: Permutation.mix(key)) & mask
    while slots[slot] != .max && keys[Int(slots[slot])] != key { slot = (slot + 1) & mask }
    return slot
  }

  private mutating func grow() {
    slots = [UInt32](repeating: .max, count: 2 * slots.count)
    for (id, key) in keys.enumerated() { slots[slot(of: key)] = UInt32(id) }
  }
}
