import Contracts
import Foundation
import Statistics
import Support

/// How many sentences a variant needs where its baseline needs so many.
package struct Speed: Sendable, Equatable {
  /// Up to what is counted.
  package enum Goal: String, CaseIterable, Sendable {
    /// The excess loss at which the one of the two that ended worse has ended, by seed. Both reach it.
    case excess
    case accuracy50
    case accuracy90
  }

  package let goal: Goal
  /// By seed.
  package let variant, baseline: [Reached]
  package let ratio: TimeRatio

  init(_ goal: Goal, variant: [EvaluatedRun], baseline: [EvaluatedRun]) {
    func times(_ runs: [EvaluatedRun], _ other: [EvaluatedRun]) -> [Reached] {
      zip(runs, other).map { run, other in
        switch goal {
        case .excess:
          Reached(
            run.points.map { (Double($0.sentences), $0.excessNatsPerCharacter) },
            level: max(run.final.excessNatsPerCharacter, other.final.excessNatsPerCharacter),
            rising: false)
        case .accuracy50, .accuracy90:
          Reached(
            run.points.map { (Double($0.sentences), $0.accuracy) },
            level: goal == .accuracy50 ? 0.5 : 0.9, rising: true)
        }
      }
    }
    self.goal = goal
    self.variant = times(variant, baseline)
    self.baseline = times(baseline, variant)
    ratio = TimeRatio(self.variant, baseline: self.baseline)
  }

  /// Fewer sentences are the side of "better".
  package func verdict(_ statement: Statement, _ p: AdjustedP) -> Verdict {
    .direction(
      pHolm: p.holm, agrees: statement == .better ? ratio.direction < 0 : ratio.direction > 0)
  }

  func value(_ statement: Statement, _ p: AdjustedP) -> ConfigValue {
    .object(
      ratio.members(variant, baseline: baseline).merging(p.members) { $1 }
        .merging(["verdict": .string(verdict(statement, p).rawValue)]) { $1 })
  }

  package var text: String { ratio.text }
}

extension TimeRatio {
  /// As it stands in a result file, with the times that it is of.
  func members(_ times: [Reached], baseline: [Reached]) -> [String: ConfigValue] {
    func number(_ value: Double?) -> ConfigValue { value.map(ConfigValue.number) ?? .null }
    func places(_ times: [Reached]) -> ConfigValue {
      .array(
        times.map {
          switch $0 {
          case .before(let x): ["before": .double(x)]
          case .at(let x, _): ["at": .double(x)]
          case .after(let x): ["after": .double(x)]
          }
        })
    }
    return [
      "resolution": .double(resolution), "ratio": number(ratio), "low": number(interval?.low),
      "high": number(interval?.high), "atMost": number(atMost), "atLeast": number(atLeast),
      "model": places(times), "baseline": places(baseline),
    ]
  }

  /// "× 0.41 [0.35, 0.48]", "× at most 0.60", "not reached".
  package var text: String {
    func digits(_ value: Double) -> String {
      let hundredths = Int((value * 100).rounded())
      return "\(hundredths / 100).\(String(100 + hundredths % 100).dropFirst())"
    }
    if let middle = ratio {
      return "× " + digits(middle)
        + (interval.map { " [\(digits($0.low)), \(digits($0.high))]" } ?? "")
    }
    if let most = atMost { return "× at most \(digits(most))" }
    if let least = atLeast { return "× at least \(digits(least))" }
    return "not reached by all"
  }
}

extension EvaluatedRun {
  /// How much the excess loss fell over the last doubling of the sentences, on the line over ln sentences
  /// between snapshots; nil where the first snapshot came later.
  package var lastDoubling: Double? {
    let half = Double(final.sentences) / 2
    guard let after = points.firstIndex(where: { Double($0.sentences) >= half }) else { return nil }
    let b = points[after]
    if Double(b.sentences) == half {
      return b.excessNatsPerCharacter - final.excessNatsPerCharacter
    }
    if after == 0 { return nil }
    let a = points[after - 1]
    let share =
      log(half / Double(a.sentences)) / log(Double(b.sentences) / Double(a.sentences))
    let middle =
      a.excessNatsPerCharacter
      + share * (b.excessNatsPerCharacter - a.excessNatsPerCharacter)
    return middle - final.excessNatsPerCharacter
  }
}
