import Glibc

/// When a curve first reached a level, as far as its points tell: "not reached" is a bound, never a number.
package enum Reached: Sendable, Equatable {
  /// Before the first point.
  case before(Double)
  /// `gap` is ln of the next point over the one before: the curve between them is not known, and the place
  /// to no more than gap/√12. 0 where the place is a point.
  case at(Double, gap: Double = 0)
  /// Not by the last point.
  case after(Double)

  /// The first place at which `y` is at or beyond `level`: above it where `rising`, else below.
  ///
  /// Between two points the curve is a line over ln x.
  ///
  /// - Parameter points: ascending x > 0; at least one.
  package init(_ points: [(x: Double, y: Double)], level: Double, rising: Bool) {
    precondition(!points.isEmpty, "a curve has points")
    let sign: Double = rising ? 1 : -1
    guard let position = points.firstIndex(where: { sign * $0.y >= sign * level }) else {
      self = .after(points[points.count - 1].x)
      return
    }
    if position == 0 {
      self = .before(points[0].x)
      return
    }
    let (a, b) = (points[position - 1], points[position])
    let share = (level - a.y) / (b.y - a.y)
    let gap = log(b.x) - log(a.x)
    self = share == 1 ? .at(b.x) : .at(exp(log(a.x) + share * gap), gap: gap)
  }

  /// The place, or the bound that stands for it.
  package var x: Double {
    switch self {
    case .before(let x), .at(let x, _), .after(let x): x
    }
  }

  /// ln between the points around the place; 0 of a bound.
  var gap: Double { if case .at(_, let gap) = self { gap } else { 0 } }

  package var isExact: Bool { if case .at = self { true } else { false } }

  /// Whether this was surely earlier than `other`.
  package func isBefore(_ other: Reached) -> Bool {
    switch (self, other) {
    case (.after, _), (_, .before): false
    case (.at(let a, _), .at(let b, _)), (.before(let a), .at(let b, _)): a < b
    case (.at(let a, _), .after(let b)), (.before(let a), .after(let b)): a <= b
    }
  }
}

/// Times of two groups of runs that are compared, equal seeds in equal places.
///
/// The interval of the mean of n logarithms is `± max(t₀.₉₇₅,ₙ₋₁ · s/√n, z₀.₉₇₅ · resolution)`, and p the
/// larger of those of the two terms: seeds that agree by chance promise no more than the distance of the
/// points allows.
package struct TimeRatio: Sendable, Equatable {
  /// mean of ln(time / baseline's time) over seeds, by its own scatter; nil where a time is a bound.
  package let logarithm: Estimate?
  /// Geometric mean of the ratios; with bounds in it no number.
  package var ratio: Double? { logarithm.map { exp($0.value) } }
  package var interval: Interval? {
    guard let logarithm, let own = logarithm.interval else { return nil }
    let half = max(own.high - logarithm.value, normalQuantile(0.975) * resolution)
    return Interval(low: exp(logarithm.value - half), high: exp(logarithm.value + half))
  }
  /// √(Σ gap²/12) / n over both groups.
  package let resolution: Double
  /// What bounds alone say of the geometric mean: it is at most this, at least that.
  package let atMost, atLeast: Double?
  /// Two-sided: of `logarithm`, or where a time is a bound of Gehan's test.
  package let pValue: Double?
  /// Which side the evidence leans to: negative where the times are shorter than the baseline's.
  package let direction: Double

  package init(_ times: [Reached], baseline: [Reached]) {
    precondition(times.count == baseline.count && !times.isEmpty, "runs are paired by seed")
    let logs = zip(times, baseline).map { log($0.x / $1.x) }
    let mean = Summary(logs).mean
    let isEarly = { (times: [Reached]) in
      times.contains { if case .before = $0 { true } else { false } }
    }
    let isLate = { (times: [Reached]) in
      times.contains { if case .after = $0 { true } else { false } }
    }
    if (times + baseline).allSatisfy(\.isExact) {
      let estimate = RepeatedMeasures(logs.map { [$0] }).own([1])
      logarithm = estimate
      (atMost, atLeast) = (nil, nil)
      let squares = (times + baseline).reduce(0) { $0 + $1.gap * $1.gap }
      let resolution = (squares / 12).squareRoot() / Double(times.count)
      self.resolution = resolution
      pValue = estimate.pValue.map { p in
        resolution == 0
          ? p : max(p, 2 * normalDistribution(-abs(estimate.value) / resolution))
      }
      direction = estimate.value
      return
    }
    logarithm = nil
    resolution = 0
    atMost = isLate(times) || isEarly(baseline) ? nil : exp(mean)
    atLeast = isEarly(times) || isLate(baseline) ? nil : exp(mean)
    (direction, pValue) = Self.gehan(times, baseline)
  }

  /// Groups so large that not all their divisions are looked at.
  private static let mostSeeds = 10

  /// Gehan's test with all divisions of the runs into two groups: W = Σ over the first group of (how many
  /// of all runs were surely earlier) − (how many surely later), and p = share of divisions with a |W| at
  /// least as large. Exact for times cut off at one place. nil for more than ten runs a group.
  /// Source: E. A. Gehan, Biometrika 52 (1965).
  private static func gehan(
    _ times: [Reached], _ baseline: [Reached]
  ) -> (direction: Double, pValue: Double?) {
    let all = times + baseline
    let scores = all.map { one in
      all.reduce(0) { $0 + ($1.isBefore(one) ? 1 : 0) - (one.isBefore($1) ? 1 : 0) }
    }
    let own = scores.prefix(times.count).reduce(0, +)
    guard times.count <= mostSeeds else { return (Double(own), nil) }
    var (count, extreme) = (0, 0)
    func divide(_ position: Int, _ left: Int, _ sum: Int) {
      if left == 0 {
        count += 1
        if abs(sum) >= abs(own) { extreme += 1 }
        return
      }
      if all.count - position < left { return }
      divide(position + 1, left - 1, sum + scores[position])
      divide(position + 1, left, sum)
    }
    divide(0, times.count, 0)
    return (Double(own), Double(extreme) / Double(count))
  }
}
