import CKernels

/// The products of a linear layer with factors rounded to bfloat16 and sums in single precision.
/// X is (N, K), W is (K, M), Y = X·W is (N, M), row-major, as for `matmul`.
///
/// Weights come packed, once a step; activations are rounded on the way, some rows at a time, which
/// stay in the second cache for what follows them. An element of Y or dX is one chain over k, so its
/// bits depend on its row alone; dW is summed over rows in fixed blocks, in row order.

/// Floats of the packed W (K, M): `forward`, panels of W, then `backward`, panels of Wᵀ.
package func packedCount(K: Int, M: Int) -> Int {
  packedForwardCount(K: K, M: M) + packedForwardCount(K: M, M: K)
}

func packedForwardCount(K: Int, M: Int) -> Int { (K + 1) / 2 * padded(M) }

/// Packs W (K, M) for its three products.
package func packWeights(into packed: inout MutableSpan<Float>, _ w: Span<Float>, K: Int, M: Int) {
  precondition(
    packed.count == packedCount(K: K, M: M) && w.count == K * M,
    "packWeights: packed \(packed.count), w \(w.count) for K \(K), M \(M)")
  ott_bf16_pack(packed.base, nil, nil, w.base, M, K, M)
  ott_bf16_pack_transposed(packed.base + packedForwardCount(K: K, M: M), w.base, M, K, M)
}

/// The packed factors of W (K, M).
struct PackedWeights {
  let forward: UnsafePointer<Float>
  let backward: UnsafePointer<Float>

  init(_ packed: Span<Float>, K: Int, M: Int) {
    precondition(
      packed.count == packedCount(K: K, M: M), "packed \(packed.count) for K \(K), M \(M)")
    forward = packed.base
    backward = packed.base + packedForwardCount(K: K, M: M)
  }
}

/// Rows of a factor with `depth` columns that are rounded at a time, for a product of `columns`.
private func blockRows(depth: Int, columns: Int) -> Int {
  let fitting = (1 << 17) / max(1, (depth + 1) / 2 + columns)
  return max(32, min(128, fitting & ~7))
}

/// Rows that a weight gradient is summed over at a time.
private let blockDepth = 256

/// Floats of scratch that the products with W (K, M) need.
package func packedMatmulScratch(K: Int, M: Int) -> Int {
  max(
    blockRows(depth: K, columns: M) * ((K + 1) / 2),
    blockDepth / 2 * (padded(K) + padded(M)) + blockDepth * ((M + 1) / 2))
}

/// Y = f(X)·W + b + residual, or += f(X)·W + b, for an activation f.
///
/// - Parameters:
///   - bias: (M), or empty.
///   - residual: (N, M), or empty; may be `y` itself.
/// - Complexity: 2·N·K·M FLOPs.
package func matmul(
  into y: inout MutableSpan<Float>, _ x: Span<Float>, packed: Span<Float>, bias: Span<Float>,
  residual: Span<Float>, N: Int, K: Int, M: Int, activation: Activation = .none,
  helpers: (any Helpers)? = nil, scratch: inout MutableSpan<Float>
) {
  precondition(
    y.count == N * M && x.count == N * K && (bias.count == 0 || bias.count == M)
      && (residual.count == 0 || residual.count == N * M)
      && scratch.count >= packedMatmulScratch(K: K, M: M),
    "matmul: y \(y.count), x \(x.count), scratch \(scratch.count) for N \(N), K \(K), M \(M)")
  let w = PackedWeights(packed, K: K, M: M)
  product(
    y.base, row: M, x.base, row: K, w.forward, bias: bias.count > 0 ? bias.base : nil,
    plus: residual.count > 0 ? residual.base : nil, rows: N, depth: K, columns: M,
    activation: activation, helpers: helpers, scratch: scratch.base)
}

/// The gradients of Y = f(X)·W + b: dX = or += dY·Wᵀ ∘ f′(X), dW = or += f(X)ᵀ·dY,
/// db = or += Σ over rows of dY.
///
/// - Parameters:
///   - dBias: (M), or empty; summed in single precision.
///   - dX: overlaps no input.
///   - addingInput: not with an activation.
/// - Complexity: 4·N·K·M FLOPs.
package func matmulBackward(
  dX: inout MutableSpan<Float>, dW: inout MutableSpan<Float>, dBias: inout MutableSpan<Float>,
  _ dY: Span<Float>, _ x: Span<Float>, packed: Span<Float>, N: Int, K: Int, M: Int,
  addingInput: Bool, addingWeights: Bool, addingBias: Bool, activation: Activation = .none,
  helpers: (any Helpers)? = nil, scratch: inout MutableSpan<Float>
) {
  precondition(
    dX.count == N * K && dW.count == K * M && (dBias.count == 0 || dBias.count == M)
      && dY.count == N * M && x.count == N * K && !(addingInput && activation != .none)
      && scratch.count >= packedMatmulScratch(K: K, M: M),
    "matmulBackward: dX \(dX.count), dW \(dW.count), dY \(dY.count) for N \(N), K \(K), M \(M)")
  let w = PackedWeights(packed, K: K, M: M)
  let (inputs, weights, biases) = (dX.base, dW.base, dBias.base)
  if N == 0 && !addingWeights { weights.update(repeating: 0, count: K * M) }
  if !addingBias { biases.update(repeating: 0, count: dBias.count) }
  let sums = dBias.count > 0 ? biases : nil
  let gradientRows = scratch.base
  let room = gradientRows + blockDepth * ((M + 1) / 2)
  for row in stride(from: 0, to: N, by: blockDepth) {
    let count = min(blockDepth, N - row)
    let target = inputs + row * K
    let factors = TransposedFactors(rows: count, K: K, M: M, in: room)
    factors.pack(
      x.base + row * K, stride: K, dY.base + row * M, stride: M,
      leftSlopes: activation == .gelu ? target : nil, rightRows: gradientRows, rightSums: sums,
      helpers: helpers)
    let pairs = (M + 1) / 2
    together(helpers, flops: 4 * count * K * M, (K, 64), (count, 8)) { columns in
      factors.multiply(into: weights, columns, adding: addingWeights || row > 0)
    } _: { rows in
      let (to, from) = (target + rows.lowerBound * K, gradientRows + rows.lowerBound * pairs)
      switch activation {
      case .none:
        ott_bf16_product(
          to, K, addingInput ? UnsafePointer(to) : nil, nil, from, pairs, 1, w.backward, pairs, K,
          0,
          rows.count, pairs, K)
      case .gelu:
        ott_bf16_product_times(to, K, from, w.backward, rows.count, pairs, K)
      }
    }
  }
}

/// Says which values this thread reads after its next products of bfloat16, which ask for them
/// meanwhile; replaces what was said before. No result depends on it.
package func lookAhead(
  _ first: UnsafeBufferPointer<Float>?, _ second: UnsafeBufferPointer<Float>?
) {
  ott_bf16_look_ahead(
    first?.baseAddress, first?.count ?? 0, second?.baseAddress, second?.count ?? 0)
}

// MARK: - Parts

/// Y (rows, columns) = f(X) (rows, depth) · B + bias + plus with B in panels; Y and X have row strides,
/// `plus` has Y's. `scratch` holds 128 rounded rows of X.
func product(
  _ y: UnsafeMutablePointer<Float>, row yRow: Int, _ x: UnsafePointer<Float>, row xRow: Int,
  _ panels: UnsafePointer<Float>, bias: UnsafePointer<Float>? = nil,
  plus: UnsafePointer<Float>? = nil, rows: Int, depth: Int, columns: Int,
  activation: Activation = .none, helpers: (any Helpers)? = nil,
  scratch: UnsafeMutablePointer<Float>
) {
  let pairs = (depth + 1) / 2
  let block = blockRows(depth: depth, columns: columns)
  inRanges(
    helpers, rows, grain: 8, least: worthSharing(flops: 2 * depth * columns, grain: 8),
    scratch: scratch
  ) { range, scratch in
    for row in stride(from: range.lowerBound, to: range.upperBound, by: block) {
      let count = min(block, range.upperBound - row)
      switch activation {
      case .none: ott_bf16_rows(scratch, x + row * xRow, xRow, count, depth)
      case .gelu: ott_bf16_gelu_rows(scratch, x + row * xRow, xRow, count, depth)
      }
      ott_bf16_product(
        y + row * yRow, yRow, plus.map { $0 + row * yRow }, bias, scratch, pairs, 1, panels, pairs,
        columns, 0, count, pairs, columns)
    }
  }
}

/// The rounded factors of C (K, M) = or += Xᵀ·Y for X (rows, K) and Y (rows, M) with row strides.
struct TransposedFactors {
  private let rows, K, M: Int
  private let left: UnsafeMutablePointer<Float>
  private let right: UnsafeMutablePointer<Float>

  /// - Parameter scratch: ⌈rows / 2⌉ · (padded K + padded M) floats.
  init(rows: Int, K: Int, M: Int, in scratch: UnsafeMutablePointer<Float>) {
    (self.rows, self.K, self.M) = (rows, K, M)
    left = scratch
    right = scratch + (rows + 1) / 2 * padded(K)
  }

  private var pairs: Int { (rows + 1) / 2 }

  /// Rounds both.
  ///
  /// - Parameters:
  ///   - leftRows: gets the rows of rounded X; or nil. `rightRows`: those of Y.
  ///   - leftSlopes: where given, gelu(X) takes the place of X, and it gets gelu′(X), rows like those of X;
  ///     then there are no `leftRows`.
  ///   - rightSums: is added the sums of Y over rows; or nil.
  func pack(
    _ x: UnsafePointer<Float>, stride xRow: Int, _ y: UnsafePointer<Float>, stride yRow: Int,
    leftRows: UnsafeMutablePointer<Float>? = nil, leftSlopes: UnsafeMutablePointer<Float>? = nil,
    rightRows: UnsafeMutablePointer<Float>? = nil, rightSums: UnsafeMutablePointer<Float>? = nil,
    helpers: (any Helpers)? = nil
  ) {
    // Rounding an element takes as long as some FLOPs of a product; rounded rows are whole ones.
    let flops = rows * ((leftSlopes == nil ? 32 : 128) * K + 32 * M)
    together(helpers, flops: flops, (K, leftRows == nil ? 64 : max(K, 1)), (1, 1)) { columns in
      let (first, count) = (columns.lowerBound, columns.count)
      let to = left + first * pairs
      if let leftSlopes {
        ott_bf16_gelu_pack(to, leftSlopes + first, x + first, xRow, rows, count)
      } else {
        ott_bf16_pack(to, leftRows, nil, x + first, xRow, rows, count)
      }
    } _: { _ in
      ott_bf16_pack(right, rightRows, rightSums, y, yRow, rows, M)
    }
  }

  /// C = or += Xᵀ·Y for some of its K rows, from a multiple of 64 on.
  func multiply(into c: UnsafeMutablePointer<Float>, _ range: Range<Int>, adding: Bool) {
    for first in stride(from: range.lowerBound, to: range.upperBound, by: 64) {
      let target = c + first * M
      ott_bf16_product(
        target, M, adding ? UnsafePointer(target) : nil, nil, left + first * pairs, 1,
        min(64, padded(K - first)), right, pairs, M, 0, min(64, K - first), pairs, M)
    }
  }
}
