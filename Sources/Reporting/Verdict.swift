import Contracts
import Foundation
import Statistics
import Support

/// What the evidence says of a statement of the paper.
package enum Verdict: String, CaseIterable, Sendable {
  /// Of a statement of direction. The same direction is not the same size: that is said by a ratio.
  case sameDirection = "same direction"
  case oppositeDirection = "opposite direction"
  /// Of a statement of shape.
  case reproduced
  case notReproduced = "not reproduced"
  case inconclusive

  /// The chance of any false verdict among the claims of a figure.
  package static let level = 0.05

  /// Of a direction: by a p that is adjusted for the figure's other claims.
  ///
  /// - Parameter agrees: whether the effect lies on the side that the paper says.
  package static func direction(pHolm: Double?, agrees: Bool) -> Verdict {
    guard let pHolm, pHolm < level else { return .inconclusive }
    return agrees ? .sameDirection : .oppositeDirection
  }
}

/// A two-sided p beside that which Holm's rule makes of it within its family.
package struct AdjustedP: Sendable, Equatable {
  /// nil where nothing is known of the error: the test counts in its family, and can never reject.
  package let own: Double?
  package let holm: Double?

  package static func family(_ p: [Double?]) -> [AdjustedP] {
    let adjusted = holmAdjusted(p.map { $0 ?? 1 })
    return zip(p, adjusted).map { AdjustedP(own: $0, holm: $0 == nil ? nil : $1) }
  }

  var members: [String: ConfigValue] {
    ["p": own.map(ConfigValue.number) ?? .null, "pHolm": holm.map(ConfigValue.number) ?? .null]
  }
}

/// A verdict that few more seeds could turn, and how many would settle it.
package struct NearVerdict: Sendable, Equatable {
  /// Adjusted p between which a verdict is near.
  package static let range = 0.01..<0.25
  package static let fewestSeeds = 5
  package static let mostSeeds = 30

  /// Seeds in all with which the adjusted p would fall below `range`, if effect and scatter stayed as they
  /// are; nil where `mostSeeds` would not do, as where the error is that of a fit.
  package let seeds: Int?

  /// - Parameters:
  ///   - estimate: mean of so many `seeds`; its error falls with the root of their number.
  /// - Returns: nil where the verdict is not near.
  package init?(_ p: AdjustedP, _ estimate: Estimate, seeds: Int) {
    guard let own = p.own, let holm = p.holm, Self.range.contains(holm), own > 0,
      estimate.degreesOfFreedom.isFinite, seeds > 1
    else { return nil }
    let spread = estimate.standardError * Double(seeds).squareRoot()
    // Degrees of freedom grow with the seeds: (n − 1) times as many as one seed more brings.
    let perSeed = estimate.degreesOfFreedom / Double(seeds - 1)
    guard estimate.origin != .fit, seeds < Self.mostSeeds else {
      self.seeds = nil
      return
    }
    self.seeds = (max(seeds + 1, Self.fewestSeeds)...Self.mostSeeds).first { n in
      let t = estimate.value / (spread / Double(n).squareRoot())
      return studentTails(t, degreesOfFreedom: perSeed * Double(n - 1)) * (holm / own)
        < Self.range.lowerBound
    }
  }

  var value: ConfigValue { ["seedsToSettle": seeds.map(ConfigValue.integer) ?? .null] }

  /// For people: "3-gram input, small: near (adjusted p 0.06); 5 seeds would settle it".
  func text(_ claim: String, _ p: AdjustedP) -> String {
    "\(claim): near (adjusted p \(String(format: "%.3f", p.holm ?? .nan))); "
      + (seeds.map { "\($0) seeds would settle it" }
        ?? "not even \(Self.mostSeeds) seeds would settle it")
      + ", if effect and scatter stay as they are"
  }
}

// MARK: - Numbers in result files

extension Estimate {
  /// The estimate as it stands in a result file.
  var result: ConfigValue { .object(members) }

  var members: [String: ConfigValue] {
    [
      "value": .number(value), "standardError": .number(standardError),
      "degreesOfFreedom": .number(degreesOfFreedom), "error": .string(origin.rawValue),
      "low": interval.map { .number($0.low) } ?? .null,
      "high": interval.map { .number($0.high) } ?? .null,
    ]
  }

  /// "-0.170 [-0.182, -0.158]".
  var text: String {
    Figure.signed(value)
      + (interval.map { " [\(Figure.signed($0.low)), \(Figure.signed($0.high))]" } ?? "")
  }

  /// This effect in parts of the paper's, whose number is taken as exact; nil where the paper's is 0.
  func ratio(to paper: Double) -> ConfigValue? {
    if paper == 0 { return nil }
    let ratio = scaled(by: 1 / paper)
    return [
      "value": .number(ratio.value), "low": ratio.interval.map { .number($0.low) } ?? .null,
      "high": ratio.interval.map { .number($0.high) } ?? .null,
    ]
  }
}

extension ConfigValue {
  /// A number, or null where it is none.
  static func number(_ value: Double) -> ConfigValue { value.isFinite ? .double(value) : .null }
}

extension Figure {
  /// Three decimals with a sign.
  static func signed(_ value: Double) -> String {
    let thousandths = Int((abs(value) * 1000).rounded())
    let digits = String(1000 + thousandths % 1000).dropFirst()
    return "\(value < 0 && thousandths > 0 ? "-" : "+")\(thousandths / 1000).\(digits)"
  }
}

extension [StatementSource?] {
  /// Of the column that has the statements.
  var heading: String { contains(.ours) ? "statement" : "paper says" }
}

/// How what is judged is called: the paper's, or ours.
extension StatementSource? {
  func cell(_ says: String) -> String { says + (self == .ours ? " (ours)" : "") }

  /// In a sentence.
  var says: String { self == .ours ? "we say" : "paper says" }
}
