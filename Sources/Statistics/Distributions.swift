import Glibc

/// Regularised incomplete beta function I_x(a, b).
///
/// `I_x(a, b) = 1/B(a, b) · ∫₀ˣ t^(a−1) (1−t)^(b−1) dt`, for a, b > 0 and 0 ≤ x ≤ 1. Continued
/// fraction by the modified Lentz method, on the side where it converges fast
/// (x < (a+1)/(a+b+2)), the other side by symmetry. Absolute error below 1e-13 for the degrees of
/// freedom that intervals meet; at most 300 terms. Deterministic.
/// Source: DLMF 8.17.22.
package func regularizedIncompleteBeta(a: Double, b: Double, x: Double) -> Double {
  precondition(a > 0 && b > 0, "shape parameters must be positive")
  precondition(x >= 0 && x <= 1, "argument must lie in 0...1")
  if x == 0 || x == 1 { return x }
  if x > (a + 1) / (a + b + 2) {
    return 1 - regularizedIncompleteBeta(a: b, b: a, x: 1 - x)
  }
  let logBeta = logGamma(a) + logGamma(b) - logGamma(a + b)
  let front = exp(a * log(x) + b * log1p(-x) - logBeta) / a
  let tiny = 1e-300
  var c = 1.0
  var d = 1 - (a + b) * x / (a + 1)
  d = 1 / (abs(d) < tiny ? tiny : d)
  var fraction = d
  for m in 1...300 {
    let k = Double(m)
    let even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k))
    d = 1 + even * d
    d = 1 / (abs(d) < tiny ? tiny : d)
    c = 1 + even / c
    if abs(c) < tiny { c = tiny }
    fraction *= d * c
    let odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
    d = 1 + odd * d
    d = 1 / (abs(d) < tiny ? tiny : d)
    c = 1 + odd / c
    if abs(c) < tiny { c = tiny }
    let delta = d * c
    fraction *= delta
    if abs(delta - 1) < 1e-15 { break }
  }
  return front * fraction
}

/// log Γ(x) for x > 0.
private func logGamma(_ x: Double) -> Double {
  var sign: Int32 = 0
  return lgamma_r(x, &sign)
}

/// Standard normal distribution function Φ(z) = erfc(−z/√2)/2.
package func normalDistribution(_ z: Double) -> Double {
  0.5 * erfc(-z * 0.5.squareRoot())
}

/// Standard normal quantile: the z with Φ(z) = p, 0 < p < 1. Monotone bisection to the last bit
/// of the bracket (error below 1e-14).
package func normalQuantile(_ p: Double) -> Double {
  precondition(p > 0 && p < 1, "probability must lie strictly between 0 and 1")
  if p > 0.5 { return -normalQuantile(1 - p) }
  return bisect(low: -40, high: 0) { normalDistribution($0) < p }
}

/// Student's t distribution function with ν degrees of freedom (ν > 0, not only whole numbers).
///
/// `F(t) = 1 − I_{ν/(ν+t²)}(ν/2, 1/2)/2` for t ≥ 0, by symmetry below. Source: DLMF 8.17.
package func studentDistribution(_ t: Double, degreesOfFreedom nu: Double) -> Double {
  precondition(nu > 0, "degrees of freedom must be positive")
  if t == 0 { return 0.5 }
  let tail = 0.5 * regularizedIncompleteBeta(a: nu / 2, b: 0.5, x: nu / (nu + t * t))
  return t > 0 ? 1 - tail : tail
}

/// Student's t quantile: the t with F(t) = p, 0 < p < 1; bisection on the distribution function.
package func studentQuantile(_ p: Double, degreesOfFreedom nu: Double) -> Double {
  precondition(p > 0 && p < 1, "probability must lie strictly between 0 and 1")
  if p == 0.5 { return 0 }
  if p > 0.5 { return -studentQuantile(1 - p, degreesOfFreedom: nu) }
  var low = -2.0
  while studentDistribution(low, degreesOfFreedom: nu) > p { low *= 2 }
  return bisect(low: low, high: 0) { studentDistribution($0, degreesOfFreedom: nu) < p }
}

/// The boundary in low…high below which `isBelow` holds, to the resolution of Double.
private func bisect(low: Double, high: Double, isBelow: (Double) -> Bool) -> Double {
  var low = low
  var high = high
  while true {
    let middle = low + (high - low) / 2
    if middle <= low || middle >= high { return middle }
    if isBelow(middle) { low = middle } else { high = middle }
  }
}
