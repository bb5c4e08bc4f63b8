/// Every subject (a seed) observed once under every condition (a variant): the additive model
/// `y[s][i] = μᵢ + uₛ + e`, with what is common to a subject in uₛ and independent errors e.
///
/// A contrast Σ hᵢȳᵢ (a difference of two conditions, a slope) has two honest standard errors:
/// * *pooled*: σ² from the residuals of all conditions, with (S−1)(I−1) degrees. It needs errors of one
///   variance.
/// * *own*: the scatter over subjects of Σ hᵢ y[s][i] itself, with S−1 degrees. It needs nothing of the
///   sort: neither equal variances nor errors that are independent between conditions. What Welch's test
///   does for unpaired groups, this does for paired ones.
///
/// The pooled one counts unless there is doubt: unless Bartlett's test over the conditions' residuals, or
/// the F test of the contrast's own scatter against all other, gives p < `doubt`.
package struct RepeatedMeasures: Sendable, Equatable {
  /// Preliminary tests of so few subjects find little at 5 %: at this level the intervals of pooling where
  /// it is not rejected hold what they promise, as `results/simulations.csv` shows.
  package static let doubt = 0.25

  /// By subject, then condition.
  package let observations: [[Double]]
  /// Means over subjects, by condition.
  package let means: [Double]
  /// Unbiased estimate of σ²: `Σ (y − ȳₛ − ȳᵢ + ȳ)² / ((S−1)(I−1))`; infinite with one subject or one
  /// condition.
  package let errorVariance: Double
  /// (S−1)(I−1).
  package let degreesOfFreedom: Int
  /// Variance of the subjects' means, σ²/I included; infinite with one subject.
  package let subjectVariance: Double
  /// p of Bartlett's test over `Σₛ residual² / (S−1)` of every condition: small where variances differ.
  /// 1 with one subject or one condition.
  package let equalVariances: Double

  package var subjects: Int { observations.count }

  /// - Parameter observations: by subject, then condition; at least one of each.
  package init(_ observations: [[Double]]) {
    precondition(!observations.isEmpty && !observations[0].isEmpty, "there are observations")
    let (subjects, conditions) = (observations.count, observations[0].count)
    precondition(observations.allSatisfy { $0.count == conditions }, "every subject in full")
    self.observations = observations
    let rows = observations.map { Summary($0).mean }
    means = (0..<conditions).map { i in Summary(observations.map { $0[i] }).mean }
    let centre = Summary(rows)
    var squares = [Double](repeating: 0, count: conditions)
    for (row, observed) in zip(rows, observations) {
      for i in 0..<conditions {
        let rest = observed[i] - row - means[i] + centre.mean
        squares[i] += rest * rest
      }
    }
    degreesOfFreedom = (subjects - 1) * (conditions - 1)
    errorVariance =
      degreesOfFreedom == 0 ? .infinity : squares.reduce(0, +) / Double(degreesOfFreedom)
    subjectVariance = subjects == 1 ? .infinity : centre.variance
    let each = Double(subjects - 1)
    equalVariances =
      degreesOfFreedom == 0
      ? 1 : bartlettTest(variances: squares.map { $0 / each }, degreesOfFreedom: each)
  }

  /// Mean of condition `i` minus mean of condition `j`.
  package func difference(_ i: Int, _ j: Int) -> Estimate {
    precondition(i != j, "two conditions")
    var weights = [Double](repeating: 0, count: means.count)
    (weights[i], weights[j]) = (1, -1)
    return contrast(weights)
  }

  /// Σ hᵢȳᵢ for weights whose sum is 0, by the standard error that counts.
  package func contrast(_ weights: [Double]) -> Estimate {
    isDoubtful(weights) ? own(weights) : pooled(weights)
  }

  /// p of the F test that the contrast scatters over subjects as all other contrasts do: small where it
  /// scatters more. 1 where there is nothing to compare with.
  package func excessScatter(_ weights: [Double]) -> Double {
    let others = degreesOfFreedom - (subjects - 1)
    guard subjects > 1, others > 0 else { return 1 }
    let along = Summary(values(weights)).variance / dot(weights, weights)
    let rest =
      (errorVariance * Double(degreesOfFreedom) - along * Double(subjects - 1)) / Double(others)
    if along == 0 { return 1 }
    return fisherTail(along / max(0, rest), Double(subjects - 1), Double(others))
  }

  private func isDoubtful(_ weights: [Double]) -> Bool {
    equalVariances < Self.doubt || excessScatter(weights) < Self.doubt
  }

  /// By the residuals of all conditions; for weights whose sum is 0.
  package func pooled(_ weights: [Double]) -> Estimate {
    Estimate(
      dot(weights, means),
      parts: [
        .init(
          variance: errorVariance * dot(weights, weights) / Double(subjects),
          degreesOfFreedom: Double(degreesOfFreedom))
      ], origin: .pooled)
  }

  /// By the scatter of the contrast itself; for any weights.
  package func own(_ weights: [Double]) -> Estimate {
    let summary = Summary(values(weights))
    return Estimate(
      dot(weights, means),
      parts: [
        .init(
          variance: subjects == 1 ? .infinity : summary.variance / Double(subjects),
          degreesOfFreedom: Double(subjects - 1))
      ], origin: .own)
  }

  /// Σ hᵢ y[s][i] by subject.
  private func values(_ weights: [Double]) -> [Double] { observations.map { dot(weights, $0) } }
}
