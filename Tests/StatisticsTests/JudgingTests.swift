import Foundation
import Statistics
import Support
import Testing

/// What verdicts are made of: tails, preliminary tests, families of tests, times with bounds.
@Suite struct JudgingTests {
  /// scipy 1.17: f.sf, chi2.sf, t.sf.
  @Test func tailsMatchScipy() {
    expect(fisherTail(3.2, 4, 11), 0.05674929234273394)
    expect(fisherTail(34.3, 5, 12), 1.0517919554063553e-06)
    expect(fisherTail(0.2, 1, 3), 0.6850376424742924)
    expect(chiSquaredTail(3.84, degreesOfFreedom: 1), 0.05004352124870519)
    expect(chiSquaredTail(11.3, degreesOfFreedom: 5), 0.04574583257311167)
    expect(chiSquaredTail(0.1, degreesOfFreedom: 7), 0.9999976885812014)
    expect(chiSquaredTail(80, degreesOfFreedom: 3), 3.0692774861724164e-17)
    expect(studentTails(2.5, degreesOfFreedom: 4), 0.06676654481198814)
    expect(studentTails(-12, degreesOfFreedom: 2), 0.00687293367715846)
    #expect(fisherTail(.infinity, 2, 3) == 0 && fisherTail(0, 2, 3) == 1)
    #expect(chiSquaredTail(0, degreesOfFreedom: 2) == 1)
    #expect(studentTails(.infinity, degreesOfFreedom: 2) == 0)
  }

  private func expect(_ value: Double, _ expected: Double) {
    #expect(abs(value - expected) <= 1e-10 * expected)
  }

  @Test func bartlettMatchesScipy() {
    let groups: [[Double]] = [[1, 3, 2, 6], [2.1, 2.2, 1.9, 2.05], [5, 9, 1, 4]]
    let variances = groups.map { Summary($0).variance }
    expect(bartlettTest(variances: variances, degreesOfFreedom: 3), 0.001159832197111691)
    #expect(bartlettTest(variances: [2, 2, 2], degreesOfFreedom: 2) == 1)
    #expect(bartlettTest(variances: [0, 0], degreesOfFreedom: 2) == 1)
    #expect(bartlettTest(variances: [0, 1], degreesOfFreedom: 2) == 0)
    #expect(bartlettTest(variances: [3], degreesOfFreedom: 2) == 1)
  }

  @Test func holmByHand() {
    // 4·0.01, 3·0.02, then 2·0.03 and 1·0.5 but not below the one before.
    let adjusted = holmAdjusted([0.02, 0.01, 0.5, 0.03])
    for (found, expected) in zip(adjusted, [0.06, 0.04, 0.5, 0.06]) {
      #expect(abs(found - expected) < 1e-15)
    }
    #expect(holmAdjusted([0.9, 0.8]) == [1, 1])
    #expect(holmAdjusted([]) == [])
  }

  // MARK: - Pooled or own

  /// Equal scatter is pooled; a loud condition, or seeds that differ along the contrast, are not.
  @Test func whatIsDoubtfulIsNotPooled() {
    let quiet = RepeatedMeasures([
      [0, 1, 3, 2], [1, 2.1, 4, 3], [2, 3, 5.1, 4], [3.1, 4, 6, 5.1],
    ])
    #expect(quiet.equalVariances > RepeatedMeasures.doubt)
    #expect(quiet.difference(1, 0).origin == .pooled)
    #expect(quiet.difference(1, 0).degreesOfFreedom == 9)
    let loud = RepeatedMeasures([
      [0, 1, 3, 2], [1.1, 2, 4, 22.8], [2.1, 3.1, 5, -16], [0.2, 1.1, 3, 9], [0.1, 1.2, 3.1, -7],
    ])
    #expect(loud.equalVariances < RepeatedMeasures.doubt)
    let own = loud.difference(1, 0)
    #expect(own.origin == .own && own.degreesOfFreedom == 4)
    // 1, 0.9, 1, 0.9, 1.1: mean 0.98, s² = 0.007.
    #expect(abs(own.value - 0.98) < 1e-12)
    let error = (0.007 / 5).squareRoot()
    #expect(abs(own.standardError - error) < 1e-12)
    #expect(loud.difference(1, 2).interval != nil)
    let weights: [Double] = [-1.5, -0.5, 0.5, 1.5]
    let tilted = RepeatedMeasures(
      (0..<3).map { (s: Int) -> [Double] in
        (0..<4).map { (i: Int) -> Double in Double(s * i) + 0.01 * Double((s + 2 * i) % 3) }
      })
    #expect(tilted.excessScatter(weights) < 0.01)
    #expect(tilted.contrast(weights).origin == .own)
    #expect(tilted.excessScatter([0.5, -0.5, -0.5, 0.5]) > 0.5)
  }

  @Test func oneSeedIsDoubtedByNobody() {
    let one = RepeatedMeasures([[1, 2, 3]])
    #expect(one.difference(1, 0).interval == nil && one.difference(1, 0).pValue == nil)
    #expect(one.equalVariances == 1 && one.excessScatter([1, -1, 0]) == 1)
    let line = RepeatedRegression(columns: [[1, 1, 1], [0, 1, 2]], observations: [[1, 2, 4]])
    #expect(line?.lackOfFit == nil)
  }

  /// Of three means over three seeds from a line with pure error: F by hand.
  @Test func lackOfFitByHand() throws {
    let observations: [[Double]] = [[0, 1, 0], [0.1, 1, -0.1], [-0.1, 1, 0.1]]
    let fit = try #require(
      RepeatedRegression(columns: [[1, 1, 1], [0, 1, 2]], observations: observations))
    // Means 0, 1, 0: the line is 1/3, its squares 2/3, times 3 seeds over 1 degree; σ² = 0.04/4.
    let test = try #require(fit.lackOfFit)
    #expect(test.degreesOfFreedom == (1, 4))
    #expect(abs(test.f - 200) < 1e-9)
    #expect(abs(test.pValue - fisherTail(200, 1, 4)) < 1e-12)
    let departures = fit.departures.map(\.value)
    for (found, expected) in zip(departures, [-1.0 / 3, 2.0 / 3, -1.0 / 3]) {
      #expect(abs(found - expected) < 1e-12)
    }
    // Means on a line lack no fit.
    let straight = try #require(
      RepeatedRegression(
        columns: [[1, 1, 1], [0, 1, 2]],
        observations: [[0, 1.1, 2], [0.2, 1, 1.8], [-0.2, 0.9, 2.2]]))
    #expect((straight.lackOfFit?.pValue ?? 0) > 0.99)
  }

  // MARK: - Times

  @Test func placesOnACurve() {
    let points: [(Double, Double)] = [(100, 0.1), (200, 0.3), (400, 0.7)]
    #expect(Reached(points, level: 0.3, rising: true) == .at(200))
    #expect(Reached(points, level: 0.05, rising: true) == .before(100))
    #expect(Reached(points, level: 0.8, rising: true) == .after(400))
    // Half way up, half way over ln x.
    let place = Reached(points, level: 0.5, rising: true)
    let middle = place.x
    #expect(abs(middle - 200 * 2.0.squareRoot()) < 1e-9)
    // Known to within a factor of 2.
    #expect(place == .at(middle, gap: log(400.0) - log(200)))
    let falling = points.map { ($0.0, -$0.1) }
    #expect(Reached(falling, level: -0.5, rising: false).x == middle)
  }

  @Test func bounds() {
    #expect(Reached.at(5).isBefore(.at(6)) && !Reached.at(5).isBefore(.at(5)))
    #expect(Reached.at(5).isBefore(.after(5)) && !Reached.at(6).isBefore(.after(5)))
    #expect(!Reached.after(5).isBefore(.at(9)) && !Reached.after(5).isBefore(.after(9)))
    #expect(Reached.before(3).isBefore(.at(4)) && !Reached.at(2).isBefore(.before(3)))
  }

  @Test func ratiosOfTimes() throws {
    let ratio = TimeRatio([.at(10), .at(20)], baseline: [.at(20), .at(40)])
    #expect(abs(try #require(ratio.ratio) - 0.5) < 1e-12)
    #expect(ratio.pValue == 0 && ratio.direction < 0 && ratio.atMost == nil)
    #expect(TimeRatio([.at(10)], baseline: [.at(20)]).pValue == nil)
  }

  /// Seeds that agree by chance promise no more than the distance of the points allows.
  @Test func theDistanceOfPointsIsAFloor() throws {
    let times = [Reached](repeating: .at(10, gap: 0.3), count: 3)
    let ratio = TimeRatio(times, baseline: [.at(11), .at(11), .at(11)])
    let resolution = (3 * 0.09 / 12.0).squareRoot() / 3
    #expect(abs(ratio.resolution - resolution) < 1e-15)
    let value = log(10.0 / 11)
    let interval = try #require(ratio.interval)
    #expect(abs(interval.high - exp(value + 1.959963984540054 * resolution)) < 1e-9)
    // z = 1.9063.
    #expect(abs(try #require(ratio.pValue) - 0.0566) < 1e-3 && interval.contains(1))
  }

  /// A run that did not get there is a bound of the ratio, and the p is that of a rank test.
  @Test func notReachedIsABound() throws {
    let times = (1...5).map { Reached.at(Double($0)) }
    let never = [Reached](repeating: .after(10), count: 5)
    let ratio = TimeRatio(times, baseline: never)
    #expect(ratio.ratio == nil && ratio.interval == nil && ratio.atLeast == nil)
    // (5!)^(1/5) / 10.
    #expect(abs(try #require(ratio.atMost) - 0.26051710846973525) < 1e-12)
    // All five before all five: 2 of 252 divisions.
    #expect(ratio.pValue == 2.0 / 252 && ratio.direction < 0)
    let reversed = TimeRatio(never, baseline: times)
    #expect(reversed.atMost == nil && reversed.atLeast != nil && reversed.direction > 0)
    #expect(reversed.pValue == 2.0 / 252)
    let neither = TimeRatio(never, baseline: never)
    #expect(neither.atMost == nil && neither.atLeast == nil && neither.pValue == 1)
    #expect(TimeRatio([.before(3)], baseline: [.after(10)]).atMost == 0.3)
    let many = [Reached](repeating: .after(10), count: 11)
    #expect(TimeRatio(many, baseline: many).pValue == nil)
  }
}
