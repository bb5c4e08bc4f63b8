/// Vectors of a row in registers: weights, first and second moments, side by side so that their
/// chains of operations overlap.
private protocol RowVectors {
  static var vectors: Int { get }
  init(_ p: UnsafePointer<Float>, _ m: UnsafePointer<Float>, _ v: UnsafePointer<Float>)
  func store(
    _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
    _ v: UnsafeMutablePointer<Float>)
  /// One step of AdamW with gradient 0: the operations of `adamW` that are left of it.
  mutating func step(_ c: ReplayConstants, keep: Vector, step: Vector, correction: Vector)
  /// The same without the update of p by m.
  mutating func decayMoments(_ c: ReplayConstants)
  mutating func decaySecondMoment(_ c: ReplayConstants)
  mutating func decayWeights(_ keep: Vector)
  func isSettled(_ bounds: SettledBounds) -> Bool
  func hasFirstMoment(of other: Self) -> Bool
  func hasSecondMoment(of other: Self) -> Bool
}

private struct ReplayConstants {
  let negativeGain1: Vector
  let beta2: Vector
  let epsilon: Vector
}

private struct One: RowVectors {
  var p: Vector
  var m: Vector
  var v: Vector

  static var vectors: Int { 1 }

  @inline(__always)
  init(_ p: UnsafePointer<Float>, _ m: UnsafePointer<Float>, _ v: UnsafePointer<Float>) {
    self.init(p: p.vector(0), m: m.vector(0), v: v.vector(0))
  }

  @inline(__always)
  init(p: Vector, m: Vector, v: Vector) {
    self.p = p
    self.m = m
    self.v = v
  }

  @inline(__always)
  func store(
    _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
    _ v: UnsafeMutablePointer<Float>
  ) {
    p.store(self.p, 0)
    m.store(self.m, 0)
    v.store(self.v, 0)
  }

  @inline(__always)
  mutating func step(_ c: ReplayConstants, keep: Vector, step: Vector, correction: Vector) {
    decayMoments(c)
    let denominator = c.epsilon.plus(squareRoot(v), correction)
    p = (p * keep).plus(m / denominator, step)
  }

  @inline(__always)
  mutating func decayMoments(_ c: ReplayConstants) {
    // m + (0 − m)·gain: −gain·m has the bits of (0 − m)·gain, zeros included.
    m = m.plus(m, c.negativeGain1)
    v = v * c.beta2
  }

  @inline(__always)
  mutating func decaySecondMoment(_ c: ReplayConstants) { v = v * c.beta2 }

  @inline(__always)
  mutating func decayWeights(_ keep: Vector) { p = p * keep }

  @inline(__always)
  func isSettled(_ bounds: SettledBounds) -> Bool { bounds.settles(p: p, m: m, v: v) }

  @inline(__always)
  func hasFirstMoment(of other: Self) -> Bool { all(m .== other.m) }

  @inline(__always)
  func hasSecondMoment(of other: Self) -> Bool { all(v .== other.v) }
}

/// Two halves of as many vectors each.
private struct Two<Half: RowVectors>: RowVectors {
  var a: Half
  var b: Half

  static var vectors: Int { 2 * Half.vectors }

  @inline(__always)
  init(_ p: UnsafePointer<Float>, _ m: UnsafePointer<Float>, _ v: UnsafePointer<Float>) {
    let next = 16 * Half.vectors
    a = Half(p, m, v)
    b = Half(p + next, m + next, v + next)
  }

  @inline(__always)
  func store(
    _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
    _ v: UnsafeMutablePointer<Float>
  ) {
    let next = 16 * Half.vectors
    a.store(p, m, v)
    b.store(p + next, m + next, v + next)
  }

  @inline(__always)
  mutating func step(_ c: ReplayConstants, keep: Vector, step: Vector, correction: Vector) {
    a.step(c, keep: keep, step: step, correction: correction)
    b.step(c, keep: keep, step: step, correction: correction)
  }

  @inline(__always)
  mutating func decayMoments(_ c: ReplayConstants) {
    a.decayMoments(c)
    b.decayMoments(c)
  }

  @inline(__always)
  mutating func decaySecondMoment(_ c: ReplayConstants) {
    a.decaySecondMoment(c)
    b.decaySecondMoment(c)
  }

  @inline(__always)
  mutating func decayWeights(_ keep: Vector) {
    a.decayWeights(keep)
    b.decayWeights(keep)
  }

  @inline(__always)
  func isSettled(_ bounds: SettledBounds) -> Bool { a.isSettled(bounds) && b.isSettled(bounds) }

  @inline(__always)
  func hasFirstMoment(of other: Self) -> Bool {
    a.hasFirstMoment(of: other.a) && b.hasFirstMoment(of: other.b)
  }

  @inline(__always)
  func hasSecondMoment(of other: Self) -> Bool {
    a.hasSecondMoment(of: other.a) && b.hasSecondMoment(of: other.b)
  }
}

@inline(__always)
private func magnitude(_ x: Vector) -> Vector {
  unsafeBitCast(
    unsafeBitCast(x, to: SIMD16<Int32>.self) & SIMD16(repeating: 0x7FFF_FFFF), to: Vector.self)
}

/// What `replay` is to bring up to date.
package enum ReplayScope: Sendable {
  /// Weights and moments: the row goes on from here.
  case state
  /// Weights only; the moments are left in an undefined state.
  case weights
}

/// Brings one row from the end of step `step` to the end of the last step of `history`, in all of
/// which its gradient was 0: weights p and moments m, v get the bits that `adamW` gives them.
///
/// Every step is replayed in order with the operations of `adamW`; what is left out cannot change a
/// bit. The update of p ends when `SettledBounds` says that every later one is rounded away, usually
/// after some 25·ln 2/−ln(β₁/√β₂) ≈ 180 steps at β = 0.9, 0.98; m and v end when a step leaves
/// their bits as they are. Neither reaches 0: in the arithmetic of IEEE 754 both stick at a
/// subnormal number (k·2⁻¹⁴⁹ with k(1 − β) ≤ ½), in the dense kernel as here, since nobody sets
/// flush-to-zero. v gets there after a few thousand steps; until then a step costs a multiplication
/// a vector. A decay of weights is replayed for every step.
///
/// - Parameters: `p`, `m`, `v`: (width) of one row.
package func replay(
  _ p: inout MutableSpan<Float>, m: inout MutableSpan<Float>, v: inout MutableSpan<Float>,
  after step: Int, _ history: borrowing AdamWHistory, scope: ReplayScope = .state
) {
  precondition(
    m.count == p.count && v.count == p.count && step <= history.count,
    "replay: \(p.count) weights, moments \(m.count), \(v.count), step \(step) of \(history.count)")
  replay(p.base, m.base, v.base, count: p.count, after: step, history, scope: scope)
}

func replay(
  _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
  _ v: UnsafeMutablePointer<Float>, count: Int, after step: Int, _ history: borrowing AdamWHistory,
  scope: ReplayScope
) {
  if step == history.count { return }
  var index = 0
  while index + 64 <= count {
    replay(Two<Two<One>>.self, p + index, m + index, v + index, after: step, history, scope)
    index += 64
  }
  if index + 32 <= count {
    replay(Two<One>.self, p + index, m + index, v + index, after: step, history, scope)
    index += 32
  }
  if index + 16 <= count {
    replay(One.self, p + index, m + index, v + index, after: step, history, scope)
    index += 16
  }
  if index < count {
    let lanes = count - index
    var vectors = One(
      p: p.load(index, lanes), m: m.load(index, lanes), v: v.load(index, lanes))
    replay(&vectors, after: step, history, scope)
    p.store(vectors.p, index, lanes)
    m.store(vectors.m, index, lanes)
    v.store(vectors.v, index, lanes)
  }
}

@inline(__always)
private func replay<V: RowVectors>(
  _ type: V.Type, _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
  _ v: UnsafeMutablePointer<Float>, after step: Int, _ history: borrowing AdamWHistory,
  _ scope: ReplayScope
) {
  var vectors = V(p, m, v)
  replay(&vectors, after: step, history, scope)
  vectors.store(p, m, v)
}

/// Steps between two looks at whether anything can still change.
private let replayChunk = 16

@inline(__always)
private func replay<V: RowVectors>(
  _ row: inout V, after step: Int, _ history: borrowing AdamWHistory, _ scope: ReplayScope
) {
  let end = history.count
  let constants = ReplayConstants(
    negativeGain1: Vector(repeating: -(1 - history.beta1)),
    beta2: Vector(repeating: history.beta2), epsilon: Vector(repeating: history.epsilon))
  history.keep.withUnsafeBufferPointer { keep in
    history.negativeStep.withUnsafeBufferPointer { steps in
      history.correction.withUnsafeBufferPointer { corrections in
        var t = step
        while t < end {
          let stop = min(t &+ replayChunk, end)
          while t < stop {
            row.step(
              constants, keep: Vector(repeating: keep[t]), step: Vector(repeating: steps[t]),
              correction: Vector(repeating: corrections[t]))
            t &+= 1
          }
          if t < end && row.isSettled(history.bounds(after: t)) { break }
        }
        if t < end && history.decays(after: t) {
          for s in t..<end { row.decayWeights(Vector(repeating: keep[s])) }
        }
        if scope == .state { decayMoments(&row, constants, steps: end - t) }
      }
    }
  }
}

/// The moments after `steps` more steps with gradient 0.
@inline(__always)
private func decayMoments<V: RowVectors>(_ row: inout V, _ constants: ReplayConstants, steps: Int) {
  var rest = steps
  while rest > 0 {
    let before = row
    let chunk = min(rest, 2 * replayChunk)
    for _ in 0..<chunk { row.decayMoments(constants) }
    rest &-= chunk
    if row.hasFirstMoment(of: before) { break }
  }
  while rest > 0 {
    let before = row
    let chunk = min(rest, 2 * replayChunk)
    for _ in 0..<chunk { row.decaySecondMoment(constants) }
    rest &-= chunk
    if row.hasSecondMoment(of: before) { break }
  }
}
