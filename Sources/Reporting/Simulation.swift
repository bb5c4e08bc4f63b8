import Contracts
import Foundation
import Statistics
import Support

/// The rules of intervals and verdicts, tried on made-up data whose truth is known: how often an interval
/// holds the truth, how often a verdict is the right one. Draw i of a row comes from the stream
/// (15, "simulation/<row>", i), so that the table is the same everywhere.
package struct Simulation: Sendable {
  /// What is counted in one row.
  package struct Row: Sendable {
    package let group, scenario: String
    package let seeds: Int
    package let counted: String
    /// The share that the rule promises; `isFloor` says on which side. nil for what stands there to compare.
    package let promise: Double?
    package let isFloor: Bool
    /// Whether a draw counts; a share of 0 … 1 where it has parts.
    let draw: @Sendable (inout RandomStream) -> Double

    var name: String { "\(group)/\(scenario)/\(seeds)/\(counted)" }

    /// The share among so many draws.
    package func share(draws: Int) -> Double {
      let stream = RandomStream(seed: 15, name: "simulation/" + name)
      var sum = 0.0
      for index in 0..<draws {
        var own = stream.at(index: UInt64(index))
        sum += draw(&own)
      }
      return sum / Double(draws)
    }

    /// Whether a share of so many draws keeps the promise, four standard errors allowed.
    package func isKept(_ share: Double, draws: Int) -> Bool {
      guard let promise else { return true }
      let slack = 4 * (promise * (1 - promise) / Double(draws)).squareRoot()
      return isFloor ? share >= promise - slack : share <= promise + slack
    }
  }

  package static let columns = "group,scenario,seeds,counted,promise,share,standard_error"

  package static func csv(draws: Int) -> String {
    var text = columns + "\n"
    for row in rows {
      let share = row.share(draws: draws)
      let error = (share * (1 - share) / Double(draws)).squareRoot()
      let promise = row.promise.map { "\(row.isFloor ? "at least" : "at most") \($0)" } ?? ""
      let fields: [String] = [
        row.group, row.scenario, "\(row.seeds)", row.counted, promise,
        String(format: "%.4f", share), String(format: "%.4f", error),
      ]
      text += fields.joined(separator: ",") + "\n"
    }
    return text
  }

  package static var rows: [Row] { coverage + slopes + tables + laws + figures }

  // MARK: - Intervals of differences

  /// Deviations of the variants' noise, and the two of them whose difference is looked at: where noise is
  /// unequal the ones for which pooling goes most wrong.
  private static let noises:
    [(name: String, deviations: [Double], slope: Double, pair: (Int, Int))] = [
      ("six variants of equal noise", [1, 1, 1, 1, 1, 1], 0, (5, 0)),
      ("six variants of noise 0.1 to 1.7 as in table3", [0.1, 0.3, 0.7, 1, 1.6, 1.7], 0, (5, 4)),
      ("one of six variants five times as noisy", [0.2, 0.2, 0.2, 0.2, 0.2, 1], 0, (5, 0)),
      ("one of three variants four times as noisy", [1, 1, 4], 0, (2, 0)),
      ("seven variants whose seeds differ in slope", [1, 1, 1, 1, 1, 1, 1], 1, (6, 0)),
    ]

  private static func observations(
    _ deviations: [Double], slope: Double, means: [Double]? = nil, seeds: Int,
    _ stream: inout RandomStream
  ) -> [[Double]] {
    let count = deviations.count
    return (0..<seeds).map { _ in
      let (shift, tilt) = (3 * stream.normal(), slope * stream.normal())
      return deviations.indices.map { i in
        (means?[i] ?? 0) + shift + tilt * (2 * Double(i) / Double(count - 1) - 1)
          + deviations[i] * stream.normal()
      }
    }
  }

  /// Equal noise keeps 95 %; under unequal noise a rule that must first find it out keeps 91, and with two
  /// seeds 87.
  private static var coverage: [Row] {
    var rows: [Row] = []
    for noise in noises {
      for seeds in [2, 3, 5] {
        for rule in ["the rule", "pooled always", "own always"] {
          let kept = noise.name.contains("equal noise") ? 0.95 : seeds == 2 ? 0.87 : 0.91
          let row = Row(
            group: "95 % interval of a difference", scenario: noise.name, seeds: seeds,
            counted: "holds the truth: " + rule, promise: rule == "the rule" ? kept : nil,
            isFloor: true
          ) { stream in
            let measures = RepeatedMeasures(
              observations(noise.deviations, slope: noise.slope, seeds: seeds, &stream))
            var weights = [Double](repeating: 0, count: noise.deviations.count)
            (weights[noise.pair.0], weights[noise.pair.1]) = (1, -1)
            let estimate =
              switch rule {
              case "pooled always": measures.pooled(weights)
              case "own always": measures.own(weights)
              default: measures.contrast(weights)
              }
            return estimate.interval?.contains(0) == true ? 1 : 0
          }
          rows.append(row)
        }
      }
    }
    return rows
  }

  // MARK: - Laws

  /// log₁₀ of V + m for V = 4,096 and m = 0, V/4 … 256 V; the slope, and the deviation of a run's loss, that
  /// the laptop's scaling-law has.
  private static let sizes = [1, 1.25, 2, 5, 17, 65, 257].map { log10(4096 * $0) }
  private static let slope = 0.1
  private static let noise = 0.009

  /// A law with a sag in parts of the fall, and departures of each size of their own.
  private static func law(
    slope: Double, sag: Double, departure: Double, seeds: Int, tilt: Double = 0,
    _ stream: inout RandomStream
  ) -> ScalingLaw.Fit? {
    let range = sizes[sizes.count - 1] - sizes[0]
    let middle = (sizes[sizes.count - 1] + sizes[0]) / 2
    let own = sizes.map { _ in departure * stream.normal() }
    let losses = (0..<seeds).map { _ in
      let (shift, more) = (0.02 * stream.normal(), tilt * stream.normal())
      return sizes.indices.map { i in
        let z = 2 * (sizes[i] - middle) / range
        return 5 - (slope + more) * sizes[i] + sag * abs(slope) * range * (z * z - 1) + own[i]
          + shift + noise * stream.normal()
      }
    }
    return try? ScalingLaw.Fit(x: sizes, losses: losses, baseline: 0, source: "simulation")
  }

  private static var slopes: [Row] {
    [
      ("equal noise", 0.0, 0.0), ("lack of fit as large as the noise", 0.009, 0),
      ("seeds that differ in slope by 5 %", 0, 0.005),
    ].flatMap { name, departure, tilt in
      [3, 5].map { seeds in
        Row(
          group: "95 % interval of b", scenario: name, seeds: seeds, counted: "holds the truth",
          promise: 0.95, isFloor: true
        ) { stream in
          let fit = law(
            slope: slope, sag: 0, departure: departure, seeds: seeds, tilt: tilt, &stream)
          return fit?.b.interval?.contains(slope) == true ? 1 : 0
        }
      }
    }
  }

  private static var laws: [Row] {
    func row(
      _ scenario: String, _ seeds: Int, slope: Double = slope, sag: Double = 0,
      claim: Int, _ verdict: Verdict, _ promise: Double?, isFloor: Bool = true
    ) -> Row {
      Row(
        group: "verdict on a law", scenario: scenario, seeds: seeds,
        counted: "\(["direction", "shape", "monotony"][claim]) is \(verdict.rawValue)",
        promise: promise, isFloor: isFloor
      ) { stream in
        guard let fit = law(slope: slope, sag: sag, departure: 0, seeds: seeds, &stream) else {
          return 0
        }
        return ScalingLaw.claims(fit, seeds: seeds)[claim].verdict == verdict ? 1 : 0
      }
    }
    let (bent, bound) = ("a planted bend: sag 0.3", "a bend at the bound: sag 0.1")
    let reversed = "a planted reversal: half the slope upward"
    var rows: [Row] = []
    for n in [3, 5] {
      rows.append(row("a line", n, claim: 0, .sameDirection, 0.95))
      rows.append(row("a line", n, claim: 1, .notReproduced, 0.05, isFloor: false))
      rows.append(row("a line", n, claim: 1, .reproduced, nil))
      rows.append(row("no fall", n, slope: 0, claim: 0, .inconclusive, 0.95))
      rows.append(row("no fall", n, slope: 0, claim: 1, .inconclusive, 0.95))
      rows.append(row(reversed, n, slope: -0.05, claim: 0, .oppositeDirection, 0.95))
      rows.append(row(bent, n, sag: 0.3, claim: 0, .sameDirection, 0.95))
      rows.append(row(bent, n, sag: 0.3, claim: 1, .notReproduced, 0.95))
      rows.append(row(bound, n, sag: 0.1, claim: 1, .notReproduced, 0.05, isFloor: false))
    }
    return rows
  }

  // MARK: - Tables

  /// Six comparisons with the first of seven variants, judged together; deviations in nats.
  private static var tables: [Row] {
    let equal = [Double](repeating: 0.01, count: 7)
    let unequal = [0.001, 0.003, 0.007, 0.01, 0.016, 0.017, 0.01]
    let loud = [Double](repeating: 0.005, count: 6) + [0.025]
    @Sendable func judged(_ losses: ArraySlice<[Double]>) -> (verdicts: [Verdict], isNear: Bool) {
      let measures = RepeatedMeasures(Array(losses))
      let estimates = (1..<losses[0].count).map { measures.difference($0, 0) }
      let p = AdjustedP.family(estimates.map(\.pValue))
      return (
        zip(estimates, p).map { .direction(pHolm: $1.holm, agrees: $0.value < 0) },
        zip(estimates, p).contains { NearVerdict($1, $0, seeds: losses.count) != nil }
      )
    }
    /// - Parameter first: the seeds after which a family with a near verdict, and no other, gets all; nil: all at
    ///   once.
    func row(
      _ scenario: String, _ seeds: Int, first: Int? = nil, _ deviations: [Double], effect: Double,
      _ counted: String, _ promise: Double, isFloor: Bool = true,
      _ count: @escaping @Sendable ([Verdict]) -> Double
    ) -> Row {
      Row(
        group: "verdicts on a table of six comparisons", scenario: scenario, seeds: seeds,
        counted: counted, promise: promise, isFloor: isFloor
      ) { stream in
        let means = deviations.indices.map { $0 == 0 ? 0 : effect }
        let losses = observations(deviations, slope: 0, means: means, seeds: seeds, &stream)
        let some = judged(losses.prefix(first ?? seeds))
        return count(first != nil && some.isNear ? judged(losses[...]).verdicts : some.verdicts)
      }
    }
    func share(_ verdict: Verdict) -> @Sendable ([Verdict]) -> Double {
      { verdicts in Double(verdicts.count { $0 == verdict }) / Double(verdicts.count) }
    }
    var rows: [Row] = []
    for n in [3, 5] {
      rows.append(
        row(
          "a planted null; one of seven variants five times as noisy", n, loud, effect: 0,
          "all are inconclusive", n == 3 ? 0.91 : 0.95
        ) { $0.allSatisfy { $0 == .inconclusive } ? 1 : 0 })
      for (name, deviations) in [("equal noise", equal), ("unequal noise", unequal)] {
        rows.append(
          row(
            "a planted null; " + name, n, deviations, effect: 0, "all are inconclusive",
            0.95
          ) { $0.allSatisfy { $0 == .inconclusive } ? 1 : 0 })
        rows.append(
          row(
            "a planted effect of 0.15 nats; " + name, n, deviations, effect: -0.15,
            "same direction", 0.95, share(.sameDirection)))
        rows.append(
          row(
            "a planted reversal of 0.15 nats; " + name, n, deviations, effect: 0.15,
            "opposite direction", 0.95, share(.oppositeDirection)))
      }
    }
    // Looking twice, as presets do that give five seeds where a verdict of three was near, lets no more through.
    for (name, deviations) in [
      ("equal noise", equal), ("unequal noise", unequal),
      ("one of seven variants five times as noisy", loud),
    ] {
      rows.append(
        row(
          "a planted null; \(name); after three seeds with a near verdict", 5, first: 3, deviations,
          effect: 0, "all are inconclusive", 0.95
        ) { $0.allSatisfy { $0 == .inconclusive } ? 1 : 0 })
    }
    return rows
  }

  // MARK: - Figures over grammars

  /// Curves of accuracy and excess loss over ln sentences that a variant runs through `factor` times as
  /// fast; a run is cut off at the last snapshot.
  private static func run(
    _ variant: String, _ seed: Int, factor: Double, _ stream: inout RandomStream
  ) -> EvaluatedRun {
    let own = exp(0.05 * stream.normal()) / factor
    let points = (0..<16).map { k -> EvaluatedRun.Point in
      let sentences = 4000 * pow(2, Double(k) * 0.4)
      let progress = log(sentences / (120_000 * own))
      let accuracy = 1 / (1 + exp(-2 * progress))
      let seen = min(1, max(0, accuracy + 0.01 * stream.normal()))
      return EvaluatedRun.Point(
        step: k + 1, sentences: Int(sentences), characters: 1, accuracy: seen,
        accuracyLow: max(0, seen - 0.01), accuracyHigh: min(1, seen + 0.01),
        natsPerCharacter: 1,
        excessNatsPerCharacter: 0.2 * (1 - accuracy) * exp(0.02 * stream.normal()),
        excessStandardError: 0.001, unseen: nil)
    }
    return EvaluatedRun(variant: variant, size: "s", seed: seed, parameters: 1, points: points)
  }

  private static func claims(
    _ factors: [Double], seeds: Int, _ stream: inout RandomStream
  ) -> [JudgedClaim] {
    var parameters = FigureParameters()
    (parameters.figure, parameters.preset, parameters.title) = ("simulation", "simulation", "")
    (parameters.drawing, parameters.drawingDigest) = ("", "")
    (parameters.sizes, parameters.seeds) = (["s"], Array(1...seeds))
    let names = factors.indices.map { "v\($0)" }
    parameters.panels = []
    parameters.claims = names.dropFirst().map { name in
      var claim = FigureParameters.Claim()
      (claim.panel, claim.variant, claim.baseline) = ("", name, names[0])
      (claim.size, claim.statement, claim.row) = ("s", .better, "")
      return claim
    }
    var runs: [EvaluatedRun] = []
    for (name, factor) in zip(names, factors) {
      for seed in 1...seeds { runs.append(run(name, seed, factor: factor, &stream)) }
    }
    return (try? Figure(parameters, runs: runs).judgedClaims) ?? []
  }

  private static var figures: [Row] {
    func row(
      _ scenario: String, _ seeds: Int, factor: Double, _ counted: String, _ promise: Double,
      _ right: @escaping @Sendable (JudgedClaim) -> Bool
    ) -> Row {
      Row(
        group: "verdicts on a figure of three claims", scenario: scenario, seeds: seeds,
        counted: counted, promise: promise, isFloor: true
      ) { stream in
        let judged = claims([1, factor, factor, factor], seeds: seeds, &stream)
        return judged.isEmpty ? 0 : Double(judged.count(where: right)) / Double(judged.count)
      }
    }
    func goal(_ goal: Speed.Goal, _ verdict: Verdict) -> @Sendable (JudgedClaim) -> Bool {
      { claim in
        guard let speed = claim.speeds[goal], let p = claim.speedP[goal] else { return false }
        return speed.verdict(claim.claim.statement, p) == verdict
      }
    }
    let (fast, slow) = ("learns 1.6 times as fast", "a planted reversal: 1.6 times as slow")
    return [
      row("a planted null", 5, factor: 1, "speed is inconclusive", 0.95) {
        $0.speedVerdict == .inconclusive
      },
      row("a planted null", 5, factor: 1, "the end is inconclusive", 0.95) {
        $0.verdict == .inconclusive
      },
      row(fast, 5, factor: 1.6, "speed has the same direction", 0.95) {
        $0.speedVerdict == .sameDirection
      },
      row(
        fast, 5, factor: 1.6, "sentences to 50 %: same direction", 0.95,
        goal(.accuracy50, .sameDirection)),
      row(slow, 5, factor: 1 / 1.6, "speed has the opposite direction", 0.95) {
        $0.speedVerdict == .oppositeDirection
      },
      row(slow, 5, factor: 1 / 1.6, "the end has the opposite direction", 0.95) {
        $0.verdict == .oppositeDirection
      },
      row(
        "baseline reaches 90 % in no run; 2.5 times as fast", 5, factor: 2.5,
        "sentences to 90 % by bounds: same direction", 0.95, goal(.accuracy90, .sameDirection)),
    ]
  }
}
