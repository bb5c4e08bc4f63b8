import CKernels

// MARK: - Gather

/// How many rows ahead the memory is asked for a row.
private let lookahead = 8

/// Asks for the cache lines of `bytes` bytes.
@inline(__always)
func prefetch(_ address: UnsafeRawPointer, bytes: Int) {
  var offset = 0
  while offset < bytes {
    ott_prefetch(address + offset)
    offset &+= 64
  }
}

/// Y[n, column ..< column + w] = E[ids[n]] for N rows of table E (rows, w): Y is (N, C), ids is column
/// `idColumn` of (N, `idWidth`).
package func gatherRows(
  into y: inout MutableSpan<Float>, C: Int, column: Int, table: UnsafePointer<Float>, width w: Int,
  rows: Int, ids: UnsafeBufferPointer<Int32>, idWidth: Int, idColumn: Int
) {
  let N = idWidth == 0 ? 0 : ids.count / idWidth
  precondition(
    y.count == N * C && column + w <= C && idColumn < idWidth,
    "gatherRows: y \(y.count), columns \(column)..<\(column + w) of \(C), \(N) ids")
  let target = y.base
  for n in 0..<N {
    let id = Int(ids[n &* idWidth &+ idColumn])
    precondition(id >= 0 && id < rows, "row \(id) of a table of \(rows)")
    if n &+ lookahead < N {
      let next = Int(ids[(n &+ lookahead) &* idWidth &+ idColumn])
      prefetch(table + next &* w, bytes: 4 &* w)
    }
    let (from, to) = (table + id &* w, target + (n &* C &+ column))
    forEachVector(w) { to.store(from.load($0, $1), $0, $1) }
  }
}

/// Y[n] = F[ids[n] − 1] for N rows of table F (rows, C), or E[tokens[n]] where ids[n] is 0: ids is column
/// `idColumn` of (N, `idWidth`), tokens is column 0.
package func gatherRows(
  into y: inout MutableSpan<Float>, C: Int, table: UnsafePointer<Float>, rows: Int,
  ids: UnsafeBufferPointer<Int32>, idWidth: Int, idColumn: Int, orElse tokens: Span<Float>
) {
  let N = idWidth == 0 ? 0 : ids.count / idWidth
  let V = tokens.count / max(C, 1)
  precondition(
    y.count == N * C && idColumn < idWidth, "gatherRows: y \(y.count) of \(C), \(N) ids")
  let (target, own) = (y.base, tokens.base)
  for n in 0..<N {
    let (id, token) = (Int(ids[n &* idWidth &+ idColumn]), Int(ids[n &* idWidth]))
    precondition(
      id >= 0 && id <= rows && token >= 0 && token < V,
      "id \(id) of a table of \(rows) rows, token \(token) of \(V)")
    if n &+ lookahead < N {
      let next = Int(ids[(n &+ lookahead) &* idWidth &+ idColumn])
      if next > 0 { prefetch(table + (next &- 1) &* C, bytes: 4 &* C) }
    }
    (target + n &* C).update(from: id > 0 ? table + (id &- 1) &* C : own + token &* C, count: C)
  }
}

// MARK: - Gradients of rows

/// G[u] = Σ over the members i of group u of dY[i, column ..< column + w], in their order, for the
/// groups of `range`; returns Σ g² in Double, group by group.
///
/// The sum starts from the first member, so a row that occurs once has its gradient's bits.
///
/// - Parameters:
///   - gradients: (range.count, w).
///   - dY: (occurrences, C).
package func sumRows(
  into gradients: inout MutableSpan<Float>, _ groups: RowGroups, _ range: Range<Int>,
  dY: UnsafePointer<Float>, C: Int, column: Int, width w: Int
) -> Double {
  var total = 0.0
  sumRows(into: &gradients, groups, range, dY: dY, C: C, column: column, width: w) { total += $1 }
  return total
}

/// The same; Σ g² of each group goes to `norms` (range.count).
package func sumRows(
  into gradients: inout MutableSpan<Float>, norms: UnsafeMutablePointer<Double>,
  _ groups: RowGroups, _ range: Range<Int>, dY: UnsafePointer<Float>, C: Int, column: Int,
  width w: Int
) {
  sumRows(into: &gradients, groups, range, dY: dY, C: C, column: column, width: w) {
    norms[$0] = $1
  }
}

@inline(__always)
private func sumRows(
  into gradients: inout MutableSpan<Float>, _ groups: RowGroups, _ range: Range<Int>,
  dY: UnsafePointer<Float>, C: Int, column: Int, width w: Int,
  _ found: (_ place: Int, _ squares: Double) -> Void
) {
  precondition(
    gradients.count == range.count * w && column + w <= C && range.upperBound <= groups.count,
    "sumRows: \(gradients.count) for groups \(range), columns \(column)..<\(column + w) of \(C)")
  let target = gradients.base
  for u in range {
    let to = target + (u &- range.lowerBound) &* w
    let members = groups.members(u)
    if u &+ 4 < range.upperBound {
      let next = Int(groups.members(u &+ 4)[0]) &* C &+ column
      prefetch(dY + next, bytes: 4 &* w)
    }
    let first = dY + (Int(members[0]) &* C &+ column)
    forEachVector(w) { to.store(first.load($0, $1), $0, $1) }
    for i in 1..<max(members.count, 1) {
      let from = dY + (Int(members[i]) &* C &+ column)
      forEachVector(w) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
    }
    found(u &- range.lowerBound, squaredNorm(UnsafeBufferPointer(start: to, count: w).span))
  }
}
