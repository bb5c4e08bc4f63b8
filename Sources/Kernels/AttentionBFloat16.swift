import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One head of causal attention over one segment with bfloat16 factors; softmax and its gradient are
/// in single precision. What the products read and write lies in the rows of qkv, o and their
/// gradients: nothing is gathered but the rounded factors.
///
/// Forward, sixteen queries at a time meet the keys up to the last of them. Backward, 64 keys at a
/// time meet all queries from theirs on, so that dK and dV are one chain over the queries and dQ is
/// summed over blocks of keys. Nothing is computed for whole vectors of keys beyond a query.

/// Keys of a block of the backward pass, and queries that meet them at a time.
private let (keyBlock, queryBlock) = (64, 512)

/// Whether segments of T rows and heads of D columns are worth rounding.
package func roundsAttention(T: Int, D: Int) -> Bool { T >= 32 && D >= 16 }

/// Floats of scratch, forward and backward.
func roundedAttentionScratch(T: Int, D: Int) -> Int {
  let (Tp, Dp, pairs) = (padded(T), padded(D), (D + 1) / 2)
  let forward = T * pairs + pairs * Tp + (T + 1) / 2 * Dp + 16 * (Tp + Tp / 2 + Dp)
  let rows = min(Tp, queryBlock)
  let backward =
    2 * T * pairs + 2 * pairs * Tp + 3 * ((T + 1) / 2) * Dp + 2 * Tp + 3 * rows * keyBlock / 2
  return max(forward, backward)
}

/// - Parameters:
///   - o: rows of the head's output, H·D apart; `lse`: its log-sum-exp, H apart.
///   - q: rows of the head's queries, 3·H·D apart; keys and values follow H·D and 2·H·D later.
func roundedAttention(
  _ o: UnsafeMutablePointer<Float>, _ lse: UnsafeMutablePointer<Float>, _ q: UnsafePointer<Float>,
  _ T: Int, _ H: Int, _ D: Int, _ scratch: UnsafeMutablePointer<Float>
) {
  let (C, Tp, Dp) = (H * D, padded(T), padded(D))
  let (pairs, depth) = ((D + 1) / 2, (T + 1) / 2)
  let scale = 1 / Float(D).squareRoot()
  let queries = scratch
  let keysT = queries + T * pairs
  let values = keysT + pairs * Tp
  let scores = values + depth * Dp
  let p = scores + 16 * Tp
  let out = p + 16 * Tp / 2
  ott_bf16_rows(queries, q, 3 * C, T, D)
  ott_bf16_pack_transposed(keysT, q + C, 3 * C, T, D)
  ott_bf16_pack(values, nil, nil, q + 2 * C, 3 * C, T, D)
  withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { sums in
    guard let tops = sums.baseAddress else { return }
    let totals = tops + 16
    for first in stride(from: 0, to: T, by: 16) {
      let seen = min(first + 16, T)
      let (count, seenPairs) = (seen - first, (seen + 1) / 2)
      ott_bf16_product(
        scores, Tp, nil, nil, queries + first * pairs, pairs, 1, keysT, pairs, T, 0, count, pairs,
        seen)
      ott_bf16_softmax(p, tops, totals, scores, Tp, count, first, scale)
      ott_bf16_product(
        out, Dp, nil, nil, p, seenPairs, 1, values, depth, D, 0, count, seenPairs, D)
      for i in 0..<count {
        lse[(first + i) * H] = tops[i] + logf(totals[i])
        let (from, to) = (out + i * Dp, o + (first + i) * C)
        let inverse = Vector(repeating: 1 / totals[i])
        forEachVector(D) { to.store(from.load($0, $1) * inverse, $0, $1) }
      }
    }
  }
}

/// Gradients of queries, keys and values, as rows like those of `q`, from those of the output.
func roundedAttentionBackward(
  _ dQ: UnsafeMutablePointer<Float>, _ dO: UnsafePointer<Float>, _ o: UnsafePointer<Float>,
  _ lse: UnsafePointer<Float>, _ q: UnsafePointer<Float>, _ T: Int, _ H: Int, _ D: Int,
  _ scratch: UnsafeMutablePointer<Float>
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
  let logSumExp = gradients + depth * Dp
  let dot = logSumExp + Tp
  let p = dot + Tp
  let dS = p + min(Tp, queryBlock) * keyBlock / 2
  let dSRows = dS + min(Tp, queryBlock) * keyBlock / 2
  ott_bf16_pack_transposed(keysT, q + C, 3 * C, T, D)
  ott_bf16_pack_transposed(valuesT, q + 2 * C, 3 * C, T, D)
  ott_bf16_pack(keys, nil, nil, q + C, 3 * C, T, D)
  ott_bf16_pack(queries, queryRows, nil, q, 3 * C, T, D)
  ott_bf16_pack(gradients, gradientRows, nil, dO, C, T, D)
  for row in 0..<T {
    var products = Vector.zero
    forEachVector(D) {
      products.add(product: (dO + row &* C).load($0, $1), (o + row &* C).load($0, $1))
    }
    dot[row] = sum(products)
    logSumExp[row] = lse[row * H]
  }

  /// dK and dV of `count` keys of the block at `key`, from its column `column` on, += or = sums over
  /// `rows` queries from `query` on, whose pairs start `skipped` into those of the block.
  func addKeys(
    _ key: Int, _ column: Int, _ count: Int, query: Int, rows: Int, skipped: Int, isAdding: Bool
  ) {
    let dK = dQ + C + (key + column) * 3 * C
    let old = isAdding ? UnsafePointer(dK) : nil
    let left = column + skipped * keyBlock
    for (to, plus, from, right) in [
      (dK, old, dS, queries), (dK + C, old.map { $0 + C }, p, gradients),
    ] {
      ott_bf16_product(
        to, 3 * C, plus, nil, from + left, 1, keyBlock, right, depth, D, query / 2 + skipped, count,
        (rows + 1) / 2 - skipped, D)
    }
  }

  for key in stride(from: 0, to: T, by: keyBlock) {
    let count = min(keyBlock, T - key)
    for query in stride(from: key, to: T, by: queryBlock) {
      let rows = min(queryBlock, T - query)
      ott_bf16_attention_gradients(
        p, dS, dSRows, queryRows + query * pairs, gradientRows + query * pairs,
        keysT + key * pairs, valuesT + key * pairs, logSumExp + query, dot + query, pairs,
        min(keyBlock, padded(T - key)), rows, query - key, scale)
      if query > key {
        addKeys(key, 0, count, query: query, rows: rows, skipped: 0, isAdding: true)
      }
      let sums = dQ + query * 3 * C
      let old = key > 0 ? UnsafePointer(sums) : nil
      // On the diagonal sixteen keys meet the queries from theirs on, and sixteen queries the keys
      // up to theirs.
      let onDiagonal = query > key ? 0 : count
      for first in stride(from: 0, to: onDiagonal, by: 16) {
        let few = min(16, count - first)
        addKeys(
          key, first, few, query: query, rows: rows, skipped: first / 2, isAdding: false)
        ott_bf16_product(
          sums + first * 3 * C, 3 * C, old.map { $0 + first * 3 * C }, nil,
          dSRows + first * keyBlock / 2, keyBlock / 2, 1, keys, depth, D, key / 2, few,
          (first + few + 1) / 2, D)
      }
      ott_bf16_product(
        sums + onDiagonal * 3 * C, 3 * C, old.map { $0 + onDiagonal * 3 * C }, nil,
        dSRows + onDiagonal * keyBlock / 2, keyBlock / 2, 1, keys, depth, D, key / 2,
        rows - onDiagonal, keyBlock / 2, D)
    }
  }
}
