import Kernels
import Testing

@Suite struct CachedAttentionTests {
  static let sizes = [(1, 4), (2, 16), (1, 20), (3, 8), (4, 16), (5, 16), (6, 4), (2, 64), (9, 17)]

  /// Caches of a few sequences, and the attention of rows that join them.
  private struct Cache {
    let context, H, D: Int
    var floats: [Float]

    /// - Parameter rest: what the caches hold before anything is written.
    init(slots: Int, context: Int, H: Int, D: Int, rest: Float = 0) {
      (self.context, self.H, self.D) = (context, H, D)
      floats = [Float](
        repeating: rest, count: slots * attentionCache(context: context, H: H, D: D))
    }

    mutating func attend(_ qkv: [Float], slots: [Int], positions: [Int]) -> [Float] {
      var o = [Float](repeating: .nan, count: qkv.count / 3)
      attended(
        into: &o, cache: &floats, qkv, slots: slots.map(Int32.init),
        positions: positions.map(Int32.init), context: context, H: H, D: D)
      return o
    }
  }

  private func row(_ qkv: [Float], _ t: Int, C: Int) -> [Float] {
    Array(qkv[t * 3 * C..<(t + 1) * 3 * C])
  }

  @Test(arguments: sizes, [18, 85])
  func agreesWithTwin(size: (H: Int, D: Int), T: Int) {
    let (H, D, C) = (size.H, size.D, size.H * size.D)
    let qkv = draws(3 * T * C, "qkv")
    let expected = Twin.attention(qkv.doubles, lengths: [T], H: H, D: D)
    var cache = Cache(slots: 3, context: T + 2, H: H, D: D)
    for t in 0..<T {
      let o = cache.attend(row(qkv, t, C: C), slots: [2], positions: [t])
      #expect(error(o, Array(expected[t * C..<(t + 1) * C])) < 1e-5)
    }
  }

  /// Neither the other rows of a call nor what lies behind a position changes a bit.
  @Test(arguments: sizes)
  func rowsDoNotSeeEachOther(size: (H: Int, D: Int)) {
    let (H, D, C, context) = (size.H, size.D, size.H * size.D, 37)
    let lengths = [1, 15, 16, 17, 33, 37]
    let qkv = lengths.indices.map { draws(3 * context * C, "qkv\($0)") }
    let alone = lengths.indices.map { n in
      var cache = Cache(slots: 1, context: context, H: H, D: D)
      return (0..<lengths[n]).map { t in
        cache.attend(row(qkv[n], t, C: C), slots: [0], positions: [t])
      }
    }
    var cache = Cache(slots: 7, context: context, H: H, D: D, rest: 7)
    for t in -5..<context {
      // Sequence n is n positions behind.
      let live = lengths.indices.filter { (0..<lengths[$0]).contains(t - $0 + 5) }
      let positions = live.map { t - $0 + 5 }
      let rows = zip(live, positions).flatMap { row(qkv[$0], $1, C: C) }
      let o = cache.attend(rows, slots: live.map { 6 - $0 }, positions: positions)
      #expect(o == zip(live, positions).flatMap { alone[$0][$1] })
    }
  }

  /// A position that is read from one cache and written to another is there.
  @Test(arguments: sizes)
  func positionsMove(size: (H: Int, D: Int)) {
    let (H, D, C, context) = (size.H, size.D, size.H * size.D, 20)
    let qkv = draws(3 * context * C, "qkv")
    var one = Cache(slots: 1, context: context, H: H, D: D)
    var two = Cache(slots: 1, context: context, H: H, D: D, rest: 3)
    for t in 0..<context - 1 {
      _ = one.attend(row(qkv, t, C: C), slots: [0], positions: [t])
      var kv = [Float](repeating: .nan, count: 2 * C)
      var span = kv.mutableSpan
      var target = two.floats.mutableSpan
      readCached(
        into: &span, cache: one.floats.span, position: t, context: context, H: H, D: D)
      writeCached(into: &target, kv.span, position: t, context: context, H: H, D: D)
      #expect(kv == Array(row(qkv, t, C: C)[C...]))
    }
    let last = row(qkv, context - 1, C: C)
    #expect(
      one.attend(last, slots: [0], positions: [context - 1])
        == two.attend(last, slots: [0], positions: [context - 1]))
  }
}

private func attended(
  into o: inout [Float], cache: inout [Float], _ qkv: [Float], slots: [Int32],
  positions: [Int32], context: Int, H: Int, D: Int
) {
  var scratch = [Float](repeating: .nan, count: cachedAttentionScratch(context: context, H: H))
  var oSpan = o.mutableSpan
  var cacheSpan = cache.mutableSpan
  var scratchSpan = scratch.mutableSpan
  cachedAttention(
    into: &oSpan, cache: &cacheSpan, qkv: qkv.span, slots: slots.span, positions: positions.span,
    context: context, H: H, D: D, scratch: &scratchSpan)
}
