/// The normal distribution in arithmetic of our own, so that the bits do not depend on a C library.
package enum Normal {
  /// Φ⁻¹(p) for 0 < p < 1, to about 1 part in 10¹⁶.
  ///
  /// Source: M. J. Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988) 477–484.
  package static func quantile(_ p: Double) -> Double {
    precondition(p > 0 && p < 1, "quantile: p must lie inside (0, 1)")
    let q = p - 0.5
    if q.magnitude <= 0.425 {
      let r = 0.180625 - q * q
      return q * horner(r, centralNumerator) / horner(r, centralDenominator)
    }
    let r = (-logarithm(q < 0 ? p : 1 - p)).squareRoot()
    let x =
      r <= 5
      ? horner(r - 1.6, middleNumerator) / horner(r - 1.6, middleDenominator)
      : horner(r - 5, tailNumerator) / horner(r - 5, tailDenominator)
    return q < 0 ? -x : x
  }

  /// Natural logarithm of a positive normal number, error below 1 ulp (the method of fdlibm's `log`):
  /// x = 2ᵏ(1 + f) with √½ < 1 + f < √2, and log(1 + f) = f − f²/2 + s(f²/2 + R(s²)), s = f/(2 + f).
  package static func logarithm(_ x: Double) -> Double {
    precondition(x.isNormal && x > 0, "logarithm: x must be positive and normal")
    var exponent = Int(x.exponent)
    var f = x.significand
    if f > 1.4142135623730951 {
      f *= 0.5
      exponent += 1
    }
    f -= 1
    let s = f / (2 + f)
    let z = s * s
    let w = z * z
    let even = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332))
    let odd =
      z
      * (0.6666666666666735130
        + w
        * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591)))
    let half = 0.5 * f * f
    let k = Double(exponent)
    return k * 6.93147180369123816490e-01
      - ((half - (s * (half + even + odd) + k * 1.90821492927058770002e-10)) - f)
  }

  private static func horner(_ x: Double, _ coefficients: [Double]) -> Double {
    coefficients.reversed().reduce(0) { $0 * x + $1 }
  }

  private static let centralNumerator = [
    3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3,
    1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
    3.3430575583588128105e+4, 2.5090809287301226727e+3,
  ]
  private static let centralDenominator = [
    1, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
    2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4,
    5.2264952788528545610e+3,
  ]
  private static let middleNumerator = [
    1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
    3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
    2.27238449892691845833e-2, 7.74545014278341407640e-4,
  ]
  private static let middleDenominator = [
    1, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
    1.05075007164441684324e-9,
  ]
  private static let tailNumerator = [
    6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
    2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
    2.71155556874348757815e-5, 2.01033439929228813265e-7,
  ]
  private static let tailDenominator = [
    1, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
    2.04426310338993978564e-15,
  ]
}
