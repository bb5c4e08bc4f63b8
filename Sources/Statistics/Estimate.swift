/// A number with its standard error and interval.
package struct Estimate: Sendable, Equatable {
  /// Where a standard error comes from.
  package enum Origin: String, Sendable {
    /// The residuals of all conditions together.
    case pooled
    /// The scatter over subjects of this very number: no other condition's noise is in it.
    case own
    /// The scatter of means around a curve.
    case fit
  }

  package let value: Double
  package let standardError: Double
  /// Of the standard error; by Welch and Satterthwaite where it is made of several parts.
  package let degreesOfFreedom: Double
  package let origin: Origin

  /// An independent part of the variance.
  struct Part {
    let variance: Double
    let degreesOfFreedom: Double
  }

  /// - Parameter parts: infinite variance where nothing is known of the error.
  init(_ value: Double, parts: [Part], origin: Origin) {
    self.value = value
    self.origin = origin
    let parts = parts.filter { $0.variance != 0 }
    let variance = parts.reduce(0) { $0 + $1.variance }
    standardError = variance.squareRoot()
    guard variance.isFinite else {
      degreesOfFreedom = 0
      return
    }
    let spread = parts.reduce(0) { $0 + $1.variance * $1.variance / $1.degreesOfFreedom }
    degreesOfFreedom =
      switch parts.count {
      case 0: .infinity
      case 1: parts[0].degreesOfFreedom
      default: variance * variance / spread
      }
  }

  /// 95 %; nil where nothing is known of the error.
  package var interval: Interval? { interval(confidence: 0.95) }

  /// `value ± t · standardError`.
  package func interval(confidence: Double) -> Interval? {
    guard standardError.isFinite else { return nil }
    if standardError == 0 { return Interval(low: value, high: value) }
    let t = studentQuantile(0.5 + confidence / 2, degreesOfFreedom: degreesOfFreedom)
    return Interval(low: value - t * standardError, high: value + t * standardError)
  }

  /// Two-sided p of a true value of 0; nil where nothing is known of the error.
  package var pValue: Double? {
    guard standardError.isFinite else { return nil }
    if standardError == 0 { return value == 0 ? 1 : 0 }
    return studentTails(value / standardError, degreesOfFreedom: degreesOfFreedom)
  }

  /// Half the width of the interval; infinite without one.
  var halfWidth: Double { interval.map { ($0.high - $0.low) / 2 } ?? .infinity }

  /// `factor` times this number.
  package func scaled(by factor: Double) -> Estimate { Estimate(scaling: self, by: factor) }

  private init(scaling other: Estimate, by factor: Double) {
    value = factor * other.value
    standardError = abs(factor) * other.standardError
    degreesOfFreedom = other.degreesOfFreedom
    origin = other.origin
  }
}
