import Contracts
import Statistics
import Support

/// What an interval says of a statement.
package enum Verdict: String, Sendable {
  case reproduced
  case notReproduced = "not reproduced"
  case inconclusive
}

/// The difference of one score between two variants, paired over seeds.
///
/// With dᵢ = score(variant, seed i) − score(baseline, seed i) and n seeds the effect is the mean of d
/// and its 95 % interval `effect ± max(t₀.₉₇₅,ₙ₋₁ · s_d/√n, z₀.₉₇₅ · √Σσᵢ² / n)`, σᵢ² being the sum of
/// both scores' sampling variances at seed i. The first term covers everything that differs between
/// seeds (data, order, initial weights, generated and held-out sentences); the second keeps a chance
/// agreement of few seeds from promising more than the sample sizes allow. One seed tells nothing of
/// seeds: no interval.
package struct Comparison: Sendable, Equatable {
  package let effect: Double
  package let interval: Interval?
  package let perSeed: [Double]
  /// √Σσᵢ² / n.
  package let samplingError: Double

  /// - Parameters: scores by seed, in the same order, each with its standard error.
  package init(
    variant: [(score: Double, error: Double)], baseline: [(score: Double, error: Double)]
  ) {
    precondition(!variant.isEmpty && variant.count == baseline.count, "scores are paired by seed")
    let difference = pairedDifference(variant.map(\.score), baseline.map(\.score))
    perSeed = zip(variant, baseline).map { $0.score - $1.score }
    effect = difference.mean
    let variance = zip(variant, baseline).reduce(0.0) {
      $0 + $1.0.error * $1.0.error + $1.1.error * $1.1.error
    }
    samplingError = variance.squareRoot() / Double(variant.count)
    let floor = normalQuantile(0.975) * samplingError
    interval = difference.interval(confidence: 0.95).map { seeds in
      let half = max(seeds.high - difference.mean, floor)
      return Interval(low: difference.mean - half, high: difference.mean + half)
    }
  }

  /// `reproduced` when the whole interval lies on the side that the statement says, `notReproduced`
  /// when it lies on the other, else `inconclusive`.
  ///
  /// - Parameter largerIsBetter: true for accuracy, false for a loss.
  package func verdict(_ statement: Statement, largerIsBetter: Bool) -> Verdict {
    guard let interval else { return .inconclusive }
    let positive = (statement == .better) == largerIsBetter
    if interval.low > 0 { return positive ? .reproduced : .notReproduced }
    if interval.high < 0 { return positive ? .notReproduced : .reproduced }
    return .inconclusive
  }

  /// The comparison as it stands in a result file.
  package func value(
    _ statement: Statement, largerIsBetter: Bool
  ) -> ConfigValue {
    [
      "effect": .double(effect), "low": interval.map { .double($0.low) } ?? .null,
      "high": interval.map { .double($0.high) } ?? .null,
      "perSeed": .array(perSeed.map(ConfigValue.double)),
      "samplingError": .double(samplingError),
      "verdict": .string(verdict(statement, largerIsBetter: largerIsBetter).rawValue),
    ]
  }
}
