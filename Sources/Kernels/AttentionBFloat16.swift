import CVector

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One head of causal attention over one segment with bfloat16 factors. Queries go by sixteen against
/// the keys up to the last of them, and by 64 into the sums over queries of the backward pass; softmax
/// and its gradient are in single precision. What the products read and write lies in the rows of qkv, o and their gradients: nothing is
/// gathered but the rounded factors.

private let block = 64

/// Whether segments of T rows and heads of D columns are worth rounding.
package func roundsAttention(T: Int, D: Int) -> Bool { T >= 32 && D >= 16 }

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
  ott_bf16_pack(values, nil, nil, q + 2 * C, 3 * C, T, D)
  withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { inverses in
    for first in stride(from: 0, to: T, by: 16) {
      let seen = min(first + 16, T)
      let (count, seenPairs) = (seen - first, (seen + 1) / 2)
      ott_bf16_product(
        scores, Tp, nil, nil, queries + first * pairs, pairs, 1, keysT, pairs, T, 0, count, pairs,
        seen)
      for i in 0..<count {
        let (top, total) = causalSoftmax(
          scores + i * Tp, block: first, lanes: i + 1, scale: scale)
        lse[(first + i) * H] = top + logf(total)
        inverses[i] = 1 / total
      }
      ott_bf16_rows(p, scores, Tp, count, seen)
      ott_bf16_product(
        out, Dp, nil, nil, p, seenPairs, 1, values, depth, D, 0, count, seenPairs, D)
      for i in 0..<count {
        let (from, to) = (out + i * Dp, o + (first + i) * C)
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
  ott_bf16_pack_transposed(keysT, q + C, 3 * C, T, D)
  ott_bf16_pack_transposed(valuesT, q + 2 * C, 3 * C, T, D)
  ott_bf16_pack(keys, nil, nil, q + C, 3 * C, T, D)
  ott_bf16_pack(queries, queryRows, nil, q, 3 * C, T, D)
  ott_bf16_pack(gradients, gradientRows, nil, dO, C, T, D)
  for start in stride(from: 0, to: T, by: block) {
    let seen = min(start + block, T)
    let (rows, rowPairs, seenPairs) = (seen - start, (seen - start + 1) / 2, (seen + 1) / 2)
    for first in stride(from: start, to: seen, by: 16) {
      let end = min(first + 16, T)
      let (pRows, dSRows) = (p + (first - start) * Tp, dS + (first - start) * Tp)
      ott_bf16_product(
        pRows, Tp, nil, nil, queryRows + first * pairs, pairs, 1, keysT, pairs, T, 0, end - first,
        pairs, end)
      ott_bf16_product(
        dSRows, Tp, nil, nil, gradientRows + first * pairs, pairs, 1, valuesT, pairs, T, 0,
        end - first, pairs, end)
      for row in first..<end {
        var products = Vector.zero
        forEachVector(D) {
          products.add(product: (dO + row &* C).load($0, $1), (o + row &* C).load($0, $1))
        }
        let i = row - first
        softmaxBackward(
          pRows + i * Tp, dSRows + i * Tp, logSumExp: lse[row * H], dot: sum(products),
          block: first, lanes: i + 1, scale: scale)
        clear(pRows + i * Tp, from: first + 16, to: seen)
        clear(dSRows + i * Tp, from: first + 16, to: seen)
      }
    }
    ott_bf16_pack(packedDS, rowsDS, nil, dS, Tp, rows, seen)
    ott_bf16_pack(packedP, nil, nil, p, Tp, rows, seen)
    for first in stride(from: start, to: seen, by: 16) {
      let end = min(first + 16, T)
      ott_bf16_product(
        dQ + first * 3 * C, 3 * C, nil, nil, rowsDS + (first - start) * seenPairs, seenPairs, 1,
        keys, depth, D, 0, end - first, (end + 1) / 2, D)
    }
    for first in stride(from: 0, to: seen, by: 64) {
      let (count, width) = (min(64, seen - first), min(64, padded(seen - first)))
      let dK = dQ + C + first * 3 * C
      let dV = dK + C
      let isOld = first < start
      ott_bf16_product(
        dK, 3 * C, isOld ? UnsafePointer(dK) : nil, nil, packedDS + first * rowPairs, 1, width,
        queries, depth, D, start / 2, count, rowPairs, D)
      ott_bf16_product(
        dV, 3 * C, isOld ? UnsafePointer(dV) : nil, nil, packedP + first * rowPairs, 1, width,
        gradients, depth, D, start / 2, count, rowPairs, D)
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
