/// Rows of one set that stand for rows of another, −1 for none: how values and gradients pass between
/// spaces of rows.

/// Y[r] = or += X[rows[r]] for X (M, C) and Y (rows.count, C); a row that stands for none is 0, or left
/// as it is when adding.
package func gather(
  into y: inout MutableSpan<Float>, _ x: Span<Float>, _ rows: Span<Int32>, C: Int, adding: Bool
) {
  let M = x.count / max(C, 1)
  precondition(
    y.count == rows.count * C && x.count == M * C,
    "gather: y \(y.count), x \(x.count) for \(rows.count) rows of \(C)")
  let (target, source) = (y.base, x.base)
  for r in 0..<rows.count {
    let to = target + r * C
    guard let row = linkedRow(rows[r], below: M) else {
      if !adding { to.update(repeating: 0, count: C) }
      continue
    }
    let from = source + row * C
    if adding {
      forEachVector(C) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
    } else {
      to.update(from: from, count: C)
    }
  }
}

/// Y[m] = or += Σ of X[r] over the r with rows[r] = m, ascending: the same bits every time. X is
/// (rows.count, C), Y (M, C).
package func scatterSum(
  into y: inout MutableSpan<Float>, _ x: Span<Float>, _ rows: Span<Int32>, C: Int, adding: Bool
) {
  let M = y.count / max(C, 1)
  precondition(
    x.count == rows.count * C && y.count == M * C,
    "scatterSum: x \(x.count), y \(y.count) for \(rows.count) rows of \(C)")
  let (target, source) = (y.base, x.base)
  if !adding { target.update(repeating: 0, count: y.count) }
  for r in 0..<rows.count {
    guard let row = linkedRow(rows[r], below: M) else { continue }
    let (from, to) = (source + r * C, target + row * C)
    forEachVector(C) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
  }
}

/// X[n] = Y[rows[n]], or E[ids[n]] where rows[n] is −1, for X (rows.count, C), Y (M, C) and E (V, C).
package func gather(
  into x: inout MutableSpan<Float>, _ y: Span<Float>, _ rows: Span<Int32>,
  orElse table: Span<Float>, _ ids: borrowing IDColumn, C: Int
) {
  let (M, V) = (y.count / max(C, 1), table.count / max(C, 1))
  precondition(
    x.count == rows.count * C && ids.count == rows.count,
    "gather: x \(x.count) for \(rows.count) rows of \(C), \(ids.count) ids")
  let (target, linked, tokens) = (x.base, y.base, table.base)
  for n in 0..<rows.count {
    let from =
      linkedRow(rows[n], below: M).map { linked + $0 * C } ?? tokens + ids.row(n, below: V) * C
    (target + n * C).update(from: from, count: C)
  }
}

/// dE = or += Σ of dX[n] into row ids[n] over the n with rows[n] = −1, ascending: the same bits every
/// time.
package func embeddingBackward(
  into dTable: inout MutableSpan<Float>, _ dX: Span<Float>, _ ids: borrowing IDColumn,
  unless rows: Span<Int32>, C: Int, adding: Bool
) {
  let (N, V) = (ids.count, dTable.count / max(C, 1))
  precondition(
    dX.count == N * C && rows.count == N,
    "embeddingBackward: dX \(dX.count), \(rows.count) links for N \(N), C \(C)")
  let (target, source) = (dTable.base, dX.base)
  if !adding { target.update(repeating: 0, count: dTable.count) }
  for n in 0..<N where rows[n] == -1 {
    let (from, to) = (source + n * C, target + ids.row(n, below: V) * C)
    forEachVector(C) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
  }
}

@inline(__always)
private func linkedRow(_ row: Int32, below M: Int) -> Int? {
  if row == -1 { return nil }
  precondition(row >= 0 && Int(row) < M, "row \(row) of \(M)")
  return Int(row)
}
