/// The scalars of one AdamW step for one group of weights, ready for the inner loop.
package struct AdamWScalars: Sendable, Equatable {
  /// Multiplies each gradient: 1, or the clipping scale.
  package var gradientScale: Float
  /// 1 − learning rate · weight decay.
  package var keep: Float
  package var beta1: Float
  package var beta2: Float
  /// Learning rate / (1 − β₁^t).
  package var stepSize: Float
  /// 1 / √(1 − β₂^t).
  package var inverseRootCorrection: Float
  package var epsilon: Float

  /// For step t = `step` (the first is 1); powers and corrections in Double.
  package init(
    step: Int, learningRate: Double, beta1: Double, beta2: Double, epsilon: Double,
    weightDecay: Double, gradientScale: Double
  ) {
    precondition(step >= 1, "AdamW: steps are counted from 1, got \(step)")
    self.gradientScale = Float(gradientScale)
    keep = Float(1 - learningRate * weightDecay)
    self.beta1 = Float(beta1)
    self.beta2 = Float(beta2)
    stepSize = Float(learningRate / (1 - power(beta1, step)))
    inverseRootCorrection = Float(1 / (1 - power(beta2, step)).squareRoot())
    self.epsilon = Float(epsilon)
  }
}

/// base^exponent by squaring.
package func power(_ base: Double, _ exponent: Int) -> Double {
  var (result, square, rest) = (1.0, base, exponent)
  while rest > 0 {
    if rest & 1 == 1 { result *= square }
    square *= square
    rest >>= 1
  }
  return result
}

/// One AdamW step with decoupled decay (Loshchilov and Hutter 2019, as torch.optim.AdamW):
///
///     g ← scale·g;  p ← p(1 − lr·wd);  m ← m + (g − m)(1 − β₁);  v ← β₂v + (1 − β₂)g²
///     p ← p − lr/(1 − β₁^t) · m / (√v/√(1 − β₂^t) + ε)
///
/// Element by element, one pass over weights, gradients and both moments.
package func adamW(
  _ weights: inout MutableSpan<Float>, m: inout MutableSpan<Float>, v: inout MutableSpan<Float>,
  _ gradients: Span<Float>, _ scalars: AdamWScalars
) {
  let count = weights.count
  precondition(
    m.count == count && v.count == count && gradients.count == count,
    "adamW: \(count) weights, \(gradients.count) gradients, moments \(m.count), \(v.count)")
  let (p, first, second, gradient) = (weights.base, m.base, v.base, gradients.base)
  let constants = AdamWVectors(scalars)
  @inline(__always)
  func update(_ index: Int, _ lanes: Int) {
    var (p1, m1, v1) = (p.load(index, lanes), first.load(index, lanes), second.load(index, lanes))
    constants.update(&p1, m: &m1, v: &v1, gradient.load(index, lanes))
    first.store(m1, index, lanes)
    second.store(v1, index, lanes)
    p.store(p1, index, lanes)
  }
  for index in stride(from: 0, to: count & ~15, by: 16) { update(index, 16) }
  if count & 15 != 0 { update(count & ~15, count & 15) }
}

/// The scalars of a step in every lane.
struct AdamWVectors {
  private let scale, keep, gain1, beta2, gain2, step, correction, epsilon: Vector

  @inline(__always)
  init(_ scalars: AdamWScalars) {
    scale = Vector(repeating: scalars.gradientScale)
    keep = Vector(repeating: scalars.keep)
    gain1 = Vector(repeating: 1 - scalars.beta1)
    beta2 = Vector(repeating: scalars.beta2)
    gain2 = Vector(repeating: 1 - scalars.beta2)
    step = Vector(repeating: -scalars.stepSize)
    correction = Vector(repeating: scalars.inverseRootCorrection)
    epsilon = Vector(repeating: scalars.epsilon)
  }

  /// The operations of `adamW`, in their order.
  @inline(__always)
  func update(_ p: inout Vector, m: inout Vector, v: inout Vector, _ gradient: Vector) {
    let g = gradient * scale
    m = m.plus(g - m, gain1)
    v = (v * beta2).plus(g * g, gain2)
    let denominator = epsilon.plus(squareRoot(v), correction)
    p = (p * keep).plus(m / denominator, step)
  }
}

/// Σ x² in Double: eight lane sums in index order, then their sum by halves.
package func squaredNorm(_ x: Span<Float>) -> Double {
  let source = x.base
  var total = SIMD8<Double>.zero
  forEachVector(x.count) { index, lanes in
    let values = source.load(index, lanes)
    let (low, high) = (SIMD8<Double>(values.lowHalf), SIMD8<Double>(values.highHalf))
    total += low * low
    total += high * high
  }
  let four = total.lowHalf + total.highHalf
  let two = four.lowHalf + four.highHalf
  return two.x + two.y
}

/// a += b, element by element.
package func add(_ b: Span<Float>, to a: inout MutableSpan<Float>) {
  precondition(a.count == b.count, "add: \(b.count) to \(a.count)")
  let (target, source) = (a.base, b.base)
  forEachVector(b.count) { target.store(target.load($0, $1) + source.load($0, $1), $0, $1) }
}

/// a = b.
package func copy(_ b: Span<Float>, into a: inout MutableSpan<Float>) {
  precondition(a.count == b.count, "copy: \(b.count) into \(a.count)")
  a.base.update(from: b.base, count: b.count)
}

/// a *= factor, element by element.
package func multiply(_ a: inout MutableSpan<Float>, by factor: Float) {
  let (target, factor) = (a.base, Vector(repeating: factor))
  forEachVector(a.count) { target.store(target.load($0, $1) * factor, $0, $1) }
}
