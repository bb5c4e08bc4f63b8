/// One AdamW step of a row with a single second moment v[0]:
///
///     g ← scale·g;  p ← p(1 − lr·wd);  m ← m + (g − m)(1 − β₁);  v ← β₂v + (1 − β₂)·mean(g²)
///     p ← p − m · (lr/(1 − β₁^t) / (√v/√(1 − β₂^t) + ε))
func adamWRowwise(
  _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
  _ v: UnsafeMutablePointer<Float>, _ g: UnsafePointer<Float>, count: Int, _ scalars: AdamWScalars
) {
  let scale = Vector(repeating: scalars.gradientScale)
  var squares = Vector.zero
  forEachVector(count) { index, lanes in
    let gradient = g.load(index, lanes) * scale
    squares.add(product: gradient, gradient)
  }
  v[0] = v[0] * scalars.beta2 + (sum(squares) / Float(count)) * (1 - scalars.beta2)
  let step = Vector(
    repeating: rowwiseStep(v[0], -scalars.stepSize, scalars.inverseRootCorrection, scalars.epsilon))
  let keep = Vector(repeating: scalars.keep)
  let gain1 = Vector(repeating: 1 - scalars.beta1)
  forEachVector(count) { index, lanes in
    let m0 = m.load(index, lanes)
    let m1 = m0.plus(g.load(index, lanes) * scale - m0, gain1)
    m.store(m1, index, lanes)
    p.store((p.load(index, lanes) * keep).plus(m1, step), index, lanes)
  }
}

@inline(__always)
private func rowwiseStep(
  _ v: Float, _ negativeStep: Float, _ correction: Float, _ epsilon: Float
) -> Float {
  negativeStep / (v.squareRoot() * correction + epsilon)
}

/// `replay` for a row with a single second moment v[0], with the operations of `adamWRowwise`.
func replayRowwise(
  _ p: UnsafeMutablePointer<Float>, _ m: UnsafeMutablePointer<Float>,
  _ v: UnsafeMutablePointer<Float>, count: Int, after step: Int, _ history: borrowing AdamWHistory,
  scope: ReplayScope
) {
  let end = history.count
  let gain1 = 1 - history.beta1
  let negativeGain1 = Vector(repeating: -gain1)
  var second = v[0]
  var t = step
  while t < end {
    let keep = Vector(repeating: history.keep[t])
    second *= history.beta2
    let step = Vector(
      repeating: rowwiseStep(
        second, history.negativeStep[t], history.correction[t], history.epsilon))
    forEachVector(count) { index, lanes in
      let m0 = m.load(index, lanes)
      let m1 = m0.plus(m0, negativeGain1)
      m.store(m1, index, lanes)
      p.store((p.load(index, lanes) * keep).plus(m1, step), index, lanes)
    }
    t &+= 1
    if t & 15 == 0 && t < end {
      let bounds = history.bounds(after: t)
      var settled = true
      forEachVector(count) { index, lanes in
        settled =
          settled
          && bounds.settles(
            p: p.load(index, lanes), m: m.load(index, lanes), v: Vector(repeating: second))
      }
      if settled { break }
    }
  }
  if t < end && history.decays(after: t) {
    for s in t..<end {
      let keep = Vector(repeating: history.keep[s])
      forEachVector(count) { p.store(p.load($0, $1) * keep, $0, $1) }
    }
  }
  if scope == .weights { return }
  forEachVector(count) { index, lanes in
    var (value, rest) = (m.load(index, lanes), end - t)
    while rest > 0 {
      let before = value
      value = value.plus(value, negativeGain1)
      if all(value .== before) { break }
      rest &-= 1
    }
    m.store(value, index, lanes)
  }
  for _ in t..<end {
    let next = second * history.beta2
    if next == second { break }
    second = next
  }
  v[0] = second
}
