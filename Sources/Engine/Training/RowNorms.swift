import Kernels
import Parallel

/// Σ g² of the rows of a batch that ranks share, added in the order in which one rank adds it: the rows of each
/// table ascending in parts of `tablePartRows`, row by row, and then the parts of all tables in order.
///
/// Parts are dealt out to the ranks, in ranges. Owners send what they have found for each row to the rank that
/// adds up its part, and all ranks get the sums of parts: 8 bytes a row, and 8 for each part to every rank.
// Unchecked: of one thread, but for the numbers that `prepare` makes room for.
final class RowNorms: @unchecked Sendable {
  private let ranks: any Communicator
  /// Σ g² of owned rows, table by table; what other ranks send.
  private let found: UnsafeMutablePointer<Double>
  private let come: UnsafeMutablePointer<Double>
  private let sums: UnsafeMutablePointer<Double>

  static let bytesPerRow = 2 * MemoryLayout<Double>.stride

  init(tables: Int, capacity: Int, ranks: any Communicator) {
    self.ranks = ranks
    found = .allocate(capacity: max(tables * capacity, 1))
    come = .allocate(capacity: max(tables * capacity, 1))
    sums = .allocate(capacity: tables * (capacity / tablePartRows + 1))
  }

  deinit {
    found.deallocate()
    come.deallocate()
    sums.deallocate()
  }

  /// Where Σ g² of the owned rows of each table goes, before `sum`.
  func prepare(_ routes: [RowRoutes]) -> [UnsafeMutablePointer<Double>] {
    var place = found
    return routes.map { routes in
      defer { place += routes.owned.count }
      return place
    }
  }

  /// The sum over all ranks, on every rank.
  func sum(_ groups: [RowGroups], _ routes: [RowRoutes]) throws -> Double {
    let parts = Parts(groups, ranks: ranks.size)
    let comeStarts = try exchange(groups, routes, parts)
    let own = parts.ofRank(ranks.rank)
    var next = comeStarts
    for part in own {
      let (table, range) = parts[part]
      let rows = groups[table].rows
      var total = 0.0
      for u in range {
        let owner = Int(rows[u]) & (ranks.size - 1)
        total += come[next[owner]]
        next[owner] += 1
      }
      sums[part] = total
    }
    let width = MemoryLayout<Double>.stride
    try ranks.allGather(
      UnsafeMutableRawBufferPointer(start: sums, count: parts.count * width),
      parts: (0..<ranks.size).map {
        let part = parts.ofRank($0)
        return part.lowerBound * width..<part.upperBound * width
      })
    return UnsafeBufferPointer(start: sums, count: parts.count).reduce(0, +)
  }

  /// Sends each rank what it adds up; where each owner's begin of what has come. Owned rows ascend, and so do
  /// parts and their ranks.
  private func exchange(
    _ groups: [RowGroups], _ routes: [RowRoutes], _ parts: Parts
  ) throws -> [Int] {
    var counts = [Int](repeating: 0, count: ranks.size)
    for (table, routes) in routes.enumerated() {
      for v in 0..<routes.owned.count {
        counts[parts.rank(ofRow: Int(routes.ownedGroups[v]), table)] += 1
      }
    }
    var comeCounts = [Int](repeating: 0, count: ranks.size)
    for part in parts.ofRank(ranks.rank) {
      let (table, range) = parts[part]
      let rows = groups[table].rows
      for u in range { comeCounts[Int(rows[u]) & (ranks.size - 1)] += 1 }
    }
    let starts = { (counts: [Int]) in
      counts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    }
    let (sentStarts, comeStarts) = (starts(counts), starts(comeCounts))
    let piece = { (base: UnsafeMutablePointer<Double>, starts: [Int], q: Int) in
      UnsafeMutableRawBufferPointer(
        UnsafeMutableBufferPointer(start: base + starts[q], count: starts[q + 1] - starts[q]))
    }
    try ranks.exchange(
      [(0..<ranks.size).map { UnsafeRawBufferPointer(piece(found, sentStarts, $0)) }],
      into: [(0..<ranks.size).map { piece(come, comeStarts, $0) }])
    return comeStarts
  }
}

/// The parts of a batch, table by table, dealt out to ranks in ranges.
private struct Parts {
  private let groups: [RowGroups]
  private let ranks: Int
  /// First part of each table, then how many there are.
  private let firsts: [Int]

  init(_ groups: [RowGroups], ranks: Int) {
    self.groups = groups
    self.ranks = ranks
    firsts = groups.reduce(into: [0]) {
      $0.append($0[$0.count - 1] + ($1.count + tablePartRows - 1) / tablePartRows)
    }
  }

  var count: Int { firsts[groups.count] }

  /// Table and rows of a part, by their numbers among the groups of the batch.
  subscript(part: Int) -> (table: Int, rows: Range<Int>) {
    // Of tables without rows, which begin where the next does, the last one.
    let table = firsts.lastIndex { $0 <= part } ?? 0
    let first = (part - firsts[table]) * tablePartRows
    return (table, first..<min(first + tablePartRows, groups[table].count))
  }

  func ofRank(_ rank: Int) -> Range<Int> { rank * count / ranks..<(rank + 1) * count / ranks }

  /// The rank that adds up the part of a row.
  func rank(ofRow u: Int, _ table: Int) -> Int {
    let part = firsts[table] + u / tablePartRows
    // The one whose range ends behind it: (rank + 1) · count / ranks > part.
    return ((part + 1) * ranks - 1) / count
  }
}
