import Kernels
import Support
import Testing

/// Routes of rows between ranks beside what dictionaries say of them.
@Suite struct RowRoutesTests {
  private struct Found {
    var rows: [Int32] = []
    var members: [[Int]] = []
    var ownedGroups: [Int] = []
    /// By rank: rows of the whole table.
    var sentRows: [[Int32]] = []
    var comingRows: [Int] = []
    var slots: [Int32] = []
    var sentGradients: [[Int]] = []
    var comingGradients: [Int] = []
    /// All rows of the batch.
    var all: [Int32] = []
  }

  /// What one rank finds of a batch in which rank q looks up `ids[q]`, twice with the same memory.
  private func routes(_ ids: [[Int32]], rank: Int, rows: Int) -> Found {
    let (ranks, all) = (ids.count, ids.flatMap { $0 })
    let bounds = ids.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.count) }
    let groups = RowGroups(capacity: all.count + 3)
    let routes = RowRoutes(
      rank: rank, of: ranks, capacity: all.count + 3, ownCapacity: ids[rank].count)
    var slots = [Int32](repeating: -5, count: 2 * all.count)
    for round in 0..<2 {
      groups.removeAll()
      (round == 0 ? all.map { ($0 + 1) % Int32(rows) } : all).withUnsafeBufferPointer {
        groups.append($0, width: 1, column: 0, rows: rows)
      }
      slots.withUnsafeMutableBufferPointer { slots in
        guard let base = slots.baseAddress else { return }
        groups.group(rows: rows, slots: base, stride: 2)
        routes.find(groups, bounds: bounds, slots: base, stride: 2)
      }
    }
    var found = Found()
    let owned = routes.owned
    found.rows = Array(owned.rows)
    found.members = (0..<owned.count).map { owned.members($0).map { Int($0) } }
    found.ownedGroups = (0..<owned.count).map { Int(routes.ownedGroups[$0]) }
    found.all = Array(groups.rows)
    let parts = { (starts: [Int]) in (0..<ranks).map { starts[$0]..<starts[$0 + 1] } }
    found.sentRows = parts(routes.sentRowStarts).map { part in
      part.map { owned.rows[Int(routes.sentRows[$0])] * Int32(ranks) + Int32(rank) }
    }
    found.comingRows = parts(routes.comingRowStarts).map(\.count)
    found.slots =
      bounds[rank] == bounds[rank + 1]
      ? [] : (bounds[rank]..<bounds[rank + 1]).map { slots[2 * $0] }
    let places = ids[rank].indices.map { Int(routes.gradientPlaces[$0]) }
    found.sentGradients = parts(routes.sentGradientStarts).map { part in
      part.map { place in places.firstIndex(of: place) ?? -1 }
    }
    found.comingGradients = parts(routes.comingGradientStarts).map(\.count)
    return found
  }

  @Test(arguments: [1, 2, 4, 8]) func everyRankFindsTheSame(ranks: Int) {
    var stream = RandomStream(seed: 8, name: "routes")
    for (rows, most) in [(1, 3), (5, 2), (40, 30), (1000, 60)] {
      let ids = (0..<ranks).map { _ in
        (0..<Int(stream.below(UInt32(most + 1)))).map { _ in Int32(stream.below(UInt32(rows))) }
      }
      let all = ids.flatMap { $0 }
      let found = (0..<ranks).map { routes(ids, rank: $0, rows: rows) }
      for (q, one) in found.enumerated() {
        // Owned rows, and their occurrences among those of owned rows.
        let own = all.filter { Int($0) % ranks == q }
        #expect(one.rows == Set(own).sorted().map { $0 / Int32(ranks) })
        #expect(
          one.members
            == Set(own).sorted().map { row in own.indices.filter { own[$0] == row } })
        #expect(one.all == Set(all).sorted())
        #expect(one.ownedGroups == one.all.indices.filter { Int(one.all[$0]) % ranks == q })
        // What comes is what others send, in their order.
        let come = found.flatMap { $0.sentRows[q] }
        #expect(one.comingRows == found.map { $0.sentRows[q].count })
        #expect(one.slots.map { come[Int($0)] } == ids[q])
        #expect(Set(come).count == come.count)
        #expect(one.comingGradients == found.map { $0.sentGradients[q].count })
        let gradients = found.enumerated().flatMap { r, other in
          other.sentGradients[q].map { ids[r][$0] }
        }
        #expect(gradients == own)
      }
    }
  }
}
