/// The scalars of every AdamW step so far, for weights that skip steps with a zero gradient and replay
/// them when they are next needed (`replay`).
///
/// A step with gradient 0 needs three numbers; β₁, β₂ and ε are those of all steps. Memory: 20 bytes a
/// step.
package struct AdamWHistory: Sendable, Equatable {
  package private(set) var beta1: Float = 0
  package private(set) var beta2: Float = 0
  package private(set) var epsilon: Float = 0
  /// 1 − learning rate · decay of each step; step t at t − 1.
  private(set) var keep: [Float] = []
  /// −learning rate / (1 − β₁^t).
  private(set) var negativeStep: [Float] = []
  /// 1 / √(1 − β₂^t).
  private(set) var correction: [Float] = []
  /// Π of `keep` up to each step.
  private var keepProduct: [Double] = []
  /// The last step that decays weights.
  private var lastDecay = 0
  /// The largest step size from the first step of each block of 64 on.
  private var largestStep: [Float] = []

  package init() {}

  /// Steps recorded.
  package var count: Int { keep.count }

  private static let block = 64

  package mutating func reserve(steps: Int) {
    keep.reserveCapacity(steps)
    negativeStep.reserveCapacity(steps)
    correction.reserveCapacity(steps)
    keepProduct.reserveCapacity(steps)
    largestStep.reserveCapacity(steps / Self.block + 1)
  }

  /// Records step `count + 1`.
  ///
  /// - Precondition: the constants are those of the steps before.
  package mutating func append(_ scalars: AdamWScalars) {
    precondition(
      count == 0
        || (scalars.beta1 == beta1 && scalars.beta2 == beta2 && scalars.epsilon == epsilon),
      "AdamW's constants changed at step \(count + 1)")
    (beta1, beta2, epsilon) = (scalars.beta1, scalars.beta2, scalars.epsilon)
    append(keep: scalars.keep, step: scalars.stepSize, correction: scalars.inverseRootCorrection)
  }

  private mutating func append(keep: Float, step: Float, correction: Float) {
    if count % Self.block == 0 { largestStep.append(0) }
    self.keep.append(keep)
    negativeStep.append(-step)
    self.correction.append(correction)
    keepProduct.append((keepProduct.last ?? 1) * Double(keep))
    if keep != 1 { lastDecay = count }
    var block = largestStep.count - 1
    while block >= 0, largestStep[block] < step {
      largestStep[block] = step
      block -= 1
    }
  }

  // MARK: - As numbers

  /// β₁, β₂, ε, then keep, step size and correction of every step: what a checkpoint holds.
  package var values: [Float] {
    var result = [beta1, beta2, epsilon]
    for t in 0..<count { result += [keep[t], -negativeStep[t], correction[t]] }
    return result
  }

  /// The history of which `values` were taken; nil when there are not 3 + 3·steps of them.
  package init?(values: [Float]) {
    guard values.count >= 3, values.count % 3 == 0 else { return nil }
    (beta1, beta2, epsilon) = (values[0], values[1], values[2])
    for i in stride(from: 3, to: values.count, by: 3) {
      append(keep: values[i], step: values[i + 1], correction: values[i + 2])
    }
  }

  // MARK: - For executors that replay steps by an AdamW of their own

  /// `keep`, −learning rate / (1 − β₁^t) and 1 / √(1 − β₂^t) of step t.
  package func scalars(
    ofStep t: Int
  ) -> (keep: Float, negativeStep: Float, correction: Float) {
    (keep[t - 1], negativeStep[t - 1], correction[t - 1])
  }

  /// What decay leaves of a weight from the end of step `step` to the end of step `end`.
  package func kept(after step: Int, until end: Int) -> Double {
    end == 0 ? 1 : keepProduct[end - 1] / (step == 0 ? 1 : keepProduct[step - 1])
  }

  // MARK: - Bounds for `replay`

  /// Whether any step after `step` decays weights.
  package func decays(after step: Int) -> Bool { lastDecay > step }

  /// What is known, after `step` steps, of all the later ones: see `SettledBounds`.
  func bounds(after step: Int) -> SettledBounds {
    var shrink = 1.0
    if decays(after: step) {
      shrink = 0.5 * keepProduct[count - 1] / (step == 0 ? 1 : keepProduct[step - 1])
    }
    let isRatioFalling =
      Double(1 - (1 - beta1)) * 1.0001 < Double(beta2).squareRoot() * 0.9999
    return SettledBounds(
      scale: shrink > 0x1p-20
        ? Float(Double(largestStep[step / Self.block]) * 0x1p26 * 1.04 / shrink) : .infinity,
      correction: isRatioFalling && epsilon >= 0x1p-44 ? correction[count - 1] : 0,
      epsilon: epsilon, floor: 1e-37 / epsilon)
  }
}

/// Bounds on all steps still to be replayed, by which `replay` knows that none can change a weight.
///
/// With gradient 0 neither |m| nor v grows. The update of a later step is at most
/// `largest step · q` with `q = max(|m| / (√v · correction + ε), floor)`:
/// * corrections fall from step to step, so the last one is the smallest;
/// * if β₁ < √β₂, |m| falls faster than √v, so the quotient only falls, but for roundings of
///   subnormal numbers: those of m are below `floor`, those of v do not show beside ε ≥ 2⁻⁴⁴;
/// * otherwise (`correction` = 0) the quotient is at most |m| / ε.
/// An update below |p|·2⁻²⁶ is less than half the distance to either neighbour of p and is rounded
/// away. Where weights decay, p is the smallest that it will become (with a factor of 2 to spare).
/// `scale` is 2²⁶ · largest step / decay, with 4 % to spare for the roundings of the test itself.
struct SettledBounds {
  let scale: Float
  let correction: Float
  let epsilon: Float
  let floor: Float

  /// Whether no later step changes a lane of p.
  @inline(__always)
  func settles(p: Vector, m: Vector, v: Vector) -> Bool {
    let denominator = Vector(repeating: epsilon).plus(
      squareRoot(v), Vector(repeating: correction))
    var largest = magnitude(m) / denominator
    largest.replace(with: Vector(repeating: floor), where: largest .< Vector(repeating: floor))
    let isSmall = largest * Vector(repeating: scale) .< magnitude(p) - Vector(repeating: 0x1p-80)
    let isZero = unsafeBitCast(m, to: SIMD16<Int32>.self) .== SIMD16<Int32>.zero
    return all(isSmall .| isZero)
  }
}

/// |x| in each lane.
@inline(__always)
private func magnitude(_ x: Vector) -> Vector {
  unsafeBitCast(
    unsafeBitCast(x, to: SIMD16<Int32>.self) & SIMD16(repeating: 0x7FFF_FFFF), to: Vector.self)
}
