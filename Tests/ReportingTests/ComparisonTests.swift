import Contracts
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
    // t = 0.2 / 0.057735 = 3.4641 with 2 degrees.
    #expect(abs((result.pValue ?? 0) - 0.0741799) < 1e-6)
    #expect(verdict(result, .better) == .inconclusive)
  }

  /// Of a comparison that is alone in its family.
  func verdict(
    _ result: Comparison, _ statement: Statement, largerIsBetter: Bool = true
  ) -> Verdict {
    result.verdict(
      statement, AdjustedP.family([result.pValue])[0], largerIsBetter: largerIsBetter)
  }

  @Test func samplingNoiseIsAFloor() throws {
    // Seeds that agree by chance promise no more than the samples allow: σ² of a difference is
    // 2 · 0.03², of the mean of 3 differences 0.03 · √(2/3); times 1.959964.
    let result = comparison([0.6, 0.6, 0.6], [0.5, 0.5, 0.5], error: 0.03)
    let interval = try #require(result.interval)
    #expect(abs(result.samplingError - 0.03 * (2.0 / 3).squareRoot()) < 1e-12)
    #expect(abs(interval.high - 0.1 - 1.959964 * result.samplingError) < 1e-6)
    // p and interval agree: z = 0.1 / 0.0244949 = 4.0825.
    #expect(abs((result.pValue ?? 0) - 4.456e-5) < 1e-7)
    #expect(comparison([0.6, 0.7, 0.5], [0.5, 0.6, 0.3], error: .nan).samplingError == 0)
  }

  @Test(arguments: [
    ([0.8, 0.81, 0.82], [0.5, 0.51, 0.52], Verdict.sameDirection, Verdict.oppositeDirection),
    ([0.5, 0.51, 0.52], [0.8, 0.81, 0.82], .oppositeDirection, .sameDirection),
    ([0.5, 0.6, 0.7], [0.6, 0.5, 0.7], .inconclusive, .inconclusive),
    // One seed says nothing of seeds.
    ([0.9], [0.1], .inconclusive, .inconclusive),
  ])
  func verdicts(a: [Double], b: [Double], better: Verdict, worse: Verdict) {
    let result = comparison(a, b, error: 0.001)
    #expect(verdict(result, .better) == better)
    #expect(verdict(result, .worse) == worse)
    // A loss is better when it is smaller.
    #expect(verdict(result, .better, largerIsBetter: false) == worse)
    #expect(verdict(result, .worse, largerIsBetter: false) == better)
    #expect((result.interval == nil) == (a.count == 1))
  }

  @Test func equalScoresAreInconclusive() {
    let result = comparison([0, 0, 0], [0, 0, 0])
    #expect(result.interval == Interval(low: 0, high: 0))
    #expect(verdict(result, .better) == .inconclusive)
  }

  /// A claim that is sure alone need not be among others.
  @Test func theFamilyCounts() {
    let result = comparison([0.8, 0.81, 0.85], [0.7, 0.72, 0.71], error: 0.001)
    let alone = AdjustedP.family([result.pValue])
    #expect((0.01..<0.05).contains(alone[0].holm ?? 1))
    #expect(verdict(result, .better) == .sameDirection)
    let many = AdjustedP.family([Double?](repeating: result.pValue, count: 6) + [nil])
    #expect(many[0].holm == (result.pValue ?? 0) * 7 && many[6].holm == nil)
    #expect(result.verdict(.better, many[0], largerIsBetter: true) == .inconclusive)
  }

  /// What is near, and how many seeds would settle it: the first n with t(n − 1) beyond p = 0.01.
  @Test func nearVerdictsAreNamed() throws {
    let result = comparison([0.6, 0.8, 0.7], [0.5, 0.6, 0.4], error: 0)
    let p = AdjustedP.family([result.pValue])[0]
    let near = try #require(NearVerdict(p, result.estimate, seeds: 3))
    // t = 2·√n against 4.604, 4.032: 0.0111 with five seeds, 0.0045 with six.
    #expect(near.seeds == 6)
    // Thirty seeds are no range to look beyond.
    let seeds = (0..<30).map { Double($0 % 3) / 10 }
    let many = comparison(seeds.map { $0 + 0.06 }, seeds.map { 0.2 - $0 }, error: 0)
    let alone = AdjustedP.family([many.pValue])[0]
    #expect(try #require(NearVerdict(alone, many.estimate, seeds: 30)).seeds == nil)
    let far = comparison([0.9, 0.91, 0.905], [0.1, 0.11, 0.1], error: 0)
    #expect(NearVerdict(AdjustedP.family([far.pValue])[0], far.estimate, seeds: 3) == nil)
    let nothing = comparison([0.6, 0.5, 0.7], [0.6, 0.61, 0.6], error: 0)
    #expect(NearVerdict(AdjustedP.family([nothing.pValue])[0], nothing.estimate, seeds: 3) == nil)
  }
}
