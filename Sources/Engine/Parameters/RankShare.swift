/// What one of several ranks holds of what they hold together: of a flat array one part, of a table the rows
/// r with r mod size = rank.
///
/// Rows of n-grams are scattered by a hash, but low ids of tokens are frequent: remainders share both out
/// evenly, ranges would not.
package struct RankShare: Sendable, Equatable {
  package let rank: Int
  /// A power of two.
  package let size: Int

  package init(rank: Int, size: Int) {
    precondition(
      size > 0 && size & (size - 1) == 0 && (0..<size).contains(rank), "rank \(rank) of \(size)")
    (self.rank, self.size) = (rank, size)
  }

  /// All there is.
  package static let whole = RankShare(rank: 0, size: 1)

  package var isWhole: Bool { size == 1 }

  /// The share of every rank.
  package var all: [RankShare] { (0..<size).map { RankShare(rank: $0, size: size) } }

  // MARK: - Rows of a table

  /// How many of the first `rows` rows it has: its rows of a range are those between two such counts.
  package func rows(of rows: Int) -> Int { (rows - rank + size - 1) / size }

  /// Where its row number `row` lies in the whole table.
  package func place(of row: Int) -> Int { row * size + rank }

  // MARK: - A flat array

  /// Floats that are summed, measured and updated at a time. No share cuts one in two.
  static let chunk = 1 << 15

  /// Its part of an array of `count` floats.
  package func part(of count: Int) -> Range<Int> {
    halves(of: count).last?.kept ?? 0..<count
  }

  /// How it comes to its part by halving, nearest partners first: what it keeps each time, and what it
  /// leaves to that partner.
  func halves(of count: Int) -> [(kept: Range<Int>, given: Range<Int>, partner: Int)] {
    var (own, distance) = (0..<count, 1)
    var halves: [(kept: Range<Int>, given: Range<Int>, partner: Int)] = []
    while distance < size {
      let chunks = (own.count + Self.chunk - 1) / Self.chunk
      let middle = min(own.lowerBound + (chunks + 1) / 2 * Self.chunk, own.upperBound)
      let (low, high) = (own.lowerBound..<middle, middle..<own.upperBound)
      let keepsLow = rank & distance == 0
      halves.append(
        keepsLow ? (low, high, rank ^ distance) : (high, low, rank ^ distance))
      own = halves[halves.count - 1].kept
      distance *= 2
    }
    return halves
  }
}

/// How ranks hold tables. It changes no bit.
package enum TablePlacement: String, CaseIterable, Sendable {
  /// Each row on one rank.
  case sharded
  /// All rows on all ranks.
  case replicated
}
