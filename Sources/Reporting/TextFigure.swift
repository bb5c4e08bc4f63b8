import Contracts
import Statistics
import Support

/// All runs of a figure over text, complete and comparable.
package struct TextFigure: Sendable {
  package let parameters: TextFigureParameters
  /// By seed, then variant, in the order of the parameters.
  package let runs: [[TextRun]]
  /// Of what the runs of each seed read; empty where nothing was counted.
  package let counts: [TextCounts]

  /// Checks that the runs are one for every seed and variant, with equal steps and metrics at equal
  /// steps and tokens within a seed.
  ///
  /// - Throws: `UserError` naming the missing or deviating run.
  package init(
    _ parameters: TextFigureParameters, runs: [TextRun], counts: [TextCounts] = []
  ) throws {
    precondition(counts.isEmpty || counts.count == parameters.seeds.count, "counts of every seed")
    self.parameters = parameters
    self.counts = counts
    self.runs = try parameters.seeds.map { seed in
      var first: TextRun?
      return try parameters.variants.map { variant in
        let name = parameters.run(of: variant.name, seed: seed)
        guard let run = runs.first(where: { $0.variant == variant.name && $0.seed == seed }) else {
          throw Self.missing(name, parameters.figure)
        }
        let reference = first ?? run
        first = reference
        // The same windows have fewer tokens in a larger vocabulary.
        guard run.curve.map(\.step) == reference.curve.map(\.step),
          parameters.report == .vocabularies
            || run.curve.map(\.tokens) == reference.curve.map(\.tokens)
        else {
          throw UserError(
            "run '\(name)'", expected: "the steps and tokens of the other runs of its seed",
            found: "others",
            remedy: "Runs that are compared need equal batches and equal logEverySteps.")
        }
        return run
      }
    }
  }

  /// Reads every run that `configuration` lists.
  package init(
    _ configuration: StageConfiguration, _ parameters: TextFigureParameters
  ) throws {
    var runs: [TextRun] = []
    for variant in parameters.variants {
      for seed in parameters.seeds {
        let name = parameters.run(of: variant.name, seed: seed)
        guard let train = configuration.inputs["train/" + name],
          let evaluate = configuration.inputs["evaluate/" + name]
        else { throw Self.missing(name, parameters.figure) }
        let further = [(Stage.evaluate, "domains/"), (.downstream, "downstream/")]
          .compactMap { stage, prefix in
            configuration.inputs[prefix + name].map { (stage, $0) }
          }
        runs.append(
          try TextRun(
            variant: variant.name, seed: seed, train: train, evaluate: evaluate, further: further))
      }
    }
    let counts = parameters.seeds.compactMap { configuration.inputs["count/\($0)"] }
    try self.init(parameters, runs: runs, counts: counts.map(TextCounts.init))
  }

  private static func missing(_ name: String, _ figure: String) -> UserError {
    UserError(
      "run '\(name)'", expected: "a trained and evaluated run among the inputs", found: "none",
      remedy: "Make the figure again: every make writes its configuration anew.")
  }

  // MARK: - Measures

  /// A loss that is compared between variants.
  package enum Measure: String, CaseIterable, Sendable {
    case train = "train_loss"
    case heldout = "eval_loss"
    case other = "other_loss"
    case heldoutBits = "eval_bits_per_byte"
    case otherBits = "other_bits_per_byte"

    /// In nats a token.
    package static let losses: [Self] = [.train, .heldout, .other]
  }

  /// What the runs are compared by; the first decides. Nats a token say nothing where tokens differ, and of
  /// the text that is trained on no bytes are counted.
  package var measures: [Measure] {
    parameters.report == .vocabularies ? [.heldoutBits, .otherBits] : Measure.losses
  }

  package func loss(_ run: TextRun, _ measure: Measure) -> Double {
    switch measure {
    case .train: run.meanLoss(from: 1 - parameters.stretch, to: 1)
    case .heldout: run.scores[.heldout]?.natsPerToken ?? .nan
    case .other: run.scores[.other]?.natsPerToken ?? .nan
    case .heldoutBits: run.scores[.heldout]?.bitsPerByte ?? .nan
    case .otherBits: run.scores[.other]?.bitsPerByte ?? .nan
    }
  }

  /// Losses by seed, then variant.
  package func losses(_ measure: Measure) -> [[Double]] {
    runs.map { $0.map { loss($0, measure) } }
  }

  /// Position of a variant, which the parameters are known to have.
  func position(_ variant: String) -> Int {
    guard let position = parameters.variants.firstIndex(where: { $0.name == variant }) else {
      preconditionFailure("planning checks the names of variants")
    }
    return position
  }

  /// What stands at the head of every result file.
  var heading: [String: ConfigValue] {
    [
      "figure": .string(parameters.figure), "preset": .string(parameters.preset),
      "title": .string(parameters.title),
      "seeds": .array(parameters.seeds.map(ConfigValue.integer)),
      "tokens": .array(runs.map { .integer($0[0].tokens) }),
      "stretch": .double(parameters.stretch),
      "runs": .array(
        runs.joined().map {
          [
            "name": .string(parameters.run(of: $0.variant, seed: $0.seed)),
            "train": .string($0.trainID), "evaluate": .string($0.evaluateID),
          ]
        }),
    ]
  }

  /// The columns of a run's row that counting gives.
  func countCells(seed: Int, _ variant: TextFigureParameters.Variant) -> [String] {
    counts.isEmpty ? [] : counts[seed].cells(of: variant)
  }

  /// What stands behind the verdict of a trunk that counting beats.
  package var trunkNote: String {
    Counting(self)?.isUnderTrained == true ? " (\(Counting.note) trunk)" : ""
  }

  /// One run a row, or of curves one point of one run.
  ///
  /// - Throws: `UserError` where the sizes of a law are no law.
  package var csv: String {
    get throws {
      switch parameters.report {
      case .scalingLaw: try ScalingLaw(self).csv
      case .lossCurves: LossCurves(self).csv
      case .ablation, .vocabularies: Ablation(self).csv
      case .metrics: Metrics(self).csv
      case .discovery, .updates: preconditionFailure("a census has no runs")
      }
    }
  }

  // MARK: - Evidence

  /// CPU seconds of a training run over those of the baseline of the same seed, one line a run in the
  /// order of `runs`. A line stays empty where they are not known, or where a run was interrupted and
  /// went on. CPU seconds, because other work on the machine stretches the clock's.
  package var timeRatios: String {
    var text = "cpu_time_ratio\n"
    let baseline = position(parameters.baseline)
    for bySeed in runs {
      let seconds = bySeed.map(Self.cpuSeconds)
      for value in seconds {
        if let value, let base = seconds[baseline] {
          text += "\(((value / base) * 1e4).rounded() / 1e4)"
        }
        text += "\n"
      }
    }
    return text
  }

  private static func cpuSeconds(_ run: TextRun) -> Double? {
    guard let value = try? ConfigValue.load(path: run.directory + "/evidence.json"),
      case .object(let facts)? = value["facts"], facts["resumedStep"] == .integer(0),
      case .double(let seconds)? = value["cpuSeconds"], seconds > 0
    else { return nil }
    return seconds
  }
}

/// What is claimed in words, the number that decides, and what it says.
package struct JudgedStatement: Sendable {
  package let statement: String
  package let estimate: Estimate
  package let p: AdjustedP
  package let verdict: Verdict
  package let near: NearVerdict?

  init(
    _ statement: String, _ estimate: Estimate, _ p: AdjustedP, _ verdict: Verdict,
    near: NearVerdict? = nil
  ) {
    self.statement = statement
    self.estimate = estimate
    self.p = p
    self.verdict = verdict
    self.near = near
  }

  var value: ConfigValue {
    var members: [String: ConfigValue] = [
      "statement": .string(statement), "estimate": estimate.result,
      "verdict": .string(verdict.rawValue),
    ]
    members.merge(p.members) { $1 }
    if let near { members["near"] = near.value }
    return .object(members)
  }
}
