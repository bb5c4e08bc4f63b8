import CVector

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One head of causal attention over one segment with bfloat16 factors. Queries go in blocks of 64,
/// against the keys up to the end of the block; softmax and its gradient are in single precision.
/// What the products read and write lies in the rows of qkv, o and their gradients: nothing is
/// gathered but the rounded factors.

private let block = 64

/// Whether segments of T rows and heads of D columns are worth rounding.
func roundsAttention(T: Int, D: Int) -> Bool { T >= 32 && D >= 16 }

/// Floats of scratch, forward and backward.
func roundedAttentionScratch(T: Int, D: Int) -> Int {
  let (Tp, Dp, pairs) = (padded(T), padded(D), (D + 1) / 2)
  return 2 * T * pairs + 2 * pairs * Tp + 3 * ((T + 1) / 2) * Dp + block
    * (2 * Tp + 3 * Tp / 2 + Dp)
}

/// - Parameters:
///   - o: rows of the head's output, H·D apart; `lse`: its log-sum-exp, H apart.
///   - q: rows of the head's queries, 3·H·D apart; keys and values follow H·D and 2·H·D later.
func roundedAttention(
  _ o: UnsafeMutablePointer<Float>, _ lse: UnsafeMutablePointer<Float>, _ q: UnsafePointer<Float>,
  T: Int, H: Int, D: Int, scratch: UnsafeMutablePointer<Float>
) {
  let (C, Tp, Dp) = (H * D, padded(T), padded(D))
  let (pairs, depth) = ((D + 1) / 2, (T + 1) / 2)
  let scale = 1 / Float(D).squareRoot()
  let queries = scratch
  let keysT = queries + T * pairs
  let values = keysT + pairs * Tp
  let scores = values + depth * Dp
  let p = scores + block * Tp
  let out = p + block * Tp / 2
  ott_bf16_rows(queries, q, 3 * C, T, D)
  ott_bf16_pack_transposed(keysT, q + C, 3 * C, T, D)
  ott_bf16_pack(values, q + 2 * C, 3 * C, T, D)
  for start in stride(from: 0, to: T, by: block) {
    let seen = min(start + block, T)
    let (rows, seenPairs) = (seen - start, (seen + 1) / 2)
    ott_bf16_product(
      scores, Tp, nil, nil, queries + start * pairs, pairs, 1, keysT, pairs, 0, rows, pairs, seen)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { inverses in
      for i in 0..<rows {
        let row = scores + i * Tp
        let diagonal = (start + i) & ~15
        let (top, total) = causalSoftmax(
          row, block: diagonal, lanes: start + i - diagonal + 1, scale: scale)
        clear(row, from: diagonal + 16, to: seen)
        lse[(start + i) * H] = top + logf(total)
        inverses[i] = 1 / total
      }
      ott_bf16_rows(p, scores, Tp, rows, seen)
      ott_bf16_product(
        out, Dp, nil, nil, p, seenPairs, 1, values, depth, 0, rows, seenPairs, D)
      for i in 0..<rows {
        let (from, to) = (out + i * Dp, o + (start + i) * C)
        let inverse = Vector(repeating: inverses[i])
        forEachVector(D) { to.store(from.load($0, $1) * inverse, $0, $1) }
      }
    }
  }
}

/// Gradients of queries, keys and values, as rows like those of `q`, from those of the output.
func roundedAttentionBackward(
  _ dQ: UnsafeMutablePointer<Float>, _ dO: UnsafePointer<Float>, _ o: UnsafePointer<Float>,
  _ lse: UnsafePointer<Float>, _ q: UnsafePointer<Float>, T: Int, H: Int, D: Int,
  scratch: UnsafeMutablePointer<Float>
) {
  let (C, Tp, Dp) = (H * D, padded(T), padded(D))
  let (pairs, depth) = ((D + 1) / 2, (T + 1) / 2)
  let scale = 1 / Float(D).squareRoot()
  let queryRows = scratch
  let gradientRows = queryRows + T * pairs
  let keysT = gradientRows + T * pairs
  let valuesT = keysT + pairs * Tp
  let keys = valuesT + pairs * Tp
  let queries = keys + depth * Dp
  let gradients = queries + depth * Dp
  let p = gradients + depth * Dp
  let dS = p + block * Tp
  let packedP = dS + block * Tp
  let packedDS = packedP + block * Tp / 2
  let rowsDS = packedDS + block * Tp / 2
  ott_bf16_rows(queryRows, q, 3 * C, T, D)
  ott_bf16_rows(gradientRows, dO, C, T, D)
  ott_bf16_pack_transposed(keysT, q + C, 3 * C, T, D)
  ott_bf16_pack_transposed(valuesT, q + 2 * C, 3 * C, T, D)
  ott_bf16_pack(keys, q + C, 3 * C, T, D)
  ott_bf16_pack(queries, q, 3 * C, T, D)
  ott_bf16_pack(gradients, dO, C, T, D)
  for start in stride(from: 0, to: T, by: block) {
    let seen = min(start + block, T)
    let (rows, rowPairs, seenPairs) = (seen - start, (seen - start + 1) / 2, (seen + 1) / 2)
    ott_bf16_product(
      p, Tp, nil, nil, queryRows + start * pairs, pairs, 1, keysT, pairs, 0, rows, pairs, seen)
    ott_bf16_product(
      dS, Tp, nil, nil, gradientRows + start * pairs, pairs, 1, valuesT, pairs, 0, rows, pairs,
      seen)
    for i in 0..<rows {
      let row = start + i
      let diagonal = row & ~15
      var products = Vector.zero
      forEachVector(D) {
        products.add(product: (dO + row &* C).load($0, $1), (o + row &* C).load($0, $1))
      }
      softmaxBackward(
        p + i * Tp, dS + i * Tp, logSumExp: lse[row * H], dot: sum(products), block: diagonal,
        lanes: row - diagonal + 1, scale: scale)
      clear(p + i * Tp, from: diagonal + 16, to: seen)
      clear(dS + i * Tp, from: diagonal + 16, to: seen)
    }
    ott_bf16_rows(rowsDS, dS, Tp, rows, seen)
    ott_bf16_pack(packedDS, dS, Tp, rows, seen)
    ott_bf16_pack(packedP, p, Tp, rows, seen)
    ott_bf16_product(
      dQ + start * 3 * C, 3 * C, nil, nil, rowsDS, seenPairs, 1, keys, depth, 0, rows, seenPairs, D)
    for first in stride(from: 0, to: seen, by: 64) {
      let (count, width) = (min(64, seen - first), min(64, padded(seen - first)))
      let dK = dQ + C + first * 3 * C
      let dV = dK + C
      let isOld = first < start
      ott_bf16_product(
        dK, 3 * C, isOld ? UnsafePointer(dK) : nil, nil, packedDS + first * rowPairs, 1, width,
        queries, depth, start / 2, count, rowPairs, D)
      ott_bf16_product(
        dV, 3 * C, isOld ? UnsafePointer(dV) : nil, nil, packedP + first * rowPairs, 1, width,
        gradients, depth, start / 2, count, rowPairs, D)
    }
  }
}

/// Zeros in whole vectors of a row: `start` is a multiple of 16.
@inline(__always)
private func clear(_ row: UnsafeMutablePointer<Float>, from start: Int, to end: Int) {
  var index = start
  while index < end {
    row.store(.zero, index)
    index &+= 16
  }
}
