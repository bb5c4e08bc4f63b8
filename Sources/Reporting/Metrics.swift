import Contracts
import Foundation
import Statistics
import Support

/// Every metric of variants beside one another: the loss on each set of text, and of each task the accuracy
/// and the bits per byte of the right answer, at every snapshot.
package struct Metrics: Sendable {
  package let figure: TextFigure

  package init(_ figure: TextFigure) { self.figure = figure }

  private var parameters: TextFigureParameters { figure.parameters }

  /// What is measured of a run.
  package struct Metric: Hashable, Sendable {
    package enum Measure: String, CaseIterable, Sendable {
      /// Nats a token.
      case loss
      /// Share of the questions.
      case accuracy
      /// Of the right answer.
      case bitsPerByte = "bits_per_byte"

      var largerIsBetter: Bool { self == .accuracy }

      /// For people.
      var words: String { rawValue.replacing("_", with: " ") }
    }

    package let measure: Measure
    /// Of text or of questions.
    package let set: String

    package init(_ measure: Measure, _ set: String) {
      self.measure = measure
      self.set = set
    }
  }

  /// One metric of a run at one snapshot.
  package struct Value: Sendable, Equatable {
    package let metric: Metric
    package let step: Int
    /// Predictions trained on until then.
    package let tokens: Int
    package let value: Double
    /// Standard error over questions; 0 of what is measured on the same text for all.
    package let error: Double
    /// On which side of chance an accuracy lies: "below", "at" or "above".
    package let standing: String?

    package init(
      _ metric: Metric, step: Int, tokens: Int, value: Double, error: Double = 0,
      standing: String? = nil
    ) {
      self.metric = metric
      self.step = step
      self.tokens = tokens
      self.value = value
      self.error = error
      self.standing = standing
    }
  }

  /// In the order of the runs' values.
  var metrics: [Metric] {
    var known: Set<Metric> = []
    return figure.runs[0][0].values.map(\.metric).filter { known.insert($0).inserted }
  }

  /// Measures of which there is more than one set: their mean over sets decides.
  private var means: [Metric.Measure] {
    Metric.Measure.allCases.filter { measure in metrics.count { $0.measure == measure } > 1 }
  }

  // MARK: - Numbers

  /// Of a run after the last step, with its standard error.
  private typealias Score = (score: Double, error: Double)

  private func last(_ run: TextRun, _ metric: Metric) -> Score {
    run.last(metric).map { ($0.value, $0.error) } ?? (.nan, 0)
  }

  /// The mean over sets.
  private func mean(_ run: TextRun, _ measure: Metric.Measure) -> Score {
    let scores = metrics.filter { $0.measure == measure }.map { last(run, $0) }
    let variance = scores.reduce(0) { $0 + $1.error * $1.error }
    return (Summary(scores.map(\.score)).mean, variance.squareRoot() / Double(scores.count))
  }

  /// The mean over sets at every snapshot of a run.
  private func curve(_ run: TextRun, _ measure: Metric.Measure) -> [(x: Double, y: Double)] {
    var sums: [Int: (tokens: Int, values: [Double])] = [:]
    for value in run.values where value.metric.measure == measure {
      sums[value.step, default: (value.tokens, [])].values.append(value.value)
    }
    return sums.sorted { $0.key < $1.key }.map {
      (Double($0.value.tokens), Summary($0.value.values).mean)
    }
  }

  /// Tokens at which the mean over sets first is where the one of the two that ended worse has ended, over
  /// those of the other.
  private func speed(
    _ variant: Int, _ against: Int, _ measure: Metric.Measure
  ) -> (own: [Reached], other: [Reached]) {
    let pairs = figure.runs.map { bySeed -> (Reached, Reached) in
      let curves = (curve(bySeed[variant], measure), curve(bySeed[against], measure))
      let ends = (curves.0.last?.y ?? .nan, curves.1.last?.y ?? .nan)
      let rising = measure.largerIsBetter
      let level = rising ? min(ends.0, ends.1) : max(ends.0, ends.1)
      return (
        Reached(curves.0, level: level, rising: rising),
        Reached(curves.1, level: level, rising: rising)
      )
    }
    return (pairs.map(\.0), pairs.map(\.1))
  }

  /// Of what is measured once there is no speed.
  private func speed(_ judged: Judged, _ measure: Metric.Measure) -> (
    own: [Reached], other: [Reached]
  )? {
    let steps = Set(figure.runs[0][0].values.map(\.step))
    return steps.count < 2
      ? nil
      : speed(
        figure.position(judged.claim.variant), figure.position(judged.claim.against), measure)
  }

  // MARK: - Judging

  struct Judged {
    let claim: TextFigureParameters.Comparison
    let comparison: Comparison
    let p: AdjustedP
    let largerIsBetter: Bool

    var verdict: Verdict { comparison.verdict(claim.says, p, largerIsBetter: largerIsBetter) }
    var near: NearVerdict? {
      NearVerdict(p, comparison.estimate, seeds: comparison.perSeed.count)
    }

    /// As it stands in a result file.
    var members: [String: ConfigValue] {
      let value = comparison.value(claim.says, p, largerIsBetter: largerIsBetter)
      return value.members.merging([
        "model": .string(claim.variant), "against": .string(claim.against),
      ]) { $1 }
    }
  }

  /// Of every comparison, then every one of so many scores; p by Holm over all of them.
  private func judged(
    _ count: Int, largerIsBetter: (Int) -> Bool, score: (TextRun, Int) -> Score
  ) -> [[Judged]] {
    let comparisons = parameters.comparisons.map { claim in
      let (own, other) = (figure.position(claim.variant), figure.position(claim.against))
      return (0..<count).map { j in
        Comparison(
          variant: figure.runs.map { score($0[own], j) },
          baseline: figure.runs.map { score($0[other], j) })
      }
    }
    let p = AdjustedP.family(comparisons.joined().map(\.pValue))
    return parameters.comparisons.enumerated().map { i, claim in
      (0..<count).map { j in
        Judged(
          claim: claim, comparison: comparisons[i][j], p: p[i * count + j],
          largerIsBetter: largerIsBetter(j))
      }
    }
  }

  // MARK: - Texts

  /// One value a row.
  package var csv: String {
    var text = "model,seed,measure,set,step,tokens,value,error,standing\n"
    for run in figure.runs.joined() {
      for value in run.values {
        let fields = [
          run.variant, "\(run.seed)", value.metric.measure.rawValue, value.metric.set,
          "\(value.step)", "\(value.tokens)", "\(value.value)", "\(value.error)",
          value.standing ?? "",
        ]
        text += fields.joined(separator: ",") + "\n"
      }
    }
    return text
  }

  static let method = """
    Every metric after the last step: loss in nats a token on held-out documents of the training corpus \
    (heldout) and of other domains; accuracy and bits per byte of the right answers of tasks, of which so many \
    questions are drawn. Effect of a comparison: mean over seeds of the paired difference; 95 % interval: \
    Student t over seeds, and at least z times the sampling error of the accuracies over questions; p alike. A \
    claim is of the mean over the sets of a measure, its verdict by Holm over the claims; each metric's verdict \
    is by Holm over all metrics and comparisons. atChance: variants of which no seed's accuracy has a 95 % \
    interval off chance. speed: tokens at which the mean over sets first is where the one of the two that ended \
    worse has ended, on the line between snapshots, over those of the other; geometric mean over seeds, its \
    interval no narrower than the distance of the snapshots.
    """

  private var claims: [(measure: Metric.Measure, judged: Judged)] {
    let means = means
    return judged(means.count, largerIsBetter: { means[$0].largerIsBetter }) {
      mean($0, means[$1])
    }.flatMap { zip(means, $0) }
  }

  private func statement(_ measure: Metric.Measure, _ claim: TextFigureParameters.Comparison)
    -> String
  {
    let count = metrics.count { $0.measure == measure }
    let what =
      switch measure {
      case .loss: "mean loss on \(count) sets of text"
      case .accuracy: "mean accuracy on \(count) tasks"
      case .bitsPerByte: "mean bits per byte of the answers of \(count) tasks"
      }
    return claim.by.cell("\(what): \(claim.variant) \(claim.says.rawValue) than \(claim.against)")
  }

  package var json: ConfigValue {
    var members = figure.heading
    members["method"] = .string(Self.method)
    let claims = claims
    members["near"] = .array(
      claims.compactMap { measure, judged in
        judged.near.map { .string($0.text(statement(measure, judged.claim), judged.p)) }
      })
    members["claims"] = .array(
      claims.map { measure, judged in
        var members = judged.members
        members["statement"] = .string(statement(measure, judged.claim))
        if let near = judged.near { members["near"] = near.value }
        members["speed"] = speed(judged, measure).map { times in
          .object(
            TimeRatio(times.own, baseline: times.other).members(times.own, baseline: times.other))
        }
        return .object(members)
      })
    let metrics = metrics
    let singles = judged(metrics.count, largerIsBetter: { metrics[$0].measure.largerIsBetter }) {
      last($0, metrics[$1])
    }
    members["metrics"] = .array(
      metrics.enumerated().map { j, metric in
        let means = parameters.variants.indices.map { i in
          ConfigValue.number(Summary(figure.runs.map { last($0[i], metric).score }).mean)
        }
        var value: [String: ConfigValue] = [
          "measure": .string(metric.measure.rawValue), "set": .string(metric.set),
          "means": .object(
            Dictionary(uniqueKeysWithValues: zip(parameters.variants.map(\.name), means))),
          "comparisons": .array(singles.map { .object($0[j].members) }),
        ]
        if metric.measure == .accuracy { value["atChance"] = .array(atChance(metric)) }
        return .object(value)
      })
    return .object(members)
  }

  /// The variants of which no run is off chance.
  private func atChance(_ metric: Metric) -> [ConfigValue] {
    parameters.variants.indices.filter { i in
      figure.runs.allSatisfy { $0[i].last(metric)?.standing == "at" }
    }.map { .string(parameters.variants[$0].name) }
  }

  /// The metrics after the last step and the claims for people.
  package var markdown: String {
    let names = parameters.variants.map(\.name)
    var text = "# \(parameters.title)\n\n"
    text +=
      "Preset \(parameters.preset): \(parameters.seeds.count) seeds, \(figure.runs[0][0].tokens) tokens each. "
      + "Means over seeds; of text the loss in nats a token and its perplexity.\n\n"
    text += "| measure | on | " + names.joined(separator: " | ") + " |\n"
    text += "|---|---|" + String(repeating: "---|", count: names.count) + "\n"
    func add(_ measure: Metric.Measure, _ set: String, _ score: (TextRun) -> Double) {
      let cells = names.indices.map { i in
        let mean = Summary(figure.runs.map { score($0[i]) }).mean
        switch measure {
        case .loss: return String(format: "%.3f (%.1f)", mean, exp(mean))
        case .accuracy, .bitsPerByte: return String(format: "%.3f", mean)
        }
      }
      text += "| \(measure.words) | \(set) | " + cells.joined(separator: " | ") + " |\n"
    }
    for metric in metrics { add(metric.measure, metric.set) { last($0, metric).score } }
    for measure in means {
      add(measure, "mean over \(metrics.count { $0.measure == measure })") {
        mean($0, measure).score
      }
    }
    text += "\n| claim | effect, 95 % interval | verdict |\n|---|---|---|\n"
    for (measure, judged) in claims {
      text +=
        "| \(statement(measure, judged.claim)) | \(judged.comparison.text) | "
        + "**\(judged.verdict.rawValue)** |\n"
    }
    return text
  }

  package var summaries: [String] {
    claims.map { measure, judged in
      let times = speed(judged, measure).map { times in
        ", tokens \(TimeRatio(times.own, baseline: times.other).text)"
      }
      return "\(statement(measure, judged.claim)): \(judged.comparison.text)\(times ?? ""): "
        + judged.verdict.rawValue
    }
  }
}

extension TextRun {
  fileprivate func last(_ metric: Metrics.Metric) -> Metrics.Value? {
    values.last { $0.metric == metric }
  }
}
