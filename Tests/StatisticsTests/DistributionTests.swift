import Statistics
import Testing

@Suite struct DistributionTests {
  /// Upper quantiles of Student's t from the printed tables (three decimals).
  @Test(arguments: [
    (0.95, 1.0, 6.314), (0.975, 1.0, 12.706), (0.995, 1.0, 63.657),
    (0.95, 2.0, 2.920), (0.975, 2.0, 4.303), (0.995, 2.0, 9.925),
    (0.975, 3.0, 3.182), (0.975, 4.0, 2.776), (0.975, 5.0, 2.571), (0.975, 10.0, 2.228),
    (0.9, 30.0, 1.310), (0.975, 30.0, 2.042), (0.995, 120.0, 2.617),
  ])
  func studentQuantilesMatchTheTable(p: Double, nu: Double, expected: Double) {
    #expect(abs(studentQuantile(p, degreesOfFreedom: nu) - expected) < 5.1e-4)
    #expect(abs(studentQuantile(1 - p, degreesOfFreedom: nu) + expected) < 5.1e-4)
  }

  /// With one degree of freedom the distribution is Cauchy, with two algebraic: exact forms.
  @Test(arguments: [-30.0, -2.5, -0.1, 0, 0.3, 1, 4, 100])
  func studentDistributionMatchesClosedForms(t: Double) {
    let two = 0.5 + t / (2 * (2 + t * t).squareRoot())
    #expect(abs(studentDistribution(t, degreesOfFreedom: 2) - two) < 1e-13)
    if t == 1 { #expect(abs(studentDistribution(t, degreesOfFreedom: 1) - 0.75) < 1e-13) }
  }

  @Test func incompleteBetaClosedForms() {
    for x in [0.0, 0.01, 0.3, 0.5, 0.77, 0.999, 1] {
      // I_x(1, 1) = x, I_x(2, 1) = x², I_x(1, 3) = 1 − (1−x)³, I_x(2, 2) = 3x² − 2x³
      #expect(abs(regularizedIncompleteBeta(a: 1, b: 1, x: x) - x) < 1e-13)
      #expect(abs(regularizedIncompleteBeta(a: 2, b: 1, x: x) - x * x) < 1e-13)
      let cubed = (1 - x) * (1 - x) * (1 - x)
      #expect(abs(regularizedIncompleteBeta(a: 1, b: 3, x: x) - (1 - cubed)) < 1e-13)
      let symmetric = x * x * (3 - 2 * x)
      #expect(abs(regularizedIncompleteBeta(a: 2, b: 2, x: x) - symmetric) < 1e-13)
    }
    let swapped = 1 - regularizedIncompleteBeta(a: 250, b: 0.5, x: 0.02)
    #expect(abs(regularizedIncompleteBeta(a: 0.5, b: 250, x: 0.98) - swapped) < 1e-13)
  }

  @Test func normalQuantileMatchesKnownDigits() {
    #expect(abs(normalQuantile(0.975) - 1.959963984540054) < 1e-13)
    #expect(abs(normalQuantile(0.995) - 2.5758293035489004) < 1e-13)
    #expect(abs(normalQuantile(0.025) + 1.959963984540054) < 1e-13)
    #expect(normalQuantile(0.5).magnitude < 1e-13)
    #expect(abs(studentQuantile(0.975, degreesOfFreedom: 1e7) - normalQuantile(0.975)) < 1e-6)
  }
}
