import Contracts
import Foundation

/// Learning rate as a function of the step alone, so that a run resumes anywhere without state.
///
/// Steps are counted from 1. With peak `η`, warm-up `W`, total `S`, final fraction `f` and
/// progress `p = (t − W)/(S − W)`:
///
///     t ≤ W:              η·t/W
///     t > W, cosine:      η·(f + (1 − f)·(1 + cos πp)/2)
///     t > W, linear:      η·(1 − (1 − f)·p)
///     t > W, constant:    η
///
/// The rate at `t = S` is `η·f` for cosine and linear.
package struct LearningRateSchedule: Sendable, Equatable {
  package typealias Kind = TrainParameters.Schedule.Kind

  package let kind: Kind
  package let peak: Double
  package let warmupSteps: Int
  package let finalFraction: Double
  package let steps: Int

  /// - Precondition: `0 ≤ warmupSteps < steps`, `0 ≤ finalFraction ≤ 1`.
  package init(kind: Kind, peak: Double, warmupSteps: Int, finalFraction: Double, steps: Int) {
    precondition(warmupSteps >= 0 && warmupSteps < steps, "warm-up must end before the last step")
    precondition(finalFraction >= 0 && finalFraction <= 1, "a final fraction lies in 0...1")
    self.kind = kind
    self.peak = peak
    self.warmupSteps = warmupSteps
    self.finalFraction = finalFraction
    self.steps = steps
  }

  /// Learning rate of step `step`, `1 ≤ step ≤ steps`.
  package func rate(step: Int) -> Double {
    precondition(step >= 1 && step <= steps, "steps are counted from 1")
    if step <= warmupSteps { return peak * Double(step) / Double(warmupSteps) }
    let progress = Double(step - warmupSteps) / Double(steps - warmupSteps)
    switch kind {
    case .constant: return peak
    case .linear: return peak * (1 - (1 - finalFraction) * progress)
    case .cosine:
      let wave = (1 + cos(Double.pi * progress)) / 2
      return peak * (finalFraction + (1 - finalFraction) * wave)
    }
  }
}
