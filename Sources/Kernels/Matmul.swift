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
  addsBiasLast: Bool = false, isRowwise: Bool = false, helpers: (any Helpers)? = nil
) {
  let hasBias = bias.count > 0
  precondition(
    y.count == N * M && x.count == N * K && w.count == K * M && (!hasBias || bias.count == M)
      && !(adding && addsBiasLast),
    "matmul: y \(y.count), x \(x.count), w \(w.count), b \(bias.count) for N \(N), K \(K), M \(M)")
  if isRowwise || isSmallMatmul(K: K, M: M) {
    let (to, from, weights, shift) = (y.base, x.base, w.base, hasBias ? bias.base : nil)
    inRanges(helpers, N, grain: 8, least: worthSharing(flops: 2 * K * M, grain: 8)) { range in
      rowwiseMatmul(
        to + range.lowerBound * M, cRow: M, StridedMatrix(from + range.lowerBound * K, row: K),
        weights, bRow: M, rows: range.count, depth: K, columns: M, bias: shift, adding: adding)
    }
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
  adding: Bool = false, helpers: (any Helpers)? = nil, scratch: inout MutableSpan<Float>
) {
  precondition(
    dX.count == N * K && dY.count == N * M && w.count == K * M
      && scratch.count >= matmulScratch(K: K, M: M),
    "matmulBackwardInput: dX \(dX.count), dY \(dY.count), w \(w.count) for N \(N), K \(K), M \(M)")
  if isSmallMatmul(K: K, M: M) {
    let (to, from, transposed) = (dX.base, dY.base, scratch.base)
    transpose(transposed, targetRow: K, w.base, sourceRow: M, rows: K, columns: M)
    inRanges(helpers, N, grain: 8, least: worthSharing(flops: 2 * K * M, grain: 8)) { range in
      smallMatmul(
        to + range.lowerBound * K, cRow: K, StridedMatrix(from + range.lowerBound * M, row: M),
        transposed, bRow: K, rows: range.count, depth: M, columns: K, adding: adding)
    }
  } else {
    libraryInputGradient(dX.base, dY.base, w.base, N: N, K: K, M: M, adding: adding)
  }
}

/// dW = or += Xᵀ·dY, summed over rows in blocks of 256, in row order.
///
/// - Complexity: 2·N·K·M FLOPs.
package func matmulBackwardWeight(
  into dW: inout MutableSpan<Float>, _ x: Span<Float>, _ dY: Span<Float>, N: Int, K: Int, M: Int,
  adding: Bool = false, helpers: (any Helpers)? = nil
) {
  precondition(
    dW.count == K * M && x.count == N * K && dY.count == N * M,
    "matmulBackwardWeight: dW \(dW.count), x \(x.count), dY \(dY.count) for N \(N), K \(K), M \(M)")
  if N == 0 {
    if !adding { dW.base.update(repeating: 0, count: K * M) }
  } else if isSmallMatmul(K: K, M: M) {
    let block = 256
    let (to, left, right) = (dW.base, x.base, dY.base)
    inRanges(helpers, K, grain: 8, least: worthSharing(flops: 2 * N * M, grain: 8)) { range in
      for row in stride(from: 0, to: N, by: block) {
        smallMatmul(
          to + range.lowerBound * M, cRow: M,
          StridedMatrix(left + row * K + range.lowerBound, row: 1, column: K), right + row * M,
          bRow: M, rows: range.count, depth: min(block, N - row), columns: M,
          adding: adding || row > 0)
      }
    }
  } else {
    libraryWeightGradient(dW.base, x.base, dY.base, N: N, K: K, M: M, adding: adding)
  }
}

/// dX and dW of the two functions above; products of the library at the same time where a helper is there,
/// since they cannot be cut into pieces: their bits depend on the shape.
package func matmulBackward(
  dX: inout MutableSpan<Float>, dW: inout MutableSpan<Float>, _ dY: Span<Float>, _ x: Span<Float>,
  _ w: Span<Float>, N: Int, K: Int, M: Int, addingInput: Bool, addingWeights: Bool,
  helpers: (any Helpers)? = nil, scratch: inout MutableSpan<Float>
) {
  guard let helpers, N > 0, !isSmallMatmul(K: K, M: M) else {
    matmulBackwardWeight(
      into: &dW, x, dY, N: N, K: K, M: M, adding: addingWeights, helpers: helpers)
    matmulBackwardInput(
      into: &dX, dY, w, N: N, K: K, M: M, adding: addingInput, helpers: helpers, scratch: &scratch)
    return
  }
  precondition(
    dX.count == N * K && dW.count == K * M && x.count == N * K && dY.count == N * M
      && w.count == K * M,
    "matmulBackward: dX \(dX.count), dW \(dW.count), dY \(dY.count) for N \(N), K \(K), M \(M)")
  let (inputs, weights) = (dX.base, dW.base)
  let (left, up, factor) = (x.base, dY.base, w.base)
  together(helpers, flops: 4 * N * K * M, (1, 1), (1, 1)) { _ in
    libraryWeightGradient(weights, left, up, N: N, K: K, M: M, adding: addingWeights)
  } _: { _ in
    libraryInputGradient(inputs, up, factor, N: N, K: K, M: M, adding: addingInput)
  }
}

private func libraryWeightGradient(
  _ dW: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ dY: UnsafePointer<Float>, N: Int,
  K: Int, M: Int, adding: Bool
) {
  libraryMatmul(
    dW, cRow: M, MatrixOperand(base: x, stride: K, transposed: true),
    MatrixOperand(base: dY, stride: M), rows: K, depth: N, columns: M, adding: adding)
}

private func libraryInputGradient(
  _ dX: UnsafeMutablePointer<Float>, _ dY: UnsafePointer<Float>, _ w: UnsafePointer<Float>, N: Int,
  K: Int, M: Int, adding: Bool
) {
  libraryMatmul(
    dX, cRow: K, MatrixOperand(base: dY, stride: M),
    MatrixOperand(base: w, stride: M, transposed: true), rows: N, depth: M, columns: K,
    adding: adding)
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
