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

/// Two-sided p of Student's t: `P(|T| ≥ |t|) = I_{ν/(ν+t²)}(ν/2, 1/2)`.
package func studentTails(_ t: Double, degreesOfFreedom nu: Double) -> Double {
  precondition(nu > 0, "degrees of freedom must be positive")
  if t.isInfinite { return 0 }
  return regularizedIncompleteBeta(a: nu / 2, b: 0.5, x: nu / (nu + t * t))
}

/// Upper tail of Fisher's F with ν₁ and ν₂ degrees of freedom, f ≥ 0:
/// `P(F ≥ f) = I_{ν₂/(ν₂+ν₁f)}(ν₂/2, ν₁/2)`. Source: DLMF 8.17.
package func fisherTail(_ f: Double, _ nu1: Double, _ nu2: Double) -> Double {
  precondition(f >= 0 && nu1 > 0 && nu2 > 0, "a ratio of variances with degrees of freedom")
  if f.isInfinite { return 0 }
  return regularizedIncompleteBeta(a: nu2 / 2, b: nu1 / 2, x: nu2 / (nu2 + nu1 * f))
}

/// Upper tail of χ² with ν degrees of freedom, x ≥ 0: `Q(ν/2, x/2)`.
///
/// `Q(a, x) = Γ(a, x)/Γ(a)`: the series of the lower function for x < a + 1 (DLMF 8.11.4), else the
/// continued fraction of the upper one (8.9.2) by the modified Lentz method.
package func chiSquaredTail(_ x: Double, degreesOfFreedom nu: Double) -> Double {
  precondition(x >= 0 && nu > 0, "a sum of squares with degrees of freedom")
  let (a, z) = (nu / 2, x / 2)
  if z == 0 { return 1 }
  if z.isInfinite { return 0 }
  let front = exp(a * log(z) - z - logGamma(a))
  if z < a + 1 {
    var term = 1 / a
    var sum = term
    for k in 1...1000 where term > sum * 1e-17 {
      term *= z / (a + Double(k))
      sum += term
    }
    return 1 - front * sum
  }
  let tiny = 1e-300
  var b = z + 1 - a
  var c = 1 / tiny
  var d = 1 / b
  var fraction = d
  for k in 1...1000 {
    let step = -Double(k) * (Double(k) - a)
    b += 2
    d = step * d + b
    d = 1 / (abs(d) < tiny ? tiny : d)
    c = b + step / c
    if abs(c) < tiny { c = tiny }
    fraction *= d * c
    if abs(d * c - 1) < 1e-15 { break }
  }
  return front * fraction
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
