/// Row ids read from an id matrix (N, G), one column of it.
package struct IDColumn: ~Escapable {
  let ids: Span<Int32>
  let width: Int
  let column: Int

  /// Column `column` of `ids` (N, `width`).
  @_lifetime(copy ids)
  package init(_ ids: Span<Int32>, width: Int = 1, column: Int = 0) {
    precondition(
      width > 0 && ids.count % width == 0 && column >= 0 && column < width,
      "IDColumn: column \(column) of \(width) in \(ids.count) ids")
    self.ids = ids
    self.width = width
    self.column = column
  }

  var count: Int { ids.count / width }

  @inline(__always)
  func row(_ n: Int, below rows: Int) -> Int {
    let id = Int(ids[n * width + column])
    precondition(id >= 0 && id < rows, "embedding: id \(id) of a table of \(rows) rows")
    return id
  }
}

/// X[n] = or += E[ids[n]] for N rows of C columns from table E (rows, C).
package func embedding(
  into x: inout MutableSpan<Float>, _ table: Span<Float>, _ ids: borrowing IDColumn, C: Int,
  adding: Bool
) {
  let (N, rows) = (ids.count, table.count / max(C, 1))
  precondition(x.count == N * C, "embedding: x \(x.count) for N \(N), C \(C)")
  let (target, source) = (x.base, table.base)
  for n in 0..<N {
    let (from, to) = (source + ids.row(n, below: rows) * C, target + n * C)
    if adding {
      forEachVector(C) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
    } else {
      to.update(from: from, count: C)
    }
  }
}

/// dE = or += Σ of dX[n] into row ids[n], in row order n: the same bits every time.
package func embeddingBackward(
  into dTable: inout MutableSpan<Float>, _ dX: Span<Float>, _ ids: borrowing IDColumn, C: Int,
  adding: Bool
) {
  let (N, rows) = (ids.count, dTable.count / max(C, 1))
  precondition(dX.count == N * C, "embeddingBackward: dX \(dX.count) for N \(N), C \(C)")
  let (target, source) = (dTable.base, dX.base)
  if !adding { target.update(repeating: 0, count: dTable.count) }
  for n in 0..<N {
    let (from, to) = (source + n * C, target + ids.row(n, below: rows) * C)
    forEachVector(C) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
  }
}
