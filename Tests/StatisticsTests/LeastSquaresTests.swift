import Statistics
import Support
import Testing

@Suite struct LeastSquaresTests {
  /// Norris, NIST Statistical Reference Datasets: 36 observations, certified to 15 digits.
  static let norrisX: [Double] = [
    0.2, 337.4, 118.2, 884.6, 10.1, 226.5, 666.3, 996.3, 448.6, 777.0, 558.2, 0.4, 0.6, 775.5,
    666.9, 338.0, 447.5, 11.6, 556.0, 228.1, 995.8, 887.6, 120.2, 0.3, 0.3, 556.8, 339.1, 887.2,
    999.0, 779.0, 11.1, 118.3, 229.2, 669.1, 448.9, 0.5,
  ]
  static let norrisY: [Double] = [
    0.1, 338.8, 118.1, 888.0, 9.2, 228.1, 668.5, 998.5, 449.1, 778.9, 559.2, 0.3, 0.1, 778.1,
    668.8, 339.3, 448.9, 10.8, 557.7, 228.3, 998.0, 888.8, 119.6, 0.3, 0.6, 557.6, 339.3, 888.0,
    998.5, 778.9, 10.2, 117.6, 228.9, 668.4, 449.2, 0.2,
  ]

  @Test func certifiedLine() throws {
    let ones = [Double](repeating: 1, count: 36)
    let fit = try #require(LeastSquares(columns: [ones, Self.norrisX], Self.norrisY))
    #expect(abs(fit.coefficients[0] + 0.262323073774029) < 1e-11)
    #expect(abs(fit.coefficients[1] - 1.00211681802045) < 1e-13)
    #expect(abs(fit.residualVariance.squareRoot() - 0.884796396144373) < 1e-11)
    #expect(abs(fit.rSquared - 0.999993745883712) < 1e-13)
    #expect(fit.degreesOfFreedom == 34)
    // Certified standard errors, times t(0.975, 34) = 2.032244509.
    let (a, b) = (try #require(fit.interval(0)), try #require(fit.interval(1)))
    let (halfA, halfB) = ((a.high - a.low) / 2, (b.high - b.low) / 2)
    let t = 2.032244509
    #expect(abs(halfA - t * 0.232818234301152) < 1e-8)
    #expect(abs(halfB - t * 0.429796848199937e-3) < 1e-11)
  }

  @Test func exactParabola() throws {
    let x: [Double] = [-2, -1, 0, 1, 3, 4]
    let y = x.map { (z: Double) -> Double in 2 - 3 * z + z * z }
    let fit = try #require(LeastSquares(columns: [x.map { _ in 1 }, x, x.map { $0 * $0 }], y))
    for (found, expected) in zip(fit.coefficients, [2.0, -3, 1]) {
      #expect(abs(found - expected) < 1e-12)
    }
    #expect(fit.residuals.allSatisfy { abs($0) < 1e-12 })
    #expect(abs(dot(fit.contrast(at: [1, 2, 4]), y)) < 1e-12)
  }

  @Test func noSolutionAndNoDegrees() throws {
    #expect(LeastSquares(columns: [[1, 1, 1], [2, 2, 2]], [1, 2, 3]) == nil)
    #expect(LeastSquares(columns: [[1], [2]], [1]) == nil)
    let saturated = try #require(LeastSquares(columns: [[1, 1], [0, 1]], [3, 5]))
    #expect(saturated.degreesOfFreedom == 0)
    #expect(saturated.interval(1) == nil)
    #expect(abs(saturated.coefficients[0] - 3) < 1e-9)
    #expect(abs(saturated.coefficients[1] - 2) < 1e-9)
  }

  func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
}

@Suite struct RepeatedMeasuresTests {
  @Test func additiveModelByHand() throws {
    // Two subjects under three conditions. Subject means 2 and 4, condition means 2, 3, 4, all 3.
    // Residuals of y − ȳₛ − ȳᵢ + ȳ: ±0.5, 0, ∓0.5; squares sum to 1, 2 degrees of freedom.
    let measures = RepeatedMeasures([[1.5, 2, 2.5], [2.5, 4, 5.5]])
    #expect(measures.means == [2, 3, 4])
    #expect(measures.degreesOfFreedom == 2)
    #expect(abs(measures.errorVariance - 0.5) < 1e-12)
    #expect(abs(measures.subjectVariance - 2) < 1e-12)
    let difference = measures.pooled([-1, 0, 1])
    #expect(difference.value == 2)
    #expect(abs(difference.standardError - 0.5.squareRoot()) < 1e-12)
    // t(0.975, 2) = 4.302652730.
    let interval = try #require(difference.interval)
    let high = 2 + 4.302652730 * 0.5.squareRoot()
    #expect(abs(interval.high - high) < 1e-6)
    // Its own differences are 1 and 3: one degree, √(2/2).
    let own = measures.own([-1, 0, 1])
    #expect(own.value == 2 && own.degreesOfFreedom == 1)
    #expect(abs(own.standardError - 1) < 1e-12)
  }

  @Test func whatASubjectSharesCancels() {
    let base = [[1.0, 1.1, 0.9, 1.3], [1.2, 1.0, 1.0, 1.1]]
    let shifted = [base[0].map { $0 + 100 }, base[1]]
    let (a, b) = (RepeatedMeasures(base), RepeatedMeasures(shifted))
    #expect(abs(a.errorVariance - b.errorVariance) < 1e-9)
    #expect(abs(a.difference(3, 0).standardError - b.difference(3, 0).standardError) < 1e-9)
  }

  @Test func oneSubjectKnowsNoError() throws {
    let measures = RepeatedMeasures([[1, 2, 4]])
    #expect(measures.difference(1, 0).interval == nil)
    // A line still has its scatter.
    let line = try #require(
      RepeatedRegression(columns: [[1, 1, 1], [0, 1, 2]], observations: [[1, 2, 4]]))
    #expect(line.coefficient(1).interval != nil)
    let saturated = try #require(
      RepeatedRegression(columns: [[1, 1], [0, 1]], observations: [[1, 2], [1, 3]]))
    #expect(saturated.coefficient(1).interval == nil)
  }

  @Test func scaling() {
    let half = RepeatedMeasures([[1.5, 2, 2.5], [2.5, 4, 5.5]]).difference(2, 0).scaled(by: -0.5)
    #expect(half.value == -1)
    #expect((half.interval?.low ?? 0) < -1 && (half.interval?.high ?? 0) > -1)
  }

  /// Draws y[s][i] = line(i) + bend(i) + subject + noise.
  func draw(
    _ index: Int, x: [Double], bend: Double, subject: Double, noise: Double, subjects: Int
  ) -> [[Double]] {
    var stream = RandomStream(seed: 5, name: "repeated measures", index: UInt64(index))
    let lack = x.map { _ in bend * stream.normal() }
    return (0..<subjects).map { _ in
      let shift = subject * stream.normal()
      return x.indices.map { 2.7 - 0.1 * x[$0] + lack[$0] + shift + noise * stream.normal() }
    }
  }

  /// The 95 % intervals hold the truth at least that often, whether the scatter comes from subjects or
  /// from what the line does not follow; a shift that subjects share does not widen slopes.
  @Test(arguments: [(0.0, 0.05, 0.004), (0.005, 0.05, 0.002), (0, 0, 0.01), (0.01, 0.2, 0)])
  func coverage(bend: Double, subject: Double, noise: Double) throws {
    let x: [Double] = [3.6, 3.7, 3.9, 4.3, 4.8, 5.4, 6.0]
    let ones = x.map { _ in 1.0 }
    let draws = 2000
    var (slopes, intercepts, curvatures, width) = (0, 0, 0, 0.0)
    for index in 0..<draws {
      let data = draw(index, x: x, bend: bend, subject: subject, noise: noise, subjects: 3)
      let line = try #require(RepeatedRegression(columns: [ones, x], observations: data))
      let curve = try #require(
        RepeatedRegression(
          columns: [ones, x.map { $0 - 4.5 }, x.map { ($0 - 4.5) * ($0 - 4.5) }],
          observations: data))
      let slope = try #require(line.coefficient(1).interval)
      if slope.contains(-0.1) { slopes += 1 }
      width += slope.high - slope.low
      if line.coefficient(0).interval?.contains(2.7) == true { intercepts += 1 }
      if curve.coefficient(2).interval?.contains(0) == true { curvatures += 1 }
    }
    // 0.95 less four standard errors of a frequency from so many draws.
    let least = Int(Double(draws) * (0.95 - 4 * (0.95 * 0.05 / Double(draws)).squareRoot()))
    #expect(slopes >= least)
    #expect(curvatures >= least)
    #expect(intercepts >= least)
    // Not by being endlessly wide: within three times what the true spread allows.
    let sum = x.reduce(0) { $0 + ($1 - 4.53) * ($1 - 4.53) }
    let spread = ((bend * bend + noise * noise / 3) / sum).squareRoot()
    let mean = width / Double(draws)
    #expect(mean < 11.76 * spread)
  }

  /// Pooled differences hold the truth, for two subjects too.
  @Test(arguments: [2, 3]) func coverageOfDifferences(subjects: Int) {
    var held = 0
    let draws = 2000
    for index in 0..<draws {
      let data = draw(
        index, x: [0, 1, 2, 3, 4, 5, 6], bend: 0, subject: 0.3, noise: 0.01, subjects: subjects)
      if RepeatedMeasures(data).difference(4, 1).interval?.contains(-0.3) == true { held += 1 }
    }
    let share = Double(held) / Double(draws)
    #expect(abs(share - 0.95) < 0.02)
  }
}
