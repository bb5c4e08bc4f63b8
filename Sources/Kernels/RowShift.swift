/// Rows of a packed lane seen from rows before them, and columns of tensors side by side: moves alone, so
/// the bits are those of the source.

/// Y[r] = X[r + distance] where that row lies in the segment of r, else 0.
///
/// - Parameters:
///   - y, x: (N, C); they do not overlap.
///   - offsets: first row of each segment, then N.
package func shiftRows(
  into y: inout MutableSpan<Float>, _ x: Span<Float>, offsets: Span<Int>, by distance: Int, C: Int
) {
  let N = offsets[offsets.count - 1]
  precondition(
    y.count == N * C && x.count == N * C && distance >= 0,
    "shiftRows: y \(y.count), x \(x.count) for \(N) rows of \(C), \(distance) ahead")
  let (target, source) = (y.base, x.base)
  for segment in 0..<offsets.count - 1 {
    let (first, end) = (offsets[segment], offsets[segment + 1])
    let moved = max(0, end - first - distance)
    (target + first * C).update(from: source + (first + distance) * C, count: moved * C)
    (target + (first + moved) * C).update(repeating: 0, count: (end - first - moved) * C)
  }
}

/// dX = or += the gradient of `shiftRows`: dX[r + distance] gets dY[r], rows that no row sees get 0.
package func shiftRowsBackward(
  into dX: inout MutableSpan<Float>, _ dY: Span<Float>, offsets: Span<Int>, by distance: Int,
  C: Int, adding: Bool
) {
  let N = offsets[offsets.count - 1]
  precondition(
    dX.count == N * C && dY.count == N * C && distance >= 0,
    "shiftRowsBackward: dX \(dX.count), dY \(dY.count) for \(N) rows of \(C), \(distance) ahead")
  let (target, upstream) = (dX.base, dY.base)
  for segment in 0..<offsets.count - 1 {
    let (first, end) = (offsets[segment], offsets[segment + 1])
    let moved = max(0, end - first - distance)
    let (from, to) = (upstream + first * C, target + (end - moved) * C)
    if adding {
      forEachVector(moved * C) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
    } else {
      (target + first * C).update(repeating: 0, count: (end - first - moved) * C)
      to.update(from: from, count: moved * C)
    }
  }
}

/// Y[n, column…] = X[n] for X (N, width) and Y (N, C); other columns stay as they are.
package func placeColumns(
  into y: inout MutableSpan<Float>, _ x: Span<Float>, N: Int, C: Int, column: Int, width: Int
) {
  precondition(
    y.count == N * C && x.count == N * width && column >= 0 && column + width <= C,
    "placeColumns: y \(y.count), x \(x.count) for N \(N), C \(C), \(width) from \(column)")
  let (target, source) = (y.base, x.base)
  for n in 0..<N {
    (target + n * C + column).update(from: source + n * width, count: width)
  }
}

/// Y[n] = or += X[n, column…] for X (N, C) and Y (N, width).
package func takeColumns(
  into y: inout MutableSpan<Float>, _ x: Span<Float>, N: Int, C: Int, column: Int, width: Int,
  adding: Bool
) {
  precondition(
    y.count == N * width && x.count == N * C && column >= 0 && column + width <= C,
    "takeColumns: y \(y.count), x \(x.count) for N \(N), C \(C), \(width) from \(column)")
  let (target, source) = (y.base, x.base)
  for n in 0..<N {
    let (to, from) = (target + n * width, source + n * C + column)
    if adding {
      forEachVector(width) { to.store(to.load($0, $1) + from.load($0, $1), $0, $1) }
    } else {
      to.update(from: from, count: width)
    }
  }
}
