/// Every subject (a seed) observed once under every condition (a variant): the additive model
/// `y[s][i] = μᵢ + uₛ + e`, with what is common to a subject in uₛ and independent errors e of one
/// variance σ².
package struct RepeatedMeasures: Sendable, Equatable {
  package let subjects: Int
  /// Means over subjects, by condition.
  package let means: [Double]
  /// Unbiased estimate of σ²: `Σ (y − ȳₛ − ȳᵢ + ȳ)² / ((S−1)(I−1))`; infinite with one subject or one
  /// condition.
  package let errorVariance: Double
  /// (S−1)(I−1).
  package let degreesOfFreedom: Int
  /// Variance of the subjects' means, σ²/I included; infinite with one subject.
  package let subjectVariance: Double

  /// - Parameter observations: by subject, then condition; at least one of each.
  package init(_ observations: [[Double]]) {
    precondition(!observations.isEmpty && !observations[0].isEmpty, "there are observations")
    let conditions = observations[0].count
    precondition(observations.allSatisfy { $0.count == conditions }, "every subject in full")
    subjects = observations.count
    let rows = observations.map { Summary($0).mean }
    means = (0..<conditions).map { i in Summary(observations.map { $0[i] }).mean }
    let centre = Summary(rows)
    var squares = 0.0
    for (row, observed) in zip(rows, observations) {
      for i in 0..<conditions {
        let rest = observed[i] - row - means[i] + centre.mean
        squares += rest * rest
      }
    }
    degreesOfFreedom = (subjects - 1) * (conditions - 1)
    errorVariance = degreesOfFreedom == 0 ? .infinity : squares / Double(degreesOfFreedom)
    subjectVariance = subjects == 1 ? .infinity : centre.variance
  }

  /// Mean of condition `i` minus mean of condition `j`. What subjects share cancels; the standard error
  /// is √(2σ²/S), with σ² pooled over all conditions and Student's t of (S−1)(I−1) degrees.
  package func difference(_ i: Int, _ j: Int, confidence: Double = 0.95) -> Estimate {
    Estimate(
      means[i] - means[j],
      parts: [
        .init(
          variance: 2 * errorVariance / Double(subjects), degreesOfFreedom: Double(degreesOfFreedom)
        )
      ],
      confidence: confidence)
  }
}

/// A number with its standard error and interval.
package struct Estimate: Sendable, Equatable {
  package let value: Double
  package let standardError: Double
  /// Of the standard error; by Welch and Satterthwaite where it is made of several parts.
  package let degreesOfFreedom: Double
  /// nil where nothing is known of the error.
  package let interval: Interval?

  /// An independent part of the variance.
  struct Part {
    let variance: Double
    let degreesOfFreedom: Double
  }

  init(_ value: Double, parts: [Part], confidence: Double) {
    self.value = value
    let parts = parts.filter { $0.variance != 0 }
    let variance = parts.reduce(0) { $0 + $1.variance }
    standardError = variance.squareRoot()
    guard variance.isFinite else {
      degreesOfFreedom = 0
      interval = nil
      return
    }
    if variance == 0 {
      degreesOfFreedom = .infinity
      interval = Interval(low: value, high: value)
      return
    }
    let spread = parts.reduce(0) { $0 + $1.variance * $1.variance / $1.degreesOfFreedom }
    degreesOfFreedom = variance * variance / spread
    let half =
      studentQuantile(0.5 + confidence / 2, degreesOfFreedom: degreesOfFreedom) * standardError
    interval = Interval(low: value - half, high: value + half)
  }

  /// Half the width of the interval; infinite without one.
  var halfWidth: Double { interval.map { ($0.high - $0.low) / 2 } ?? .infinity }

  /// `factor` times this number.
  package func scaled(by factor: Double) -> Estimate { Estimate(scaling: self, by: factor) }

  private init(scaling other: Estimate, by factor: Double) {
    value = factor * other.value
    standardError = abs(factor) * other.standardError
    degreesOfFreedom = other.degreesOfFreedom
    interval = other.interval.map {
      let (a, b) = (factor * $0.low, factor * $0.high)
      return Interval(low: min(a, b), high: max(a, b))
    }
  }
}

/// A line or curve through conditions that every subject was observed under.
///
/// The means over subjects are fitted by least squares. An estimate Σ hᵢȳᵢ (a coefficient, a fitted
/// value) has two intervals, and the wider one counts:
/// * *by residuals*: the scatter of the means around the fit, with I − p degrees. It holds noise and
///   whatever the curve does not follow.
/// * *by subjects*: the error σ² of the additive model (`RepeatedMeasures`), with (S−1)(I−1) degrees.
///   It keeps means that lie on the curve by chance from promising more than the subjects allow.
///
/// What a subject shares over all conditions cancels in slopes and curvatures (Σ hᵢ = 0). Elsewhere it
/// moves everything alike: both variances get (Σ hᵢ)² · subjectVariance / S.
package struct RepeatedRegression: Sendable, Equatable {
  package let fit: LeastSquares
  package let measures: RepeatedMeasures

  /// - Parameters:
  ///   - columns: of the design, a number for every condition each.
  ///   - observations: by subject, then condition.
  /// - Returns: nil where `LeastSquares` has no solution.
  package init?(columns: [[Double]], observations: [[Double]]) {
    measures = RepeatedMeasures(observations)
    guard let fit = LeastSquares(columns: columns, measures.means) else { return nil }
    self.fit = fit
  }

  package func coefficient(_ j: Int, confidence: Double = 0.95) -> Estimate {
    estimate(fit.coefficients[j], fit.contrasts[j], confidence: confidence)
  }

  /// The fitted value at a row of the design.
  package func value(at x: [Double], confidence: Double = 0.95) -> Estimate {
    estimate(dot(x, fit.coefficients), fit.contrast(at: x), confidence: confidence)
  }

  private func estimate(
    _ value: Double, _ contrast: [Double], confidence: Double
  ) -> Estimate {
    let count = Double(contrast.count)
    var sum = contrast.reduce(0, +)
    // A sum that is 0 but for rounding is 0: the subjects' variance must not enter by rounding.
    if abs(sum) < 1e-9 * contrast.reduce(0, { $0 + abs($1) }) { sum = 0 }
    let squares = dot(contrast, contrast)
    let subjects = Double(measures.subjects)
    let shared: [Estimate.Part] =
      sum == 0 || measures.subjects == 1
      ? []
      : [
        .init(
          variance: sum * sum * measures.subjectVariance / subjects, degreesOfFreedom: subjects - 1)
      ]
    let byResiduals = Estimate(
      value,
      parts: shared + [
        .init(
          variance: fit.residualVariance * squares,
          degreesOfFreedom: Double(fit.degreesOfFreedom))
      ], confidence: confidence)
    guard measures.subjects > 1, measures.degreesOfFreedom > 0 else { return byResiduals }
    let bySubjects = Estimate(
      value,
      parts: shared + [
        .init(
          variance: measures.errorVariance * (squares - sum * sum / count) / subjects,
          degreesOfFreedom: Double(measures.degreesOfFreedom))
      ], confidence: confidence)
    if byResiduals.interval == nil { return byResiduals }
    return byResiduals.halfWidth >= bySubjects.halfWidth ? byResiduals : bySubjects
  }
}
