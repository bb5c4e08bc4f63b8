/// Workers that have nothing to do and take part in the loops of a kernel: in one lane, when the others are
/// done or there are too few.
///
/// A kernel shares loops whose parts write different places, and whose bits depend neither on who does
/// them nor on how many parts there are. It cuts its work into more parts than it does alone only when
/// helpers are there.
package protocol Helpers: AnyObject, Sendable {
  /// Workers that would take a part at once; often none.
  var count: Int { get }

  /// Calls `body(part, scratch)` for every part and returns when all are done. `scratch` is nil for those
  /// that the caller does itself, else the helper's own, as large as the caller's.
  func share(
    _ parts: Int, _ body: (_ part: Int, _ scratch: UnsafeMutablePointer<Float>?) -> Void)
}

/// A loop cut into pieces, which begin at multiples of `grain`.
struct Pieces {
  let count: Int
  let size: Int

  /// - Parameters:
  ///   - least: what a piece has at least, a multiple of `grain`.
  ///   - workers: two pieces for each, since one who comes late does fewer.
  init(_ count: Int, grain: Int, least: Int, workers: Int) {
    self.count = count
    let fair = (count + 2 * workers - 1) / (2 * workers)
    size = max(least, (fair + grain - 1) / grain * grain)
  }

  var number: Int { (count + size - 1) / size }

  subscript(piece: Int) -> Range<Int> { piece * size..<min((piece + 1) * size, count) }
}

/// Calls `body` for ranges that make up `0..<count`: for the whole without helpers, else for pieces of at
/// least `least`.
@inline(__always)
func inRanges(
  _ helpers: (any Helpers)?, _ count: Int, grain: Int, least: Int,
  scratch: UnsafeMutablePointer<Float>,
  _ body: (_ range: Range<Int>, _ scratch: UnsafeMutablePointer<Float>) -> Void
) {
  guard let helpers, count >= 2 * least, helpers.count > 0 else { return body(0..<count, scratch) }
  let pieces = Pieces(count, grain: grain, least: least, workers: helpers.count + 1)
  helpers.share(pieces.number) { part, other in body(pieces[part], other ?? scratch) }
}

/// The same for bodies without scratch.
@inline(__always)
func inRanges(
  _ helpers: (any Helpers)?, _ count: Int, grain: Int, least: Int, _ body: (Range<Int>) -> Void
) {
  var none: Float = 0
  inRanges(helpers, count, grain: grain, least: least, scratch: &none) { range, _ in body(range) }
}

/// Two loops at the same time, each in one piece without helpers, else in pieces for all of them.
///
/// - Parameter flops: of both.
@inline(__always)
func together(
  _ helpers: (any Helpers)?, flops: Int, _ first: (count: Int, grain: Int),
  _ second: (count: Int, grain: Int), _ firstBody: (Range<Int>) -> Void,
  _ secondBody: (Range<Int>) -> Void
) {
  guard let helpers, flops >= 2 * leastFLOPs, helpers.count > 0 else {
    firstBody(0..<first.count)
    secondBody(0..<second.count)
    return
  }
  let workers = min(helpers.count + 1, flops / leastFLOPs)
  let pieces = [first, second].map {
    Pieces($0.count, grain: $0.grain, least: $0.grain, workers: workers)
  }
  helpers.share(pieces[0].number + pieces[1].number) { part, _ in
    if part < pieces[0].number {
      firstBody(pieces[0][part])
    } else {
      secondBody(pieces[1][part - pieces[0].number])
    }
  }
}

/// What takes some 20 µs, many times what it costs to hand a part over.
private let leastFLOPs = 1 << 22

/// The least number of units, a multiple of `grain`, that are worth a part of their own.
///
/// - Parameter flops: of a unit.
func worthSharing(flops: Int, grain: Int = 1) -> Int {
  max(1, (leastFLOPs / max(flops, 1) + grain - 1) / grain) * grain
}
