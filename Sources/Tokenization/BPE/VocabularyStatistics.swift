/// How a vocabulary meets a corpus, as the corpus grows: bytes per token, tokens in use, and the
/// number of distinct n-grams of tokens by order, the curve of SCONE's Figure 3.
///
/// N-grams lie inside documents. Orders 1 and 2 are counted exactly; of a higher order a 64-bit hash
/// is kept, so two of D distinct n-grams are taken for one with probability below D² / 2⁶⁵.
package struct VocabularyStatistics {
  /// One number of the curve.
  package struct Point: Equatable, Sendable {
    /// bytesPerToken, vocabularyUsed or distinct.
    package var measure: String
    /// Of the n-grams; 0 for the other measures.
    package var order: Int
    /// Tokens read so far.
    package var tokens: Int
    package var value: Double
  }

  private let orders: Int
  private var seen: [KeySet]
  private var bytes = 0
  private var tokens = 0
  private var nextPoint: Int
  package private(set) var points: [Point] = []

  /// Counts orders 1…`orders`; a point is taken at `firstPoint` tokens and at each doubling.
  package init(orders: Int, firstPoint: Int = 1 << 10) {
    precondition(orders >= 1 && firstPoint >= 1, "\(orders) orders from \(firstPoint) tokens on")
    self.orders = orders
    seen = (0..<orders).map { _ in KeySet() }
    nextPoint = firstPoint
  }

  /// Reads one document: its tokens and the bytes of its text.
  package mutating func add(_ document: UnsafeBufferPointer<UInt32>, bytes documentBytes: Int) {
    for index in document.indices {
      if tokens == nextPoint {
        // The share of the document's bytes that its tokens so far stand for.
        take(bytes + documentBytes * index / document.count)
        nextPoint *= 2
      }
      tokens += 1
      var key = UInt64(document[index])
      seen[0].insert(key)
      for order in 1..<max(1, min(orders, index + 1)) {
        let token = UInt64(document[index - order])
        key = order == 1 ? key << 32 | token : Mixing.mix(key ^ Mixing.first, token | 1 << 63)
        seen[order].insert(key)
      }
    }
    bytes += documentBytes
  }

  /// The points, the last of them at the end of the corpus.
  package mutating func finish() -> [Point] {
    if tokens > 0 { take(bytes) }
    return points
  }

  private mutating func take(_ bytes: Int) {
    points.append(
      Point(
        measure: "bytesPerToken", order: 0, tokens: tokens,
        value: Double(bytes) / Double(tokens)))
    points.append(
      Point(measure: "vocabularyUsed", order: 0, tokens: tokens, value: Double(seen[0].count)))
    for order in 0..<orders {
      points.append(
        Point(
          measure: "distinct", order: order + 1, tokens: tokens, value: Double(seen[order].count)))
    }
  }
}

/// A growing set of 64-bit keys.
private struct KeySet {
  private var slots = [UInt64](repeating: 0, count: 1 << 10)
  private var hasZero = false
  private var filled = 0

  var count: Int { filled + (hasZero ? 1 : 0) }

  mutating func insert(_ key: UInt64) {
    if key == 0 {
      hasZero = true
      return
    }
    if place(key) {
      filled += 1
      if filled * 2 > slots.count {
        let old = slots
        slots = [UInt64](repeating: 0, count: old.count * 2)
        for key in old where key != 0 { _ = place(key) }
      }
    }
  }

  /// Whether the key is new.
  private mutating func place(_ key: UInt64) -> Bool {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: Mixing.mix(key ^ Mixing.first, Mixing.second)) & mask
    while slots[slot] != 0 {
      if slots[slot] == key { return false }
      slot = (slot + 1) & mask
    }
    slots[slot] = key
    return true
  }
}
