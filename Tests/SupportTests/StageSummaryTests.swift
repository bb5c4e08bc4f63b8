import Support
import Testing

@Suite struct StageSummaryTests {
  @Test func ratesAreAmountsOverSeconds() {
    let summary = StageSummary("made 2 things", amounts: ["symbols": 300, "bytes": 12])
    #expect(
      summary.facts(seconds: 1.5) == [
        "symbolsPerSecond": .double(200), "bytesPerSecond": .double(8),
      ])
    #expect(summary.line(seconds: 1.5) == "made 2 things in 1.50 s (8.00 bytes/s, 200 symbols/s)")
    #expect(StageSummary("done", amounts: [:]).line(seconds: 0.049) == "done in 0.05 s")
  }

  /// A stage can be over within one tick of the clock.
  @Test func noTimeIsNoInfinity() {
    let facts = StageSummary("", amounts: ["symbols": 1]).facts(seconds: 0)
    guard case .double(let rate)? = facts["symbolsPerSecond"] else {
      Issue.record("no rate")
      return
    }
    #expect(rate.isFinite && rate > 1e8)
  }
}
