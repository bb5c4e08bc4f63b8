import CKernels
import Support

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Causal multi-head attention over packed segments: rows of one segment attend to the rows of that
/// segment up to themselves, o = softmax(q·Kᵀ/√D)·V per head. Nothing is padded: segments lie end to
/// end, and a row never reads another segment.
///
/// Per (segment, head), K is transposed and Q, V are gathered into scratch; queries go in blocks of
/// 16, so a block's scores are (16, keys so far) and the blocks right of the diagonal are never
/// computed. The backward pass recomputes the scores from the saved log-sum-exp. Bit-reproducible:
/// results depend on the segment alone.

/// Floats of scratch for segments of up to T rows and heads of D columns, forward and backward.
package func attentionScratch(T: Int, D: Int, _ precision: Precision = .float32) -> Int {
  let (Tp, Dp) = (padded(T), padded(D))
  let plain = 2 * D * Tp + 5 * Tp * Dp + 32 * Tp + 16 * Dp
  return precision == .float32 ? plain : max(plain, roundedAttentionScratch(T: T, D: D))
}

/// - Parameters:
///   - o: (N, H·D).
///   - logSumExp: (N, H), for the backward pass.
///   - qkv: (N, 3·H·D): queries, keys, values, each with its heads side by side.
///   - offsets: first row of each segment, and N.
///   - precision: of the products; short segments and narrow heads stay in single precision.
package func causalAttention(
  into o: inout MutableSpan<Float>, logSumExp: inout MutableSpan<Float>, qkv: Span<Float>,
  offsets: Span<Int>, H: Int, D: Int, precision: Precision = .float32,
  helpers: (any Helpers)? = nil, scratch: inout MutableSpan<Float>
) {
  let C = H * D
  let segments = Segments(offsets, D: D, precision, scratch: scratch.count)
  let N = segments.rows
  precondition(
    o.count == N * C && qkv.count == 3 * N * C && logSumExp.count == N * H,
    "causalAttention: o \(o.count), qkv \(qkv.count), N \(N), H \(H), D \(D)")
  let (target, lse, source) = (o.base, logSumExp.base, qkv.base)
  segments.forEachHead(helpers, H: H, D: D, scratch: scratch.base) { first, T, h, scratch in
    let attend =
      precision == .bfloat16 && roundsAttention(T: T, D: D) ? roundedAttention : plainAttention
    attend(
      target + first * C + h * D, lse + first * H + h, source + first * 3 * C + h * D, T, H, D,
      scratch)
  }
}

/// dQKV (N, 3·H·D) from dO (N, H·D); `dQKV` is overwritten and overlaps no input.
package func causalAttentionBackward(
  into dQKV: inout MutableSpan<Float>, _ dO: Span<Float>, o: Span<Float>, logSumExp: Span<Float>,
  qkv: Span<Float>, offsets: Span<Int>, H: Int, D: Int, precision: Precision = .float32,
  helpers: (any Helpers)? = nil, scratch: inout MutableSpan<Float>
) {
  let C = H * D
  let segments = Segments(offsets, D: D, precision, scratch: scratch.count)
  let N = segments.rows
  precondition(
    dQKV.count == 3 * N * C && dO.count == N * C && o.count == N * C && qkv.count == 3 * N * C
      && logSumExp.count == N * H,
    "causalAttentionBackward: dQKV \(dQKV.count), dO \(dO.count), N \(N), H \(H), D \(D)")
  let (target, upstream, output) = (dQKV.base, dO.base, o.base)
  let (lse, source) = (logSumExp.base, qkv.base)
  segments.forEachHead(helpers, H: H, D: D, scratch: scratch.base) { first, T, h, scratch in
    let goBack =
      precision == .bfloat16 && roundsAttention(T: T, D: D)
      ? roundedAttentionBackward : plainAttentionBackward
    goBack(
      target + first * 3 * C + h * D, upstream + first * C + h * D, output + first * C + h * D,
      lse + first * H + h, source + first * 3 * C + h * D, T, H, D, scratch)
  }
}

/// The segments of a call.
private struct Segments {
  private let offsets: UnsafeBufferPointer<Int>

  /// - Precondition: the scratch is enough for the longest.
  init(_ offsets: Span<Int>, D: Int, _ precision: Precision, scratch: Int) {
    self.offsets = offsets.withUnsafeBufferPointer { $0 }
    var longest = 0
    for segment in 0..<count { longest = max(longest, offsets[segment + 1] - offsets[segment]) }
    precondition(
      scratch >= attentionScratch(T: longest, D: D, precision),
      "causalAttention: \(scratch) floats of scratch for T \(longest)")
  }

  private var count: Int { max(0, offsets.count - 1) }

  var rows: Int { offsets.last ?? 0 }

  /// Calls `body` for each head of each segment, which write and read places of their own.
  func forEachHead(
    _ helpers: (any Helpers)?, H: Int, D: Int, scratch: UnsafeMutablePointer<Float>,
    _ body: (
      _ first: Int, _ T: Int, _ h: Int, _ scratch: UnsafeMutablePointer<Float>
    ) -> Void
  ) {
    let length = rows / max(count, 1)
    inRanges(
      helpers, count * H, grain: 1, least: worthSharing(flops: 2 * length * length * D),
      scratch: scratch
    ) { units, scratch in
      for unit in units {
        let (segment, h) = unit.quotientAndRemainder(dividingBy: H)
        let first = offsets[segment]
        body(first, offsets[segment + 1] - first, h, scratch)
      }
    }
  }
}

/// One head over one segment; see `roundedAttention` for its parameters.
private func plainAttention(
  _ o: UnsafeMutablePointer<Float>, _ lse: UnsafeMutablePointer<Float>, _ q: UnsafePointer<Float>,
  _ T: Int, _ H: Int, _ D: Int, _ scratch: UnsafeMutablePointer<Float>
) {
  let (C, Tp, Dp) = (H * D, padded(T), padded(D))
  let scale = 1 / Float(D).squareRoot()
  let keysT = scratch
  let queries = keysT + D * Tp
  let values = queries + Tp * Dp
  let scores = values + Tp * Dp
  let out = scores + 16 * Tp
  gather(queries, q, stride: 3 * C, rows: T, D: D, scale: scale)
  gather(values, q + 2 * C, stride: 3 * C, rows: T, D: D, scale: 1)
  transpose(keysT, targetRow: Tp, q + C, sourceRow: 3 * C, rows: T, columns: D)
  for block in stride(from: 0, to: T, by: 16) {
    let rows = min(16, T - block)
    smallMatmul(
      scores, cRow: Tp, StridedMatrix(queries + block * Dp, row: Dp), keysT, bRow: Tp,
      rows: rows, depth: D, columns: block + 16, adding: false)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { inverses in
      for i in 0..<rows {
        let (top, total) = causalSoftmax(scores + i * Tp, block: block, lanes: i + 1)
        lse[(block + i) * H] = top + logf(total)
        inverses[i] = 1 / total
      }
      smallMatmul(
        out, cRow: Dp, StridedMatrix(scores, row: Tp), values, bRow: Dp, rows: rows,
        depth: block + rows, columns: Dp, adding: false)
      for i in 0..<rows {
        let (from, to) = (out + i * Dp, o + (block + i) * C)
        let inverse = Vector(repeating: inverses[i])
        forEachVector(D) { to.store(from.vector($0) * inverse, $0, $1) }
      }
    }
  }
}

/// The gradients of one head over one segment; see `roundedAttentionBackward` for its parameters.
private func plainAttentionBackward(
  _ target: UnsafeMutablePointer<Float>, _ dO: UnsafePointer<Float>, _ o: UnsafePointer<Float>,
  _ lse: UnsafePointer<Float>, _ q: UnsafePointer<Float>, _ T: Int, _ H: Int, _ D: Int,
  _ scratch: UnsafeMutablePointer<Float>
) {
  let (C, Tp, Dp) = (H * D, padded(T), padded(D))
  let scale = 1 / Float(D).squareRoot()
  let keysT = scratch
  let valuesT = keysT + D * Tp
  let queries = valuesT + D * Tp
  let keys = queries + Tp * Dp
  let gradients = keys + Tp * Dp
  let dK = gradients + Tp * Dp
  let dV = dK + Tp * Dp
  let p = dV + Tp * Dp
  let dS = p + 16 * Tp
  let dQ = dS + 16 * Tp
  gather(queries, q, stride: 3 * C, rows: T, D: D, scale: scale)
  gather(keys, q + C, stride: 3 * C, rows: T, D: D, scale: 1)
  gather(gradients, dO, stride: C, rows: T, D: D, scale: 1)
  transpose(keysT, targetRow: Tp, q + C, sourceRow: 3 * C, rows: T, columns: D)
  transpose(valuesT, targetRow: Tp, q + 2 * C, sourceRow: 3 * C, rows: T, columns: D)
  for block in stride(from: 0, to: T, by: 16) {
    let rows = min(16, T - block)
    let seen = block + rows
    smallMatmul(
      p, cRow: Tp, StridedMatrix(queries + block * Dp, row: Dp), keysT, bRow: Tp, rows: rows,
      depth: D, columns: block + 16, adding: false)
    smallMatmul(
      dS, cRow: Tp, StridedMatrix(gradients + block * Dp, row: Dp), valuesT, bRow: Tp,
      rows: rows, depth: D, columns: block + 16, adding: false)
    for i in 0..<rows {
      let row = block + i
      var products = Vector.zero
      forEachVector(D) {
        products.add(product: (dO + row &* C).load($0, $1), (o + row &* C).load($0, $1))
      }
      softmaxBackward(
        p + i * Tp, dS + i * Tp, logSumExp: lse[row * H], dot: sum(products), block: block,
        lanes: i + 1)
    }
    smallMatmul(
      dQ, cRow: Dp, StridedMatrix(dS, row: Tp), keys, bRow: Dp, rows: rows, depth: seen,
      columns: Dp, adding: false)
    scatter(target + block * 3 * C, dQ, stride: 3 * C, rows: rows, D: D, scale: scale)
    for (old, sums) in [(true, 0..<block), (false, block..<seen)] {
      let count = sums.count
      smallMatmul(
        dK + sums.lowerBound * Dp, cRow: Dp,
        StridedMatrix(dS + sums.lowerBound, row: 1, column: Tp), queries + block * Dp, bRow: Dp,
        rows: count, depth: rows, columns: Dp, adding: old)
      smallMatmul(
        dV + sums.lowerBound * Dp, cRow: Dp,
        StridedMatrix(p + sums.lowerBound, row: 1, column: Tp), gradients + block * Dp, bRow: Dp,
        rows: count, depth: rows, columns: Dp, adding: old)
    }
  }
  scatter(target + C, dK, stride: 3 * C, rows: T, D: D, scale: 1)
  scatter(target + 2 * C, dV, stride: 3 * C, rows: T, D: D, scale: 1)
}

/// Rows of D columns, `stride` apart, times `scale`, into rows of whole vectors with a zero pad.
@inline(__always)
private func gather(
  _ target: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, stride: Int, rows: Int,
  D: Int, scale: Float
) {
  let Dp = padded(D)
  let factor = Vector(repeating: scale)
  for row in 0..<rows {
    let (from, to) = (source + row &* stride, target + row &* Dp)
    forEachVector(D) { to.store(from.load($0, $1) * factor, $0) }
  }
}

/// The way back of `gather`.
@inline(__always)
private func scatter(
  _ target: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, stride: Int, rows: Int,
  D: Int, scale: Float
) {
  let Dp = padded(D)
  let factor = Vector(repeating: scale)
  for row in 0..<rows {
    let (from, to) = (source + row &* Dp, target + row &* stride)
    forEachVector(D) { to.store(from.vector($0) * factor, $0, $1) }
  }
}

/// Turns a row of scores into e^(s − max) for the keys below `block + lanes` and zeros up to
/// `block + 16`; returns max and the sum.
@inline(__always)
private func causalSoftmax(
  _ row: UnsafeMutablePointer<Float>, block: Int, lanes: Int
) -> (Float, Float) {
  let last = firstLanes(lanes, of: row.vector(block), else: -1e30)
  var best = last
  var index = 0
  while index < block {
    best = ott_larger(best, row.vector(index))
    index &+= 16
  }
  let top = maximum(best)
  let shift = Vector(repeating: -top)
  var total = Vector.zero
  index = 0
  while index < block {
    let e = exponential(shift + row.vector(index))
    row.store(e, index)
    total += e
    index &+= 16
  }
  let e = firstLanes(lanes, of: exponential(shift + last), else: 0)
  row.store(e, block)
  return (top, sum(total + e))
}

/// p ← e^(s − lse), dS ← p ∘ (dP − dot) for the keys below `block + lanes`, zeros up to
/// `block + 16`.
@inline(__always)
private func softmaxBackward(
  _ p: UnsafeMutablePointer<Float>, _ dS: UnsafeMutablePointer<Float>, logSumExp: Float, dot: Float,
  block: Int, lanes: Int
) {
  let (shift, delta) = (Vector(repeating: -logSumExp), Vector(repeating: dot))
  var index = 0
  while index < block {
    let e = exponential(shift + p.vector(index))
    p.store(e, index)
    dS.store(e * (dS.vector(index) - delta), index)
    index &+= 16
  }
  let e = firstLanes(lanes, of: exponential(shift + p.vector(block)), else: 0)
  p.store(e, block)
  // Scores right of the diagonal may be anything finite; their e is zero.
  dS.store(e * (dS.vector(block) - delta), block)
}
