/// A line or curve through conditions that every subject was observed under, fitted by least squares to
/// the means over subjects.
///
/// An estimate Σ hᵢȳᵢ (a coefficient, a fitted value) has three intervals, and the widest counts:
/// * by the *fit*: the scatter of the means around it, with I − p degrees. It holds noise and whatever the
///   curve does not follow.
/// * *pooled*: the error σ² of the additive model (`RepeatedMeasures`), with (S−1)(I−1) degrees. It keeps
///   means that lie on the curve by chance from promising more than the subjects allow.
/// * *own*: the scatter of the estimate over subjects, with S−1 degrees: subjects may differ in slope.
///
/// What a subject shares over all conditions cancels in slopes and curvatures (Σ hᵢ = 0). Elsewhere it
/// moves everything alike: the first two variances get (Σ hᵢ)² · subjectVariance / S.
///
/// Whether the curve has the right *shape* is no question for that: an interval that lack of fit widens
/// could never reject it. Shape is judged by pure error alone, the subjects' (`lackOfFit`, `departures`,
/// and `RepeatedMeasures.contrast` of a curvature's weights).
package struct RepeatedRegression: Sendable, Equatable {
  package let fit: LeastSquares
  package let measures: RepeatedMeasures
  private let rows: [[Double]]

  /// - Parameters:
  ///   - columns: of the design, a number for every condition each.
  ///   - observations: by subject, then condition.
  /// - Returns: nil where `LeastSquares` has no solution.
  package init?(columns: [[Double]], observations: [[Double]]) {
    measures = RepeatedMeasures(observations)
    guard let fit = LeastSquares(columns: columns, measures.means) else { return nil }
    self.fit = fit
    rows = measures.means.indices.map { i in columns.map { $0[i] } }
  }

  package func coefficient(_ j: Int) -> Estimate {
    estimate(fit.coefficients[j], fit.contrasts[j])
  }

  /// The fitted value at a row of the design.
  package func value(at x: [Double]) -> Estimate {
    estimate(dot(x, fit.coefficients), fit.contrast(at: x))
  }

  private func estimate(_ value: Double, _ contrast: [Double]) -> Estimate {
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
    let byFit = Estimate(
      value,
      parts: shared + [
        .init(
          variance: fit.residualVariance * squares,
          degreesOfFreedom: Double(fit.degreesOfFreedom))
      ], origin: .fit)
    guard measures.subjects > 1, measures.degreesOfFreedom > 0, byFit.interval != nil else {
      return byFit
    }
    let pooled = Estimate(
      value,
      parts: shared + [
        .init(
          variance: measures.errorVariance * (squares - sum * sum / count) / subjects,
          degreesOfFreedom: Double(measures.degreesOfFreedom))
      ], origin: .pooled)
    let own = measures.own(contrast)
    return [byFit, pooled, own].max { $0.halfWidth < $1.halfWidth } ?? byFit
  }

  // MARK: - Shape

  /// A test that the means lie on the curve.
  package struct LackOfFit: Sendable, Equatable {
    /// `(S Σ (ȳᵢ − fitted)² / (I − p)) / σ²`.
    package let f: Double
    /// I − p and (S−1)(I−1).
    package let degreesOfFreedom: (Int, Int)
    package let pValue: Double

    package static func == (a: Self, b: Self) -> Bool {
      a.f == b.f && a.degreesOfFreedom == b.degreesOfFreedom
    }
  }

  /// Lack of fit against the pure error; nil with one subject, or as many coefficients as conditions.
  package var lackOfFit: LackOfFit? {
    guard fit.degreesOfFreedom > 0, measures.degreesOfFreedom > 0 else { return nil }
    let f = Double(measures.subjects) * fit.residualVariance / measures.errorVariance
    let degrees = (fit.degreesOfFreedom, measures.degreesOfFreedom)
    return LackOfFit(
      f: f, degreesOfFreedom: degrees,
      pValue: fisherTail(f.isNaN ? 0 : f, Double(degrees.0), Double(degrees.1)))
  }

  /// ȳᵢ − fitted of every condition by pure error. Intervals that shall hold for all of them at once need
  /// the confidence 1 − 0.05/I each.
  package var departures: [Estimate] {
    rows.indices.map { i in
      var weights = fit.contrast(at: rows[i]).map { -$0 }
      weights[i] += 1
      return measures.contrast(weights)
    }
  }
}
