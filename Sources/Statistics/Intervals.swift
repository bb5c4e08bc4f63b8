import Glibc

/// A two-sided confidence interval, ends included.
package struct Interval: Sendable, Equatable {
  package let low: Double
  package let high: Double

  package init(low: Double, high: Double) {
    self.low = low
    self.high = high
  }

  package func contains(_ x: Double) -> Bool { low <= x && x <= high }
}

/// Wilson score interval of a proportion.
///
/// `(p̂ + z²/2n ± z √(p̂(1−p̂)/n + z²/4n²)) / (1 + z²/n)` with p̂ = successes/trials, cut to 0…1.
/// No trials give 0…1: nothing is known.
/// Source: E. B. Wilson, JASA 22 (1927).
package func wilsonInterval(successes: Int, trials: Int, confidence: Double = 0.95) -> Interval {
  precondition(trials >= 0 && successes >= 0 && successes <= trials, "need 0 ≤ successes ≤ trials")
  precondition(confidence > 0 && confidence < 1, "confidence must lie strictly between 0 and 1")
  if trials == 0 { return Interval(low: 0, high: 1) }
  let n = Double(trials)
  let p = Double(successes) / n
  let z = normalQuantile(0.5 + confidence / 2)
  let centre = p + z * z / (2 * n)
  let spread = z * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
  let scale = 1 + z * z / n
  // At the ends the exact bounds are 0 and 1; rounding must not say otherwise.
  let low = successes == 0 ? 0 : max(0, (centre - spread) / scale)
  let high = successes == trials ? 1 : min(1, (centre + spread) / scale)
  return Interval(low: low, high: high)
}

/// Mean and spread of independent observations.
///
/// Two passes in the order of the values (mean, then squared deviations with the compensation
/// term), so the bits depend only on the values and their order.
package struct Summary: Sendable, Equatable {
  package let count: Int
  /// Arithmetic mean; NaN without observations.
  package let mean: Double
  /// Unbiased sample variance (divisor count − 1); 0 with fewer than two observations.
  package let variance: Double

  package init(_ values: [Double]) {
    count = values.count
    let n = Double(values.count)
    var sum = 0.0
    for value in values { sum += value }
    mean = sum / n
    var squares = 0.0
    var rest = 0.0
    for value in values {
      let deviation = value - mean
      squares += deviation * deviation
      rest += deviation
    }
    variance = count < 2 ? 0 : max(0, (squares - rest * rest / n) / (n - 1))
  }

  /// Standard error of the mean, s/√n; infinite with fewer than two observations.
  package var standardError: Double {
    count < 2 ? .infinity : (variance / Double(count)).squareRoot()
  }

  /// Student-t interval of the mean, `mean ± t_{n−1} · s/√n`; nil with fewer than two
  /// observations, of which no interval can be made.
  package func interval(confidence: Double = 0.95) -> Interval? {
    if count < 2 { return nil }
    let t = studentQuantile(0.5 + confidence / 2, degreesOfFreedom: Double(count - 1))
    return Interval(low: mean - t * standardError, high: mean + t * standardError)
  }
}

/// Differences a[i] − b[i] of paired observations: what both share cancels.
package func pairedDifference(_ a: [Double], _ b: [Double]) -> Summary {
  precondition(a.count == b.count, "paired observations must be equally many")
  return Summary(zip(a, b).map { $0 - $1 })
}

/// A ratio of sums Σx/Σy over independent pairs, such as nats per character over sentences.
package struct RatioEstimate: Sendable, Equatable {
  package let count: Int
  /// r = Σx/Σy; NaN when Σy is 0.
  package let ratio: Double
  /// `√(n/(n−1) · Σ(xᵢ − r yᵢ)²) / Σy`: the first-order (delta method) standard error; infinite
  /// with fewer than two pairs. It is exactly 0 when every xᵢ is r·yᵢ.
  package let standardError: Double

  /// Sums in the order of the pairs.
  package init(numerators: [Double], denominators: [Double]) {
    precondition(numerators.count == denominators.count, "paired values must be equally many")
    count = numerators.count
    var x = 0.0
    var y = 0.0
    for i in numerators.indices {
      x += numerators[i]
      y += denominators[i]
    }
    let ratio = x / y
    var squares = 0.0
    for i in numerators.indices {
      let residual = numerators[i] - ratio * denominators[i]
      squares += residual * residual
    }
    let n = Double(count)
    self.ratio = ratio
    standardError = count < 2 ? .infinity : (n / (n - 1) * squares).squareRoot() / y
  }
}
