import Foundation
import Testing
import Training

@Suite struct LearningRateScheduleTests {
  private func schedule(
    _ kind: LearningRateSchedule.Kind, warmup: Int = 10, final: Double = 0.1, steps: Int = 110
  ) -> LearningRateSchedule {
    LearningRateSchedule(
      kind: kind, peak: 0.5, warmupSteps: warmup, finalFraction: final, steps: steps)
  }

  @Test func warmsUpInAStraightLineToThePeak() {
    let schedule = schedule(.cosine)
    for step in 1...10 { #expect(schedule.rate(step: step) == 0.5 * Double(step) / 10) }
  }

  @Test func cosineFollowsItsFormula() {
    let schedule = schedule(.cosine)
    for step in 11...110 {
      let progress = Double(step - 10) / 100
      let expected = 0.05 + 0.45 * 0.5 * (1 + cos(progress * .pi))
      #expect(abs(schedule.rate(step: step) - expected) < 1e-15)
    }
    #expect(abs(schedule.rate(step: 60) - 0.275) < 1e-15)
    #expect(abs(schedule.rate(step: 110) - 0.05) < 1e-15)
  }

  @Test func linearAndConstant() {
    #expect(abs(schedule(.linear).rate(step: 60) - 0.275) < 1e-15)
    #expect(abs(schedule(.linear).rate(step: 110) - 0.05) < 1e-15)
    #expect(schedule(.constant).rate(step: 110) == 0.5)
  }

  @Test func withoutWarmUpTheFirstStepIsAlreadyOnTheCurve() {
    let schedule = schedule(.cosine, warmup: 0, final: 0, steps: 2)
    #expect(abs(schedule.rate(step: 1) - 0.25) < 1e-15)
    #expect(abs(schedule.rate(step: 2)) < 1e-15)
  }

  @Test func aRunOfOneStepEndsAtItsFinalRate() {
    #expect(abs(schedule(.cosine, warmup: 0, final: 0.2, steps: 1).rate(step: 1) - 0.1) < 1e-15)
  }
}
