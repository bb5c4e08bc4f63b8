import Contracts
import Statistics
import Support

/// One statement of the paper with two verdicts: at the end, where both models have seen equally many
/// sentences, and of speed, of the sentences that they need for the same loss.
package struct JudgedClaim: Sendable {
  package let claim: FigureParameters.Claim
  /// At the last snapshot.
  package let accuracy, excess: Comparison
  package let accuracyP, excessP: AdjustedP
  /// Of strings that no sentence of the training stream equals, where that was looked for.
  package let unseenAccuracy, unseenExcess: Comparison?
  package let unseenAccuracyP, unseenExcessP: AdjustedP
  /// By goal.
  package let speeds: [Speed.Goal: Speed]
  package let speedP: [Speed.Goal: AdjustedP]
  /// Mean fall of the excess loss over the last doubling of the sentences.
  package let variantFall, baselineFall: Double?
  package let seeds: Int

  /// The paper's figure shows accuracy, so accuracy decides; the loss stands beside it.
  package var verdict: Verdict {
    accuracy.verdict(claim.statement, accuracyP, largerIsBetter: true)
  }
  package var speedVerdict: Verdict {
    guard let speed = speeds[.excess], let p = speedP[.excess] else { return .inconclusive }
    return speed.verdict(claim.statement, p)
  }

  /// Whether the plateau is near enough: what either model still gained over the last doubling of the
  /// sentences is less than the gap between them. nil where that cannot be told.
  package var isSettled: Bool? {
    guard let variantFall, let baselineFall else { return nil }
    return max(variantFall, baselineFall) < abs(excess.effect)
  }

  package var near: NearVerdict? { NearVerdict(accuracyP, accuracy.estimate, seeds: seeds) }
  package var nearSpeed: NearVerdict? {
    guard let p = speedP[.excess], let logarithm = speeds[.excess]?.ratio.logarithm else {
      return nil
    }
    return NearVerdict(p, logarithm, seeds: seeds)
  }

  package var name: String { "\(claim.variant) vs \(claim.baseline), \(claim.size)" }
}

/// The figure's result file: every claim of the paper with effects, intervals and verdicts.
extension Figure {
  /// Every claim, in the order of the parameters. Holm's family of the deciding verdicts are both of every
  /// claim; every measure beside them is a family of its own.
  package var judgedClaims: [JudgedClaim] {
    struct Pair {
      let variant, baseline: [EvaluatedRun]

      func compare(_ score: (EvaluatedRun.Point) -> (Double, Double)) -> Comparison {
        Comparison(
          variant: variant.map { score($0.final) }, baseline: baseline.map { score($0.final) })
      }

      func compareUnseen(_ score: (EvaluatedRun.Unseen) -> (Double, Double)) -> Comparison? {
        let sides = [variant, baseline].map { $0.compactMap(\.final.unseen).map(score) }
        guard sides[0].count == variant.count, sides[1].count == baseline.count else { return nil }
        return Comparison(variant: sides[0], baseline: sides[1])
      }
    }
    let pairs = parameters.claims.map {
      Pair(
        variant: runs(variant: $0.variant, size: $0.size),
        baseline: runs(variant: $0.baseline, size: $0.size))
    }
    let accuracy = pairs.map { $0.compare { ($0.accuracy, $0.accuracyError) } }
    let excess = pairs.map { $0.compare { ($0.excessNatsPerCharacter, $0.excessStandardError) } }
    let unseenAccuracy = pairs.map { $0.compareUnseen { ($0.accuracy, $0.accuracyError) } }
    let unseenExcess = pairs.map {
      $0.compareUnseen { ($0.excessNatsPerCharacter, $0.excessStandardError) }
    }
    let speeds = pairs.map { pair in
      Dictionary(
        uniqueKeysWithValues: Speed.Goal.allCases.map {
          ($0, Speed($0, variant: pair.variant, baseline: pair.baseline))
        })
    }
    func family(_ goal: Speed.Goal) -> [Double?] { speeds.map { $0[goal]?.ratio.pValue } }
    let deciding = AdjustedP.family(accuracy.map(\.pValue) + family(.excess))
    let beside = [
      excess.map(\.pValue), unseenAccuracy.map { $0?.pValue }, unseenExcess.map { $0?.pValue },
      family(.accuracy50), family(.accuracy90),
    ].map(AdjustedP.family)
    func fall(_ runs: [EvaluatedRun]) -> Double? {
      let falls = runs.compactMap(\.lastDoubling)
      return falls.count == runs.count ? Summary(falls).mean : nil
    }
    return parameters.claims.indices.map { i in
      JudgedClaim(
        claim: parameters.claims[i], accuracy: accuracy[i], excess: excess[i],
        accuracyP: deciding[i], excessP: beside[0][i], unseenAccuracy: unseenAccuracy[i],
        unseenExcess: unseenExcess[i], unseenAccuracyP: beside[1][i],
        unseenExcessP: beside[2][i], speeds: speeds[i],
        speedP: [
          .excess: deciding[parameters.claims.count + i], .accuracy50: beside[3][i],
          .accuracy90: beside[4][i],
        ],
        variantFall: fall(pairs[i].variant), baselineFall: fall(pairs[i].baseline),
        seeds: parameters.seeds.count)
    }
  }

  /// The content of `<figure>.json`.
  package var json: ConfigValue {
    let judged = judgedClaims
    return [
      "figure": .string(parameters.figure), "preset": .string(parameters.preset),
      "title": .string(parameters.title),
      "method": .string(Figure.method),
      "claims": .array(judged.map(\.value)),
      "near": .array(
        judged.flatMap { claim in
          let ends = claim.near.map {
            ConfigValue.string($0.text(claim.name + ", at the end", claim.accuracyP))
          }
          let speeds = claim.nearSpeed.flatMap { near in
            claim.speedP[.excess].map {
              ConfigValue.string(near.text(claim.name + ", speed", $0))
            }
          }
          return [ends, speeds].compactMap { $0 }
        }),
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
    Effect: mean over seeds of (variant - baseline) at the last snapshot, where both have seen equally \
    many sentences. Interval: 95 %, Student t over the paired seeds' own differences, never narrower than \
    the sampling noise of generated or held-out sentences. Speed: sentences until the excess loss at which \
    the one of the two that ended worse has ended, as the geometric mean over seeds of the variant's over \
    the baseline's, on lines between snapshots over ln sentences; the same for accuracies of 50 and 90 %, \
    where a run that does not get there gives a bound and Gehan's exact test the p. Verdict: the direction \
    that the paper says, or the opposite, where p < 0.05 by Holm over the claims' accuracies and excess \
    speeds together, else inconclusive; other measures are families of their own. A claim is settled where \
    what either model still gained over the last doubling of the sentences is less than the gap between \
    their excess losses; else its verdict is one at equal sentences of models that still learn.
    """

  /// Final scores of one curve.
  private func curve(variant: String, size: String) -> ConfigValue {
    let runs = runs(variant: variant, size: size)
    let finals = runs.map(\.final)
    let (accuracy, excess) = (finals.map(\.accuracy), finals.map(\.excessNatsPerCharacter))
    let falls = runs.compactMap(\.lastDoubling)
    var members: [String: ConfigValue] = [
      "model": .string(variant), "size": .string(size),
      "parameters": .integer(runs.first?.parameters ?? 0),
      "configuration": runs.first?.model ?? .null,
      "steps": .integer(finals.first?.step ?? 0),
      "sentences": .integer(finals.first?.sentences ?? 0),
      "accuracy": .double(Summary(accuracy).mean),
      "accuracyPerSeed": .array(accuracy.map(ConfigValue.double)),
      "excessNatsPerCharacter": .double(Summary(excess).mean),
      "excessPerSeed": .array(excess.map(ConfigValue.double)),
      "lastDoubling": falls.count == runs.count ? .number(Summary(falls).mean) : .null,
    ]
    let unseen = finals.compactMap(\.unseen)
    if unseen.count == finals.count {
      members["unseen"] = [
        "accuracy": .double(Summary(unseen.map(\.accuracy)).mean),
        "excessNatsPerCharacter": .double(Summary(unseen.map(\.excessNatsPerCharacter)).mean),
        "heldoutShare": .double(Summary(unseen.map(\.heldoutShare)).mean),
      ]
    }
    return .object(members)
  }
}

extension JudgedClaim {
  package var value: ConfigValue {
    var speed = Dictionary(
      uniqueKeysWithValues: Speed.Goal.allCases.compactMap { goal in
        speeds[goal].flatMap { speed in
          speedP[goal].map { (goal.rawValue, speed.value(claim.statement, $0)) }
        }
      })
    speed["verdict"] = .string(speedVerdict.rawValue)
    if let nearSpeed { speed["near"] = nearSpeed.value }
    var members: [String: ConfigValue] = [
      "panel": .string(claim.panel), "paper": .string(claim.row),
      "statement": .string(claim.statement.rawValue),
      "model": .string(claim.variant), "baseline": .string(claim.baseline),
      "size": .string(claim.size),
      "accuracy": accuracy.value(claim.statement, accuracyP, largerIsBetter: true),
      "excessNatsPerCharacter": excess.value(claim.statement, excessP, largerIsBetter: false),
      "verdict": .string(verdict.rawValue), "speed": .object(speed),
      "lastDoubling": [
        "ofModel": variantFall.map(ConfigValue.number) ?? .null,
        "ofBaseline": baselineFall.map(ConfigValue.number) ?? .null,
      ],
      "settled": isSettled.map(ConfigValue.bool) ?? .null,
    ]
    if let unseenAccuracy, let unseenExcess {
      members["unseen"] = [
        "accuracy": unseenAccuracy.value(
          claim.statement, unseenAccuracyP, largerIsBetter: true),
        "excessNatsPerCharacter": unseenExcess.value(
          claim.statement, unseenExcessP, largerIsBetter: false),
      ]
    }
    if let near { members["near"] = near.value }
    members["by"] = claim.by.map { .string($0.rawValue) }
    return .object(members)
  }

  /// "same direction, settled".
  package var endText: String {
    switch isSettled {
    case nil: verdict.rawValue
    case true?: "\(verdict.rawValue), settled"
    case false?: "\(verdict.rawValue), still learning"
    }
  }

  /// Two lines' worth for people.
  package var summary: String {
    "\(name): accuracy \(accuracy.text), \(claim.by.says) "
      + "\(claim.statement.rawValue): \(endText); sentences for the same loss "
      + "\(speeds[.excess]?.text ?? ""): \(speedVerdict.rawValue)"
  }
}
