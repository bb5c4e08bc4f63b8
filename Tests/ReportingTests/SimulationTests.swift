import Reporting
import Testing

/// The rules keep their promises where the truth is known; `results/simulations.csv` has more draws.
@Suite struct SimulationTests {
  @Test func promisesAreKept() {
    for row in Simulation.rows where row.promise != nil {
      let share = row.share(draws: 200)
      #expect(
        row.isKept(share, draws: 200),
        "\(row.group), \(row.scenario), \(row.seeds) seeds, \(row.counted): \(share)")
    }
  }

  @Test func theTableIsTheSameAgain() {
    let csv = Simulation.csv(draws: 3)
    #expect(csv == Simulation.csv(draws: 3))
    let lines = csv.split(separator: "\n")
    #expect(lines.count == 1 + Simulation.rows.count)
    #expect(lines[0] == "group,scenario,seeds,counted,promise,share,standard_error")
    #expect(
      lines.allSatisfy { $0.split(separator: ",", omittingEmptySubsequences: false).count == 7 })
  }

  /// Pooling whatever the data say breaks the promise that the rule keeps: the table can fail.
  @Test func aWorseRuleIsFoundOut() throws {
    let rows = Simulation.rows.filter {
      $0.scenario == "one of six variants five times as noisy" && $0.seeds == 5
    }
    let (rule, pooled) = (
      try #require(rows.first { $0.counted.hasSuffix("the rule") }),
      try #require(rows.first { $0.counted.hasSuffix("pooled always") })
    )
    #expect(rule.isKept(rule.share(draws: 300), draws: 300))
    #expect(!rule.isKept(pooled.share(draws: 300), draws: 300))
  }
}
