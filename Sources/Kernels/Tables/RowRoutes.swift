/// Who sends which rows of one table to whom, in one batch: the owner of row r is rank r mod `ranks`, and each
/// rank runs the lookups of a range of the batch. Every rank knows all ids of the batch, so that none travels:
/// of two ranks each finds the same rows in the same order.
///
/// What goes to ranks or comes from them lies in the order of the ranks; `…Starts` has (ranks + 1) places, the
/// first of each rank and the end.
// Unchecked: filled by one worker, then read by all.
package final class RowRoutes: @unchecked Sendable {
  package let rank: Int
  package let ranks: Int
  /// The rows of the batch that this rank owns, as rows of its own memory (r / ranks). Occurrences are those
  /// of these rows alone, numbered in the order of the batch: so they come, rank after rank.
  package let owned: RowGroups
  /// Of each owned group its number among all groups of the batch, ascending.
  package let ownedGroups: UnsafeMutablePointer<Int32>
  /// Owned groups that the lookups of each rank use, ascending.
  package private(set) var sentRows: [Int32] = []
  package private(set) var sentRowStarts: [Int]
  /// Rows that this rank's lookups use, ascending from each owner.
  package private(set) var comingRowStarts: [Int]
  /// Gradients of this rank's lookups, for each owner in their order.
  package private(set) var sentGradientStarts: [Int]
  /// Where the gradient of this rank's lookup i lies among them.
  package let gradientPlaces: UnsafeMutablePointer<Int32>
  /// Gradients of owned rows.
  package private(set) var comingGradientStarts: [Int]
  /// By group of the batch: its place among the rows that come, or −1.
  private let rowPlaces: UnsafeMutablePointer<Int32>
  /// By occurrence of the batch: how many before it are of owned rows.
  private let numbers: UnsafeMutablePointer<Int32>

  /// - Parameters:
  ///   - ranks: a power of two.
  ///   - capacity: occurrences of a batch.
  ///   - ownCapacity: of those that this rank looks up.
  package init(rank: Int, of ranks: Int, capacity: Int, ownCapacity: Int) {
    precondition(ranks & (ranks - 1) == 0, "\(ranks) ranks")
    self.rank = rank
    self.ranks = ranks
    owned = RowGroups(capacity: capacity)
    ownedGroups = .allocate(capacity: max(capacity, 1))
    gradientPlaces = .allocate(capacity: max(ownCapacity, 1))
    rowPlaces = .allocate(capacity: max(capacity, 1))
    numbers = .allocate(capacity: capacity + 1)
    let zeros = [Int](repeating: 0, count: ranks + 1)
    (sentRowStarts, comingRowStarts) = (zeros, zeros)
    (sentGradientStarts, comingGradientStarts) = (zeros, zeros)
  }

  deinit {
    ownedGroups.deallocate()
    gradientPlaces.deallocate()
    rowPlaces.deallocate()
    numbers.deallocate()
  }

  /// Finds the routes of a batch.
  ///
  /// - Parameters:
  ///   - groups: of all occurrences.
  ///   - bounds: (ranks + 1) first occurrence of each rank's lookups, and their end.
  ///   - slots: the group of occurrence i at `slots[i · stride]`; for this rank's lookups the place of the
  ///     row among those that come is left there.
  /// - Complexity: O(occurrences + ranks).
  package func find(
    _ groups: RowGroups, bounds: [Int], slots: UnsafeMutablePointer<Int32>, stride: Int
  ) {
    let own = bounds[rank]..<bounds[rank + 1]
    routeGradients(groups, own, slots, stride)
    routeComingRows(groups, own, slots, stride)
    findOwned(groups, bounds, slots, stride)
    routeSentRows()
    for i in own { slots[i &* stride] = rowPlaces[Int(slots[i &* stride])] }
  }

  @inline(__always)
  private func owner(_ row: Int32) -> Int { Int(row) & (ranks &- 1) }

  private func routeGradients(
    _ groups: RowGroups, _ own: Range<Int>, _ slots: UnsafeMutablePointer<Int32>, _ stride: Int
  ) {
    let rows = groups.rows
    var counts = [Int](repeating: 0, count: ranks)
    for i in own { counts[owner(rows[Int(slots[i &* stride])])] &+= 1 }
    sentGradientStarts = Self.starts(counts)
    var next = sentGradientStarts
    for i in own {
      let q = owner(rows[Int(slots[i &* stride])])
      gradientPlaces[i &- own.lowerBound] = Int32(truncatingIfNeeded: next[q])
      next[q] &+= 1
    }
  }

  private func routeComingRows(
    _ groups: RowGroups, _ own: Range<Int>, _ slots: UnsafeMutablePointer<Int32>, _ stride: Int
  ) {
    let rows = groups.rows
    rowPlaces.update(repeating: -1, count: groups.count)
    for i in own { rowPlaces[Int(slots[i &* stride])] = 0 }
    var counts = [Int](repeating: 0, count: ranks)
    for u in 0..<groups.count where rowPlaces[u] == 0 { counts[owner(rows[u])] &+= 1 }
    comingRowStarts = Self.starts(counts)
    var next = comingRowStarts
    for u in 0..<groups.count where rowPlaces[u] == 0 {
      let q = owner(rows[u])
      rowPlaces[u] = Int32(truncatingIfNeeded: next[q])
      next[q] &+= 1
    }
  }

  private func findOwned(
    _ groups: RowGroups, _ bounds: [Int], _ slots: UnsafeMutablePointer<Int32>, _ stride: Int
  ) {
    let rows = groups.rows
    var number: Int32 = 0
    for i in 0..<bounds[ranks] {
      numbers[i] = number
      if owner(rows[Int(slots[i &* stride])]) == rank { number &+= 1 }
    }
    numbers[bounds[ranks]] = number
    comingGradientStarts = bounds.map { Int(numbers[$0]) }
    var v = 0
    for u in 0..<groups.count where owner(rows[u]) == rank {
      ownedGroups[v] = Int32(truncatingIfNeeded: u)
      v &+= 1
    }
    owned.select(
      UnsafeBufferPointer(start: ownedGroups, count: v), of: groups, numbers: numbers
    ) { $0 >> Int32(truncatingIfNeeded: self.ranks.trailingZeroBitCount) }
  }

  private func routeSentRows() {
    var counts = [Int](repeating: 0, count: ranks)
    forEachUse { q, _ in counts[q] &+= 1 }
    sentRowStarts = Self.starts(counts)
    var next = sentRowStarts
    var sent = [Int32](repeating: 0, count: next[ranks])
    forEachUse { q, v in
      sent[next[q]] = Int32(truncatingIfNeeded: v)
      next[q] &+= 1
    }
    sentRows = sent
  }

  /// Each owned group with each rank that looks it up: members ascend, and so do their ranks.
  private func forEachUse(_ body: (_ rank: Int, _ v: Int) -> Void) {
    let starts = comingGradientStarts
    for v in 0..<owned.count {
      var (q, end) = (-1, 0)
      for member in owned.members(v) where Int(member) >= end {
        repeat {
          q &+= 1
          end = starts[q &+ 1]
        } while Int(member) >= end
        body(q, v)
      }
    }
  }

  /// (0, count 0, count 0 + count 1, …).
  private static func starts(_ counts: [Int]) -> [Int] {
    counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
  }
}
