import CKernels

/// Attention of one new row per sequence over the keys and values of its earlier rows.

/// Floats of one sequence's cache in one layer: keys (padded context / 16, H, D, 16) and values
/// (context, H, padded D), so that a row reads either in one stream, up to its own position.
package func attentionCache(context: Int, H: Int, D: Int) -> Int {
  H * D * padded(context) + H * context * padded(D)
}

/// Floats of scratch for `cachedAttention`: a row of scores and a factor for each head.
package func cachedAttentionScratch(context: Int, H: Int) -> Int { H * padded(context) + H }

/// Attention of one new row per live sequence over its cache, which the row's key and value join.
///
/// All heads of a row go through each of three steps before any goes on to the next, four side by
/// side: each score and each sum of values is one chain that waits for itself, not for the others.
/// Where there are fewer than four, the last is computed more than once. Bit-reproducible: a row's
/// result depends on that row and its cache alone.
///
/// - Parameters:
///   - o: (N, H·D); row n belongs to the sequence in cache slot `slots[n]` at `positions[n]`.
///   - cache: (slots, `attentionCache`), of this layer. Positions before the row's are filled.
package func cachedAttention(
  into o: inout MutableSpan<Float>, cache: inout MutableSpan<Float>, qkv: Span<Float>,
  slots: Span<Int32>, positions: Span<Int32>, context: Int, H: Int, D: Int,
  scratch: inout MutableSpan<Float>
) {
  let (N, C, Dp, Tp) = (slots.count, H * D, padded(D), padded(context))
  let perSlot = attentionCache(context: context, H: H, D: D)
  precondition(
    o.count == N * C && qkv.count == 3 * N * C && positions.count == N
      && scratch.count >= cachedAttentionScratch(context: context, H: H),
    "cachedAttention: o \(o.count), qkv \(qkv.count), N \(N), H \(H), D \(D)")
  let (target, source, caches, scores) = (o.base, qkv.base, cache.base, scratch.base)
  let inverses = scores + H * Tp
  let scale = 1 / Float(D).squareRoot()
  for n in 0..<N {
    let (slot, position) = (Int(slots[n]), Int(positions[n]))
    precondition(
      slot >= 0 && (slot + 1) * perSlot <= cache.count && position >= 0 && position < context,
      "cachedAttention: slot \(slot), position \(position) of \(context)")
    let keys = caches + slot * perSlot
    let values = keys + H * D * Tp
    let (q, to) = (source + n * 3 * C, target + n * C)
    seenScores(scores, row: Tp, q, keys, blocks: position / 16, H: H, D: D, scale: scale)
    joinedScores(
      scores + (position & ~15), row: Tp, q, keys + (position & ~15) * C, lane: position & 15, H: H,
      D: D, scale: scale)
    softmaxRows(
      scores, row: Tp, inverses, block: position & ~15, lanes: (position & 15) &+ 1, H: H)
    for h in 0..<H {
      let newValue = values + (position &* H &+ h) &* Dp
      forEachVector(D) { newValue.store((q + 2 &* C + h &* D).load($0, $1), $0) }
    }
    weightedValues(
      to, scores, row: Tp, inverses, values, seen: position + 1, H: H, D: D)
  }
}

/// scale · q·K of every head for `blocks` blocks of sixteen keys: one chain over d for each.
@inline(__always)
private func seenScores(
  _ scores: UnsafeMutablePointer<Float>, row: Int, _ q: UnsafePointer<Float>,
  _ keys: UnsafePointer<Float>, blocks: Int, H: Int, D: Int, scale: Float
) {
  let (factor, count) = (Vector(repeating: scale), blocks &* H)
  /// The query, the keys and the place of the scores of a block and head.
  @inline(__always)
  func parts(
    _ index: Int
  ) -> (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>) {
    let (block, h) = min(index, count &- 1).quotientAndRemainder(dividingBy: H)
    return (q + h &* D, keys + (block &* H &+ h) &* D &* 16, scores + (h &* row &+ 16 &* block))
  }
  var index = 0
  while index < count {
    let ((q0, k0, to0), (q1, k1, to1)) = (parts(index), parts(index &+ 1))
    let ((q2, k2, to2), (q3, k3, to3)) = (parts(index &+ 2), parts(index &+ 3))
    var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    for d in 0..<D {
      s0 = s0.plus(Vector(repeating: q0[d]), k0.vector(16 &* d))
      s1 = s1.plus(Vector(repeating: q1[d]), k1.vector(16 &* d))
      s2 = s2.plus(Vector(repeating: q2[d]), k2.vector(16 &* d))
      s3 = s3.plus(Vector(repeating: q3[d]), k3.vector(16 &* d))
    }
    to0.store(s0 * factor, 0)
    to1.store(s1 * factor, 0)
    to2.store(s2 * factor, 0)
    to3.store(s3 * factor, 0)
    index &+= 4
  }
}

/// The same for the block whose key number `lane` is the row's own, which is written to the cache.
/// Scores of later keys may be anything finite.
@inline(__always)
private func joinedScores(
  _ scores: UnsafeMutablePointer<Float>, row: Int, _ q: UnsafePointer<Float>,
  _ keys: UnsafeMutablePointer<Float>, lane: Int, H: Int, D: Int, scale: Float
) {
  let (factor, C) = (Vector(repeating: scale), H &* D)
  let place = Int32(truncatingIfNeeded: lane)
  @inline(__always)
  func joined(_ h: Int, _ d: Int) -> Vector {
    let keys = keys + (h &* D &+ d) &* 16
    let value = q[C &+ h &* D &+ d]
    let result = ott_with_lane(keys.vector(0), place, value)
    keys[lane] = value
    return result
  }
  var h0 = 0
  while h0 < H {
    let (h1, h2, h3) = (min(h0 &+ 1, H &- 1), min(h0 &+ 2, H &- 1), min(h0 &+ 3, H &- 1))
    var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    for d in 0..<D {
      s0 = s0.plus(Vector(repeating: q[h0 &* D &+ d]), joined(h0, d))
      s1 = s1.plus(Vector(repeating: q[h1 &* D &+ d]), joined(h1, d))
      s2 = s2.plus(Vector(repeating: q[h2 &* D &+ d]), joined(h2, d))
      s3 = s3.plus(Vector(repeating: q[h3 &* D &+ d]), joined(h3, d))
    }
    scores.store(s0 * factor, h0 &* row)
    scores.store(s1 * factor, h1 &* row)
    scores.store(s2 * factor, h2 &* row)
    scores.store(s3 * factor, h3 &* row)
    h0 &+= 4
  }
}

/// Turns the scores of every head into e^(s − max) for the keys below `block + lanes` and zeros up to
/// `block + 16`; leaves 1 / Σ of each in `inverses`.
@inline(__always)
private func softmaxRows(
  _ scores: UnsafeMutablePointer<Float>, row: Int, _ inverses: UnsafeMutablePointer<Float>,
  block: Int, lanes: Int, H: Int
) {
  var h0 = 0
  while h0 < H {
    let (h1, h2, h3) = (min(h0 &+ 1, H &- 1), min(h0 &+ 2, H &- 1), min(h0 &+ 3, H &- 1))
    let (r0, r1) = (scores + h0 &* row, scores + h1 &* row)
    let (r2, r3) = (scores + h2 &* row, scores + h3 &* row)
    let last0 = firstLanes(lanes, of: r0.vector(block), else: -1e30)
    let last1 = firstLanes(lanes, of: r1.vector(block), else: -1e30)
    let last2 = firstLanes(lanes, of: r2.vector(block), else: -1e30)
    let last3 = firstLanes(lanes, of: r3.vector(block), else: -1e30)
    var (best0, best1, best2, best3) = (last0, last1, last2, last3)
    var index = 0
    while index < block {
      best0 = ott_larger(best0, r0.vector(index))
      best1 = ott_larger(best1, r1.vector(index))
      best2 = ott_larger(best2, r2.vector(index))
      best3 = ott_larger(best3, r3.vector(index))
      index &+= 16
    }
    let (top0, top1) = (Vector(repeating: maximum(best0)), Vector(repeating: maximum(best1)))
    let (top2, top3) = (Vector(repeating: maximum(best2)), Vector(repeating: maximum(best3)))
    var (t0, t1, t2, t3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    index = 0
    while index < block {
      let (e0, e1) = (exponential(r0.vector(index) - top0), exponential(r1.vector(index) - top1))
      let (e2, e3) = (exponential(r2.vector(index) - top2), exponential(r3.vector(index) - top3))
      r0.store(e0, index)
      r1.store(e1, index)
      r2.store(e2, index)
      r3.store(e3, index)
      t0 += e0
      t1 += e1
      t2 += e2
      t3 += e3
      index &+= 16
    }
    let e0 = firstLanes(lanes, of: exponential(last0 - top0), else: 0)
    let e1 = firstLanes(lanes, of: exponential(last1 - top1), else: 0)
    let e2 = firstLanes(lanes, of: exponential(last2 - top2), else: 0)
    let e3 = firstLanes(lanes, of: exponential(last3 - top3), else: 0)
    r0.store(e0, block)
    r1.store(e1, block)
    r2.store(e2, block)
    r3.store(e3, block)
    inverses[h0] = 1 / sum(t0 + e0)
    inverses[h1] = 1 / sum(t1 + e1)
    inverses[h2] = 1 / sum(t2 + e2)
    inverses[h3] = 1 / sum(t3 + e3)
    h0 &+= 4
  }
}

/// o (H, D) = factor · Σ over t of weight · value of every head: one chain over t for each.
@inline(__always)
private func weightedValues(
  _ o: UnsafeMutablePointer<Float>, _ weights: UnsafePointer<Float>, row: Int,
  _ factors: UnsafePointer<Float>, _ values: UnsafePointer<Float>, seen: Int, H: Int, D: Int
) {
  let strips = padded(D) / 16
  let (count, width) = (H &* strips, H &* padded(D))
  var index = 0
  while index < count {
    let (i1, i2, i3) = (
      min(index &+ 1, count &- 1), min(index &+ 2, count &- 1), min(index &+ 3, count &- 1)
    )
    let (w0, w1) = (weights + index / strips &* row, weights + i1 / strips &* row)
    let (w2, w3) = (weights + i2 / strips &* row, weights + i3 / strips &* row)
    var (s0, s1, s2, s3) = (Vector.zero, Vector.zero, Vector.zero, Vector.zero)
    var from = values
    for t in 0..<seen {
      s0 = s0.plus(Vector(repeating: w0[t]), from.vector(16 &* index))
      s1 = s1.plus(Vector(repeating: w1[t]), from.vector(16 &* i1))
      s2 = s2.plus(Vector(repeating: w2[t]), from.vector(16 &* i2))
      s3 = s3.plus(Vector(repeating: w3[t]), from.vector(16 &* i3))
      from += width
    }
    @inline(__always)
    func finish(_ sum: Vector, _ index: Int) {
      let (h, strip) = index.quotientAndRemainder(dividingBy: strips)
      (o + h &* D).store(
        sum * Vector(repeating: factors[h]), 16 &* strip, min(16, D &- 16 &* strip))
    }
    finish(s0, index)
    finish(s1, i1)
    finish(s2, i2)
    finish(s3, i3)
    index &+= 4
  }
}

// MARK: - One position

/// kv (2, H·D) = the key and the value at one position of one sequence's cache in one layer.
package func readCached(
  into kv: inout MutableSpan<Float>, cache: Span<Float>, position: Int, context: Int, H: Int, D: Int
) {
  let (C, places) = (H * D, CachedPosition(position, context: context, H: H, D: D))
  precondition(
    kv.count == 2 * C && cache.count == attentionCache(context: context, H: H, D: D),
    "readCached: kv \(kv.count), cache \(cache.count), H \(H), D \(D)")
  let (target, source) = (kv.base, cache.base)
  for c in 0..<C { target[c] = source[places.key + 16 &* c] }
  for h in 0..<H {
    (target + C + h * D).update(from: source + places.value + h * padded(D), count: D)
  }
}

/// The way back of `readCached`.
package func writeCached(
  into cache: inout MutableSpan<Float>, _ kv: Span<Float>, position: Int, context: Int, H: Int,
  D: Int
) {
  let (C, places) = (H * D, CachedPosition(position, context: context, H: H, D: D))
  precondition(
    kv.count == 2 * C && cache.count == attentionCache(context: context, H: H, D: D),
    "writeCached: kv \(kv.count), cache \(cache.count), H \(H), D \(D)")
  let (target, source) = (cache.base, kv.base)
  for c in 0..<C { target[places.key + 16 &* c] = source[c] }
  for h in 0..<H {
    (target + places.value + h * padded(D)).update(from: source + C + h * D, count: D)
  }
}

/// Where the key and the value of a position begin in a cache; the elements of the key are 16 apart.
private struct CachedPosition {
  let key, value: Int

  init(_ position: Int, context: Int, H: Int, D: Int) {
    precondition(position >= 0 && position < context, "position \(position) of \(context)")
    key = position / 16 * 16 * H * D + position % 16
    value = H * D * padded(context) + position * H * padded(D)
  }
}
