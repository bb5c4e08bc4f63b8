import Statistics
import Support
import Testing

@Suite struct IntervalTests {
  @Test func wilsonMatchesHandComputation() {
    // 8 of 10 at 95 %: (0.8 + 0.192073 ± 1.959964·√(0.016 + 0.00960365)) / 1.3841459
    let interval = wilsonInterval(successes: 8, trials: 10)
    #expect(abs(interval.low - 0.490162) < 1e-5)
    #expect(abs(interval.high - 0.943318) < 1e-5)
  }

  @Test func wilsonEnds() {
    #expect(wilsonInterval(successes: 0, trials: 0) == Interval(low: 0, high: 1))
    let none = wilsonInterval(successes: 0, trials: 5000)
    #expect(none.low == 0 && none.high > 0 && none.high < 1e-3)
    let all = wilsonInterval(successes: 5000, trials: 5000)
    #expect(all.high == 1 && all.low < 1 && all.low > 0.999)
    #expect(wilsonInterval(successes: 0, trials: 1).low == 0)
  }

  @Test func summaryOfKnownValues() {
    let summary = Summary([2, 4, 4, 4, 5, 5, 7, 9])
    #expect(summary.mean == 5)
    #expect(abs(summary.variance - 32.0 / 7) < 1e-14)
    #expect(Summary([]).mean.isNaN)
    #expect(Summary([3]).interval() == nil)
    #expect(Summary([3]).standardError == .infinity)
  }

  @Test func summarySurvivesALargeOffset() {
    let summary = Summary([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])
    #expect(abs(summary.variance - 30) < 1e-9)
  }

  /// Two of three seeds: the half width is 4.302653 s/√3.
  @Test func studentIntervalOfThree() throws {
    let interval = try #require(Summary([1, 2, 3]).interval())
    #expect(abs(interval.high - (2 + 4.302652729911275 / 3.0.squareRoot())) < 1e-10)
    #expect(abs(interval.low + interval.high - 4) < 1e-12)
  }

  @Test func pairingRemovesWhatBothShare() {
    let base = [1.0, 100, -7, 52]
    let difference = pairedDifference(base.map { $0 + 0.5 }, base)
    #expect(difference.mean == 0.5 && difference.variance == 0)
  }

  @Test func ratioByHand() {
    // r = 6/4; residuals −0.5, 0.5: √(2 · 0.5) / 4.
    let estimate = RatioEstimate(numerators: [1, 5], denominators: [1, 3])
    #expect(estimate.ratio == 1.5)
    #expect(abs(estimate.standardError - 1.0 / 4) < 1e-15)
    let zero = RatioEstimate(numerators: [0, 0, 0], denominators: [3, 1, 2])
    #expect(zero.ratio == 0 && zero.standardError == 0)
    #expect(RatioEstimate(numerators: [2], denominators: [1]).standardError == .infinity)
    // Equal denominators: the standard error of a mean, divided by the common denominator.
    let values = [1.0, 4, 2, 8]
    let equal = RatioEstimate(numerators: values, denominators: [2, 2, 2, 2])
    #expect(abs(equal.standardError - Summary(values).standardError / 2) < 1e-15)
  }

  /// Nominal 95 % coverage by simulation. With 4,000 repetitions the standard error is 0.0034.
  @Test func studentCoverage() throws {
    var stream = RandomStream(seed: 11, name: "coverage")
    var hits = 0
    for _ in 0..<4000 {
      let values = (0..<5).map { _ in 3 + 2 * stream.normal() }
      if try #require(Summary(values).interval()).contains(3) { hits += 1 }
    }
    #expect(abs(Double(hits) / 4000 - 0.95) < 0.017)
  }

  @Test func wilsonCoverage() {
    var stream = RandomStream(seed: 13, name: "coverage")
    var hits = 0
    for _ in 0..<4000 {
      var successes = 0
      for _ in 0..<200 where stream.uniform() < 0.07 { successes += 1 }
      if wilsonInterval(successes: successes, trials: 200).contains(0.07) { hits += 1 }
    }
    #expect(abs(Double(hits) / 4000 - 0.95) < 0.025)
  }
}
