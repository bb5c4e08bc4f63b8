import Foundation
import Reporting
import Statistics
import Testing

@Suite struct ComparisonTests {
  func comparison(_ a: [Double], _ b: [Double], error: Double = 0) -> Comparison {
    Comparison(variant: a.map { ($0, error) }, baseline: b.map { ($0, error) })
  }

  @Test func pairedInterval() throws {
    // Differences 0.1, 0.2, 0.3: mean 0.2, s = 0.1, t(0.975, 2) = 4.302653, s/√3 = 0.057735.
    let result = comparison([0.6, 0.8, 0.7], [0.5, 0.6, 0.4])
    let interval = try #require(result.interval)
    #expect(abs(result.effect - 0.2) < 1e-12)
    #expect(abs(interval.high - 0.2 - 4.302653 * 0.0577350269) < 1e-6)
    #expect(abs(interval.low - 0.2 + 4.302653 * 0.0577350269) < 1e-6)
    #expect(result.verdict(.better, largerIsBetter: true) == .inconclusive)
  }

  @Test func samplingNoiseIsAFloor() throws {
    // Seeds that agree by chance promise no more than the samples allow: σ² of a difference is
    // 2 · 0.03², of the mean of 3 differences 0.03 · √(2/3); times 1.959964.
    let result = comparison([0.6, 0.6, 0.6], [0.5, 0.5, 0.5], error: 0.03)
    let interval = try #require(result.interval)
    #expect(abs(result.samplingError - 0.03 * (2.0 / 3).squareRoot()) < 1e-12)
    #expect(abs(interval.high - 0.1 - 1.959964 * result.samplingError) < 1e-6)
  }

  @Test(arguments: [
    ([0.8, 0.81, 0.82], [0.5, 0.51, 0.52], Verdict.reproduced, Verdict.notReproduced),
    ([0.5, 0.51, 0.52], [0.8, 0.81, 0.82], .notReproduced, .reproduced),
    ([0.5, 0.6, 0.7], [0.6, 0.5, 0.7], .inconclusive, .inconclusive),
    // One seed says nothing of seeds.
    ([0.9], [0.1], .inconclusive, .inconclusive),
  ])
  func verdicts(a: [Double], b: [Double], better: Verdict, worse: Verdict) {
    let result = comparison(a, b, error: 0.001)
    #expect(result.verdict(.better, largerIsBetter: true) == better)
    #expect(result.verdict(.worse, largerIsBetter: true) == worse)
    // A loss is better when it is smaller.
    #expect(result.verdict(.better, largerIsBetter: false) == worse)
    #expect(result.verdict(.worse, largerIsBetter: false) == better)
    #expect((result.interval == nil) == (a.count == 1))
  }

  @Test func equalScoresAreInconclusive() {
    let result = comparison([0, 0, 0], [0, 0, 0])
    #expect(result.interval == Interval(low: 0, high: 0))
    #expect(result.verdict(.better, largerIsBetter: true) == .inconclusive)
  }
}
