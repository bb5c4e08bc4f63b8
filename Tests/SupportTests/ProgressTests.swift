import Support
import Testing

@Suite struct ProgressTests {
  @Test func saysShareRateAndTimeToGo() {
    let progress = Progress("train", unit: "steps", total: 4000)
    #expect(
      progress.line(done: 1000, seconds: 10, detail: "loss 0.8")
        == "train 1000/4000 steps (25 %), 100 steps/s, 0:30 to go, loss 0.8")
  }

  @Test func theRateIsThatOfThisProcess() {
    let resumed = Progress("train", unit: "steps", total: 4000, done: 3000)
    #expect(
      resumed.line(done: 3100, seconds: 100, detail: "")
        == "train 3100/4000 steps (77 %), 1.00 steps/s, 15:00 to go")
  }

  @Test func withoutWorkThereIsNoRate() {
    let progress = Progress("x", unit: "files", total: 0)
    #expect(progress.line(done: 0, seconds: 0, detail: "") == "x 0/0 files (100 %)")
  }

  @Test(
    arguments: [
      (0.1234, "0.123"), (1, "1.00"), (41.25, "41.2"), (412.4, "412"), (1234, "1.23 k"),
      (45_600_000, "45.6 M"), (7.89e9, "7.89 G"),
    ] as [(Double, String)])
  func shortNumbers(value: Double, text: String) {
    #expect(Progress.short(value) == text)
  }

  @Test(arguments: [(0, "0:00"), (6.2, "0:07"), (754, "12:34"), (3723, "1:02:03")])
  func clockTimes(seconds: Double, text: String) {
    #expect(Progress.clock(seconds) == text)
  }
}
