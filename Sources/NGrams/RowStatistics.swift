/// How the n-grams of a corpus share the rows of one table of M rows.
///
/// `positions` are all positions of the corpus; a position has an n-gram, the n-gram a row.
package struct RowStatistics: Sendable, Equatable {
  package let rows: Int
  package let positions: Int
  /// Different n-grams of the corpus.
  package let distinctGrams: Int
  /// Rows that some position looks up.
  package let rowsUsed: Int
  /// Different n-grams whose row another n-gram of the corpus has too.
  package let collidingGrams: Int
  /// Positions whose row another n-gram of the corpus has too.
  package let collidingPositions: Int
  /// Positions whose n-gram is not the most frequent one of its row: the least number of positions
  /// that read a row trained mostly by others.
  package let minorityPositions: Int
  /// How often a row that is used is looked up: least, quartiles, and most.
  package let updatesPerUsedRow: [Int]
  /// How often the row of a position is looked up, over positions: least, quartiles, and most.
  package let updatesPerPosition: [Int]

  /// - Parameter grams: (positions) the exact ids, in ascending order.
  package init(sortedGrams grams: [UInt64], modulus: Modulus) {
    rows = Int(modulus.value)
    positions = grams.count
    // One entry a different n-gram: row above, count below.
    var entries: [(row: UInt64, count: Int)] = []
    var start = 0
    while start < grams.count {
      var end = start + 1
      while end < grams.count && grams[end] == grams[start] { end += 1 }
      entries.append((modulus.remainder(grams[start]), end - start))
      start = end
    }
    entries.sort { $0.row < $1.row }
    distinctGrams = entries.count
    var used: [Int] = []
    var colliding = (grams: 0, positions: 0)
    var minority = 0
    var first = 0
    while first < entries.count {
      var last = first
      var sum = 0
      var largest = 0
      while last < entries.count && entries[last].row == entries[first].row {
        sum += entries[last].count
        largest = max(largest, entries[last].count)
        last += 1
      }
      used.append(sum)
      if last - first > 1 {
        colliding.grams += last - first
        colliding.positions += sum
        minority += sum - largest
      }
      first = last
    }
    used.sort()
    rowsUsed = used.count
    collidingGrams = colliding.grams
    collidingPositions = colliding.positions
    minorityPositions = minority
    let positions = positions
    updatesPerUsedRow =
      used.isEmpty ? [] : (0...4).map { used[($0 * (used.count - 1) + 2) / 4] }
    updatesPerPosition =
      used.isEmpty
      ? [] : Self.weightedQuartiles(used, ranks: (0...4).map { ($0 * (positions - 1) + 2) / 4 })
  }

  /// The values at the given ranks, ascending, of a list in which each of `counts`, ascending, occurs
  /// as often as it says.
  private static func weightedQuartiles(_ counts: [Int], ranks: [Int]) -> [Int] {
    var result: [Int] = []
    var passed = 0
    for count in counts {
      passed += count
      while result.count < ranks.count && ranks[result.count] < passed { result.append(count) }
    }
    return result
  }
}
