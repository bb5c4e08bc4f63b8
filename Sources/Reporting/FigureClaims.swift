import Contracts
import Statistics
import Support

/// The figure's result file: every claim of the paper with effect, interval and verdict.
extension Figure {
  package struct JudgedClaim: Sendable {
    package let claim: FigureParameters.Claim
    package let accuracy: Comparison
    package let excess: Comparison

    /// The paper's figure shows accuracy, so accuracy decides; the loss stands beside it.
    package var verdict: Verdict { accuracy.verdict(claim.statement, largerIsBetter: true) }
  }

  /// Every claim, in the order of the parameters, judged at the last snapshot.
  package var judgedClaims: [JudgedClaim] {
    parameters.claims.map { claim in
      let variant = runs(variant: claim.variant, size: claim.size).map(\.final)
      let baseline = runs(variant: claim.baseline, size: claim.size).map(\.final)
      return JudgedClaim(
        claim: claim,
        accuracy: Comparison(
          variant: variant.map { ($0.accuracy, $0.accuracyError) },
          baseline: baseline.map { ($0.accuracy, $0.accuracyError) }),
        excess: Comparison(
          variant: variant.map { ($0.excessNatsPerCharacter, $0.excessStandardError) },
          baseline: baseline.map { ($0.excessNatsPerCharacter, $0.excessStandardError) }))
    }
  }

  /// The content of `<figure>.json`.
  package var json: ConfigValue {
    [
      "figure": .string(parameters.figure), "preset": .string(parameters.preset),
      "title": .string(parameters.title),
      "method": .string(Figure.method),
      "claims": .array(judgedClaims.map(\.value)),
      "curves": .array(
        parameters.variants.flatMap { variant in
          parameters.sizes.map { curve(variant: variant, size: $0) }
        }),
      "runs": .array(
        runs.map {
          [
            "name": .string(runName(variant: $0.variant, size: $0.size, seed: $0.seed)),
            "evaluate": .string($0.id), "train": .string($0.trainID),
          ]
        }),
    ]
  }

  package static let method = """
    Effect: mean over seeds of (variant - baseline) at the last snapshot. Interval: 95 %, Student t \
    over paired seeds, never narrower than the sampling noise of generated or held-out sentences. \
    Verdict: reproduced if the whole interval lies on the paper's side of zero, not reproduced if on \
    the other, else inconclusive. The claim's verdict is that of accuracy, the paper's own measure.
    """

  /// Final scores of one curve.
  private func curve(variant: String, size: String) -> ConfigValue {
    let runs = runs(variant: variant, size: size)
    let finals = runs.map(\.final)
    let (accuracy, excess) = (finals.map(\.accuracy), finals.map(\.excessNatsPerCharacter))
    return [
      "model": .string(variant), "size": .string(size),
      "parameters": .integer(runs.first?.parameters ?? 0),
      "configuration": runs.first?.model ?? .null,
      "steps": .integer(finals.first?.step ?? 0),
      "sentences": .integer(finals.first?.sentences ?? 0),
      "accuracy": .double(Summary(accuracy).mean),
      "accuracyPerSeed": .array(accuracy.map(ConfigValue.double)),
      "excessNatsPerCharacter": .double(Summary(excess).mean),
      "excessPerSeed": .array(excess.map(ConfigValue.double)),
    ]
  }
}

extension Figure.JudgedClaim {
  package var value: ConfigValue {
    [
      "panel": .string(claim.panel), "paper": .string(claim.row),
      "statement": .string(claim.statement.rawValue),
      "model": .string(claim.variant), "baseline": .string(claim.baseline),
      "size": .string(claim.size),
      "accuracy": accuracy.value(claim.statement, largerIsBetter: true),
      "excessNatsPerCharacter": excess.value(claim.statement, largerIsBetter: false),
      "verdict": .string(verdict.rawValue),
    ]
  }

  /// One line for people: "3-gram input vs 1-gram, large: +0.123 [+0.081, +0.165] accuracy: reproduced".
  package var summary: String {
    let range =
      accuracy.interval.map { " [\(Figure.signed($0.low)), \(Figure.signed($0.high))]" } ?? ""
    return "\(claim.variant) vs \(claim.baseline), \(claim.size): accuracy "
      + "\(Figure.signed(accuracy.effect))\(range), paper says \(claim.statement.rawValue): "
      + verdict.rawValue
  }
}

extension Figure {
  /// Three decimals with a sign.
  static func signed(_ value: Double) -> String {
    let thousandths = Int((abs(value) * 1000).rounded())
    let digits = String(1000 + thousandths % 1000).dropFirst()
    return "\(value < 0 && thousandths > 0 ? "-" : "+")\(thousandths / 1000).\(digits)"
  }
}

extension EvaluatedRun.Point {
  /// Standard error of the accuracy from the width of its 95 % interval, which unlike √(p(1−p)/n)
  /// is not 0 when all or none of the samples are right.
  package var accuracyError: Double { (accuracyHigh - accuracyLow) / (2 * normalQuantile(0.975)) }
}
