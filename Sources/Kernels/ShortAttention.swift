#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Causal attention over packed segments of at most eight rows, as f-grams are: what `causalAttention`
/// computes, without transposing or gathering anything. Every score is one product of two rows of D
/// columns. Bit-reproducible: results depend on the segment alone.

/// Rows of the longest segment.
package let longestShortSegment = 8

/// Floats of scratch, forward and backward: two rows of sixteen scores for each row of a segment.
package let shortAttentionScratch = 2 * 16 * longestShortSegment

/// - Parameters: as those of `causalAttention`; scratch has `shortAttentionScratch` floats.
package func shortCausalAttention(
  into o: inout MutableSpan<Float>, logSumExp: inout MutableSpan<Float>, qkv: Span<Float>,
  offsets: Span<Int>, H: Int, D: Int, scratch: inout MutableSpan<Float>
) {
  let (C, N) = (H * D, offsets.count > 0 ? offsets[offsets.count - 1] : 0)
  precondition(
    o.count == N * C && qkv.count == 3 * N * C && logSumExp.count == N * H
      && scratch.count >= shortAttentionScratch,
    "shortCausalAttention: o \(o.count), qkv \(qkv.count), N \(N), H \(H), D \(D)")
  let (target, lse, source, scores) = (o.base, logSumExp.base, qkv.base, scratch.base)
  let scale = 1 / Float(D).squareRoot()
  for segment in 0..<max(0, offsets.count - 1) {
    let (first, T) = (offsets[segment], offsets[segment + 1] - offsets[segment])
    precondition(T <= longestShortSegment, "shortCausalAttention: a segment of \(T) rows")
    for h in 0..<H {
      let q = source + (first * 3 * C + h * D)
      let (k, v) = (q + C, q + 2 * C)
      for i in 0..<T {
        let query = q + i &* 3 &* C
        for j in 0...i { scores[j] = dot(query, k + j &* 3 &* C, D) * scale }
        let row = firstLanes(i &+ 1, of: scores.vector(0), else: -1e30)
        let top = maximum(row)
        let e = firstLanes(
          i &+ 1, of: exponential(row - Vector(repeating: top)), else: 0)
        scores.store(e, 16)
        let total = sum(e)
        lse[(first &+ i) &* H &+ h] = top + logf(total)
        let inverse = Vector(repeating: 1 / total)
        let to = target + ((first &+ i) &* C &+ h &* D)
        forEachVector(D) { index, lanes in
          var result = Vector.zero
          for j in 0...i {
            result.add(
              product: Vector(repeating: scores[16 &+ j]), (v + j &* 3 &* C).load(index, lanes))
          }
          to.store(result * inverse, index, lanes)
        }
      }
    }
  }
}

/// dQKV (N, 3·H·D) from dO (N, H·D); `dQKV` is overwritten and overlaps no input.
package func shortCausalAttentionBackward(
  into dQKV: inout MutableSpan<Float>, _ dO: Span<Float>, o: Span<Float>, logSumExp: Span<Float>,
  qkv: Span<Float>, offsets: Span<Int>, H: Int, D: Int, scratch: inout MutableSpan<Float>
) {
  let (C, N) = (H * D, offsets.count > 0 ? offsets[offsets.count - 1] : 0)
  precondition(
    dQKV.count == 3 * N * C && dO.count == N * C && o.count == N * C && qkv.count == 3 * N * C
      && logSumExp.count == N * H && scratch.count >= shortAttentionScratch,
    "shortCausalAttentionBackward: dQKV \(dQKV.count), dO \(dO.count), N \(N), H \(H), D \(D)")
  let (target, upstream, output) = (dQKV.base, dO.base, o.base)
  let (lse, source, p) = (logSumExp.base, qkv.base, scratch.base)
  let dS = p + 16 * longestShortSegment
  let scale = 1 / Float(D).squareRoot()
  for segment in 0..<max(0, offsets.count - 1) {
    let (first, T) = (offsets[segment], offsets[segment + 1] - offsets[segment])
    precondition(T <= longestShortSegment, "shortCausalAttentionBackward: a segment of \(T) rows")
    for h in 0..<H {
      let q = source + (first * 3 * C + h * D)
      let (k, v) = (q + C, q + 2 * C)
      let up = upstream + (first * C + h * D)
      let to = target + (first * 3 * C + h * D)
      for i in 0..<T {
        let (query, gradient) = (q + i &* 3 &* C, up + i &* C)
        let (pRow, dSRow) = (p + 16 &* i, dS + 16 &* i)
        for j in 0...i {
          pRow[j] = dot(query, k + j &* 3 &* C, D) * scale
          dSRow[j] = dot(gradient, v + j &* 3 &* C, D)
        }
        let own = dot(gradient, output + ((first &+ i) &* C &+ h &* D), D)
        let e = firstLanes(
          i &+ 1,
          of: exponential(pRow.vector(0) - Vector(repeating: lse[(first &+ i) &* H &+ h])), else: 0)
        pRow.store(e, 0)
        dSRow.store(
          firstLanes(i &+ 1, of: e * (dSRow.vector(0) - Vector(repeating: own)), else: 0)
            * Vector(repeating: scale), 0)
      }
      forEachVector(D) { index, lanes in
        for i in 0..<T {
          var (dQ, dK, dV) = (Vector.zero, Vector.zero, Vector.zero)
          for j in 0...i {
            dQ.add(
              product: Vector(repeating: dS[16 &* i &+ j]), (k + j &* 3 &* C).load(index, lanes))
          }
          for j in i..<T {
            dK.add(
              product: Vector(repeating: dS[16 &* j &+ i]), (q + j &* 3 &* C).load(index, lanes))
            dV.add(product: Vector(repeating: p[16 &* j &+ i]), (up + j &* C).load(index, lanes))
          }
          let row = to + i &* 3 &* C
          row.store(dQ, index, lanes)
          (row + C).store(dK, index, lanes)
          (row + 2 &* C).store(dV, index, lanes)
        }
      }
    }
  }
}

/// Σ a·b over `count` columns.
@inline(__always)
private func dot(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int
) -> Float {
  var products = Vector.zero
  forEachVector(count) { products.add(product: a.load($0, $1), b.load($0, $1)) }
  return sum(products)
}
