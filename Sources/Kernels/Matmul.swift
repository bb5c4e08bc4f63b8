/// The three products of a linear layer. X is (N, K), W is (K, M), Y = X·W is (N, M), row-major.
///
/// Small weights run through the register tile of this module, large ones through the library; the
/// choice depends on K and M alone, so the bits of a row never depend on which rows share its call
/// in the first case, and are deterministic for a given N and BLAS core in the second.

/// Whether W (K, M) goes through the register tile.
package func isSmallMatmul(K: Int, M: Int) -> Bool {
  K % 16 == 0 && M % 16 == 0 && K * M <= 1 << 16
}

/// Floats of scratch that the products with W (K, M) need.
package func matmulScratch(K: Int, M: Int) -> Int { isSmallMatmul(K: K, M: M) ? K * M : 0 }

/// Y = or += X·W, plus a bias: (Y + b) + X·W where the product is added to Y, else b + X·W.
///
/// - Parameters:
///   - bias: (M), or empty.
///   - addsBiasLast: whether the library adds the bias to the finished product rather than the
///     product to the bias; not when adding. The register tile has the same bits either way.
///   - isRowwise: whether the bits of a row may not depend on the other rows of the call, as for
///     generation: then the register tile runs at every size.
/// - Complexity: 2·N·K·M FLOPs.
package func matmul(
  into y: inout MutableSpan<Float>, _ x: Span<Float>, _ w: Span<Float>,
  bias: Span<Float> = Span(), N: Int, K: Int, M: Int, adding: Bool = false,
  addsBiasLast: Bool = false, isRowwise: Bool = false
) {
  let hasBias = bias.count > 0
  precondition(
    y.count == N * M && x.count == N * K && w.count == K * M && (!hasBias || bias.count == M)
      && !(adding && addsBiasLast),
    "matmul: y \(y.count), x \(x.count), w \(w.count), b \(bias.count) for N \(N), K \(K), M \(M)")
  if isRowwise || isSmallMatmul(K: K, M: M) {
    rowwiseMatmul(
      y.base, cRow: M, StridedMatrix(x.base, row: K), w.base, bRow: M, rows: N, depth: K,
      columns: M, bias: hasBias ? bias.base : nil, adding: adding)
    return
  }
  let addsBiasFirst = hasBias && !addsBiasLast
  if addsBiasFirst && adding {
    addBias(y.base, bias.base, N: N, M: M)
  } else if addsBiasFirst {
    for row in 0..<N { (y.base + row * M).update(from: bias.base, count: M) }
  }
  libraryMatmul(
    y.base, cRow: M, MatrixOperand(base: x.base, stride: K),
    MatrixOperand(base: w.base, stride: M), rows: N, depth: K, columns: M,
    adding: adding || addsBiasFirst)
  if hasBias && addsBiasLast { addBias(y.base, bias.base, N: N, M: M) }
}

/// Y += b for each of N rows of M columns.
private func addBias(
  _ y: UnsafeMutablePointer<Float>, _ b: UnsafePointer<Float>, N: Int, M: Int
) {
  for row in 0..<N {
    let to = y + row * M
    forEachVector(M) { to.store(to.load($0, $1) + b.load($0, $1), $0, $1) }
  }
}

/// dX = or += dY·Wᵀ. `scratch` holds at least `matmulScratch(K:M:)` floats.
///
/// - Complexity: 2·N·K·M FLOPs.
package func matmulBackwardInput(
  into dX: inout MutableSpan<Float>, _ dY: Span<Float>, _ w: Span<Float>, N: Int, K: Int, M: Int,
  adding: Bool = false, scratch: inout MutableSpan<Float>
) {
  precondition(
    dX.count == N * K && dY.count == N * M && w.count == K * M
      && scratch.count >= matmulScratch(K: K, M: M),
    "matmulBackwardInput: dX \(dX.count), dY \(dY.count), w \(w.count) for N \(N), K \(K), M \(M)")
  if isSmallMatmul(K: K, M: M) {
    transpose(scratch.base, targetRow: K, w.base, sourceRow: M, rows: K, columns: M)
    smallMatmul(
      dX.base, cRow: K, StridedMatrix(dY.base, row: M), scratch.base, bRow: K, rows: N, depth: M,
      columns: K, adding: adding)
  } else {
    libraryMatmul(
      dX.base, cRow: K, MatrixOperand(base: dY.base, stride: M),
      MatrixOperand(base: w.base, stride: M, transposed: true), rows: N, depth: M, columns: K,
      adding: adding)
  }
}

/// dW = or += Xᵀ·dY, summed over rows in blocks of 256, in row order.
///
/// - Complexity: 2·N·K·M FLOPs.
package func matmulBackwardWeight(
  into dW: inout MutableSpan<Float>, _ x: Span<Float>, _ dY: Span<Float>, N: Int, K: Int, M: Int,
  adding: Bool = false
) {
  precondition(
    dW.count == K * M && x.count == N * K && dY.count == N * M,
    "matmulBackwardWeight: dW \(dW.count), x \(x.count), dY \(dY.count) for N \(N), K \(K), M \(M)")
  if N == 0 {
    if !adding { dW.base.update(repeating: 0, count: K * M) }
  } else if isSmallMatmul(K: K, M: M) {
    let block = 256
    for row in stride(from: 0, to: N, by: block) {
      smallMatmul(
        dW.base, cRow: M, StridedMatrix(x.base + row * K, row: 1, column: K), dY.base + row * M,
        bRow: M, rows: K, depth: min(block, N - row), columns: M, adding: adding || row > 0)
    }
  } else {
    libraryMatmul(
      dW.base, cRow: M, MatrixOperand(base: x.base, stride: K, transposed: true),
      MatrixOperand(base: dY.base, stride: M), rows: K, depth: N, columns: M, adding: adding)
  }
}

/// db = or += Σ over rows of dY (N, M), in row order.
package func biasBackward(
  into db: inout MutableSpan<Float>, _ dY: Span<Float>, N: Int, M: Int, adding: Bool = false
) {
  precondition(
    db.count == M && dY.count == N * M, "biasBackward: dY \(dY.count) for N \(N), M \(M)")
  let (target, source) = (db.base, dY.base)
  var column = 0
  while column + 64 <= M {
    var total = adding ? Strip4(target + column) : Strip4()
    var from = source + column
    for _ in 0..<N {
      total.add(1, times: Strip4(from))
      from += M
    }
    total.store(target + column)
    column += 64
  }
  while column < M {
    let lanes = min(16, M - column)
    var total = adding ? target.load(column, lanes) : .zero
    for row in 0..<N { total += source.load(row &* M &+ column, lanes) }
    target.store(total, column, lanes)
    column += 16
  }
}
