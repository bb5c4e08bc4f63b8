#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Rotary position embedding (Su et al. 2021) in the arrangement of Hugging Face's `rotate_half`:
/// in each head of D columns, column i < D/2 and column i + D/2 turn together by the angle
/// position · θ^(−2i/D).

/// (positions, D): the cosines of a position's D/2 angles, then their sines, computed in Double.
///
/// - Precondition: D is even.
package func rotations(positions: Int, D: Int, theta: Double) -> [Float] {
  precondition(D % 2 == 0, "rotations: heads of \(D) columns")
  let half = D / 2
  let frequencies = (0..<half).map { pow(theta, -2 * Double($0) / Double(D)) }
  var table = [Float](repeating: 0, count: positions * D)
  for position in 0..<positions {
    for i in 0..<half {
      let angle = Double(position) * frequencies[i]
      table[position * D + i] = Float(cos(angle))
      table[position * D + half + i] = Float(sin(angle))
    }
  }
  return table
}

/// Turns the heads of queries and keys and lays them beside the values, as attention reads them.
///
/// - Parameters:
///   - qkv: (N, 3·H·D), overlaps no input.
///   - q, k, v: (N, H·D) each.
///   - rotations: (positions, D), see `rotations(positions:D:theta:)`.
///   - positions: (N), each below the rows of `rotations`.
package func rotaryQKV(
  into qkv: inout MutableSpan<Float>, q: Span<Float>, k: Span<Float>, v: Span<Float>,
  rotations: Span<Float>, positions: Span<Int32>, H: Int, D: Int
) {
  let (N, C) = (positions.count, H * D)
  precondition(
    qkv.count == 3 * N * C && q.count == N * C && k.count == N * C && v.count == N * C
      && D % 2 == 0,
    "rotaryQKV: qkv \(qkv.count), q \(q.count), k \(k.count), v \(v.count) for N \(N), H \(H), D \(D)"
  )
  let (target, table) = (qkv.base, rotations.base)
  let (queries, keys, values) = (q.base, k.base, v.base)
  for n in 0..<N {
    let to = target + n &* 3 &* C
    let turn = table + tableRow(positions[n], D: D, count: rotations.count)
    rotate(to, queries + n &* C, by: turn, H: H, D: D, backwards: false)
    rotate(to + C, keys + n &* C, by: turn, H: H, D: D, backwards: false)
    (to + 2 &* C).update(from: values + n &* C, count: C)
  }
}

/// dQ, dK and dV from dQKV: the heads turned back. All three are overwritten and overlap no input.
package func rotaryQKVBackward(
  dQ: inout MutableSpan<Float>, dK: inout MutableSpan<Float>, dV: inout MutableSpan<Float>,
  _ dQKV: Span<Float>, rotations: Span<Float>, positions: Span<Int32>, H: Int, D: Int
) {
  let (N, C) = (positions.count, H * D)
  precondition(
    dQKV.count == 3 * N * C && dQ.count == N * C && dK.count == N * C && dV.count == N * C
      && D % 2 == 0,
    "rotaryQKVBackward: dQKV \(dQKV.count), dQ \(dQ.count) for N \(N), H \(H), D \(D)")
  let (source, table) = (dQKV.base, rotations.base)
  let (queries, keys, values) = (dQ.base, dK.base, dV.base)
  for n in 0..<N {
    let from = source + n &* 3 &* C
    let turn = table + tableRow(positions[n], D: D, count: rotations.count)
    rotate(queries + n &* C, from, by: turn, H: H, D: D, backwards: true)
    rotate(keys + n &* C, from + C, by: turn, H: H, D: D, backwards: true)
    (values + n &* C).update(from: from + 2 &* C, count: C)
  }
}

/// The first float of a position's row.
@inline(__always)
private func tableRow(_ position: Int32, D: Int, count: Int) -> Int {
  let first = Int(position) * D
  precondition(
    first >= 0 && first + D <= count, "rotary: position \(position) of \(count / max(D, 1))")
  return first
}

/// One row of H heads: (a, b) → (a·cos − b·sin, b·cos + a·sin), or the inverse turn.
@inline(__always)
private func rotate(
  _ to: UnsafeMutablePointer<Float>, _ from: UnsafePointer<Float>, by turn: UnsafePointer<Float>,
  H: Int, D: Int, backwards: Bool
) {
  let half = D / 2
  for head in 0..<H {
    let (source, target) = (from + head &* D, to + head &* D)
    forEachVector(half) { index, lanes in
      let cosine = turn.load(index, lanes)
      let rising = (turn + half).load(index, lanes)
      let sine = backwards ? -rising : rising
      let (a, b) = (source.load(index, lanes), (source + half).load(index, lanes))
      target.store((a * cosine).plus(-b, sine), index, lanes)
      (target + half).store((b * cosine).plus(a, sine), index, lanes)
    }
  }
}
