import Contracts
import Statistics
import Support

/// The difference of one score between two variants, paired over seeds.
///
/// With dᵢ = score(variant, seed i) − score(baseline, seed i) and n seeds the effect is the mean of d
/// and its 95 % interval `effect ± max(t₀.₉₇₅,ₙ₋₁ · s_d/√n, z₀.₉₇₅ · √Σσᵢ² / n)`, σᵢ² being the sum of
/// both scores' sampling variances at seed i. The first term covers everything that differs between
/// seeds (data, order, initial weights, generated and held-out sentences); the second keeps a chance
/// agreement of few seeds from promising more than the sample sizes allow. p is the larger of those of
/// the two terms, so that p < 0.05 exactly where the interval leaves 0 out. One seed tells nothing of
/// seeds: no interval, no p. Each comparison has its own differences: variances may differ.
package struct Comparison: Sendable, Equatable {
  /// Of the differences, by their own scatter.
  package let estimate: Estimate
  package let interval: Interval?
  package let pValue: Double?
  package let perSeed: [Double]
  /// √Σσᵢ² / n; 0 where a sampling error is not known.
  package let samplingError: Double

  package var effect: Double { estimate.value }

  /// "+0.105 [+0.012, +0.198]".
  var text: String {
    Figure.signed(effect)
      + (interval.map { " [\(Figure.signed($0.low)), \(Figure.signed($0.high))]" } ?? "")
  }

  /// - Parameters: scores by seed, in the same order, each with its standard error.
  package init(
    variant: [(score: Double, error: Double)], baseline: [(score: Double, error: Double)]
  ) {
    precondition(!variant.isEmpty && variant.count == baseline.count, "scores are paired by seed")
    perSeed = zip(variant, baseline).map { $0.score - $1.score }
    let estimate = RepeatedMeasures(perSeed.map { [$0] }).own([1])
    self.estimate = estimate
    let variance = zip(variant, baseline).reduce(0.0) {
      $0 + $1.0.error * $1.0.error + $1.1.error * $1.1.error
    }
    let sampling = variance.isFinite ? variance.squareRoot() / Double(variant.count) : 0
    samplingError = sampling
    interval = estimate.interval.map { seeds in
      let half = max(seeds.high - estimate.value, normalQuantile(0.975) * sampling)
      return Interval(low: estimate.value - half, high: estimate.value + half)
    }
    pValue = estimate.pValue.map { p in
      sampling == 0 ? p : max(p, 2 * normalDistribution(-abs(estimate.value) / sampling))
    }
  }

  /// The comparison as it stands in a result file, with its verdict among its family.
  ///
  /// - Parameter largerIsBetter: true for accuracy, false for a loss.
  package func value(
    _ statement: Statement, _ p: AdjustedP, largerIsBetter: Bool
  ) -> ConfigValue {
    var members: [String: ConfigValue] = [
      "effect": .double(effect), "low": interval.map { .double($0.low) } ?? .null,
      "high": interval.map { .double($0.high) } ?? .null,
      "perSeed": .array(perSeed.map(ConfigValue.double)),
      "samplingError": .double(samplingError),
      "verdict": .string(
        verdict(statement, p, largerIsBetter: largerIsBetter).rawValue),
    ]
    members.merge(p.members) { $1 }
    return .object(members)
  }

  package func verdict(
    _ statement: Statement, _ p: AdjustedP, largerIsBetter: Bool
  ) -> Verdict {
    .direction(
      pHolm: p.holm, agrees: ((statement == .better) == largerIsBetter) == (effect > 0))
  }
}
