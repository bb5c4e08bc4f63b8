import Statistics
import Support

/// Training loss of each variant minus the baseline's on the same batches, over the tokens seen.
package struct LossCurves: Sendable {
  package let figure: TextFigure
  /// Points of a curve at most: lines of the metrics are averaged to so many.
  package static let largestCount = 50

  package init(_ figure: TextFigure) { self.figure = figure }

  /// Consecutive lines of the metrics as one point.
  private var groups: [Range<Int>] {
    let lines = figure.runs[0][0].curve.count
    let count = min(lines, Self.largestCount)
    return (0..<count).map { $0 * lines / count..<($0 + 1) * lines / count }
  }

  private func loss(_ run: TextRun, _ group: Range<Int>) -> Double {
    let before = group.lowerBound == 0 ? 0 : run.curve[group.lowerBound - 1].tokens
    var (sum, last) = (0.0, before)
    for line in run.curve[group] {
      sum += line.loss * Double(line.tokens - last)
      last = line.tokens
    }
    return sum / Double(last - before)
  }

  /// One point of one run a row.
  package var csv: String {
    var text = "model,m,input_vocabulary,seed,step,tokens,loss,baseline_loss,difference\n"
    let baseline = figure.position(figure.parameters.baseline)
    for bySeed in figure.runs {
      for (i, variant) in figure.parameters.variants.enumerated() where i != baseline {
        for group in groups {
          let (own, base) = (loss(bySeed[i], group), loss(bySeed[baseline], group))
          let line = bySeed[i].curve[group.upperBound - 1]
          let fields = [
            variant.name, "\(variant.rows)", "\(variant.inputVocabulary)", "\(bySeed[i].seed)",
            "\(line.step)", "\(line.tokens)", "\(own)", "\(base)", "\(own - base)",
          ]
          text += fields.joined(separator: ",") + "\n"
        }
      }
    }
    return text
  }

  // MARK: - Growth of the gain

  /// Parts of the pass that the end is compared with: the end of its first half, and the last but two of
  /// its tenths.
  package static let middle = 0.4...0.5
  package static let late = 0.7...0.8

  /// Loss of the last stretch minus that of a part of the pass, by seed and variant.
  private func growth(since part: ClosedRange<Double>) -> RepeatedMeasures {
    RepeatedMeasures(
      figure.runs.map { bySeed in
        bySeed.map { run in
          figure.loss(run, .train) - run.meanLoss(from: part.lowerBound, to: part.upperBound)
        }
      })
  }

  // MARK: - Speed

  /// Tokens at which the mean loss over the last stretch first is where the one of the two that ended
  /// worse has ended, of a variant and of the baseline, by seed: both reach it.
  package func times(_ variant: Int) -> (variant: [Reached], baseline: [Reached]) {
    let baseline = figure.position(figure.parameters.baseline)
    let pairs = figure.runs.map { bySeed -> (Reached, Reached) in
      let (own, other) = (bySeed[variant], bySeed[baseline])
      let level = max(figure.loss(own, .train), figure.loss(other, .train))
      return (
        Reached(smoothed(own), level: level, rising: false),
        Reached(smoothed(other), level: level, rising: false)
      )
    }
    return (pairs.map(\.0), pairs.map(\.1))
  }

  /// At every line the mean over the stretch that ends there, from the first whole one on.
  private func smoothed(_ run: TextRun) -> [(x: Double, y: Double)] {
    run.curve.compactMap { line in
      let share = Double(line.step) / Double(run.steps)
      let from = share - figure.parameters.stretch
      return from < 0 ? nil : (Double(line.tokens), run.meanLoss(from: from, to: share))
    }
  }

  private func speed(_ variant: Int) -> (ratio: TimeRatio, value: ConfigValue) {
    let (own, baseline) = times(variant)
    let ratio = TimeRatio(own, baseline: baseline)
    return (ratio, .object(ratio.members(own, baseline: baseline)))
  }

  /// The paper of Figure 4, where one variant is compared: the baseline's final loss is reached with fewer
  /// tokens.
  private func speedClaim(_ variant: Int) -> (value: ConfigValue, text: String, near: String?) {
    let (ratio, speed) = speed(variant)
    let p = AdjustedP.family([ratio.pValue])[0]
    let near = ratio.logarithm.flatMap {
      NearVerdict(p, $0, seeds: figure.parameters.seeds.count)
    }
    let verdict = Verdict.direction(pHolm: p.holm, agrees: ratio.direction < 0)
    let own = figure.parameters.variants[variant]
    let statement =
      "with \(own.tables.isEmpty ? own.name : "tables") fewer tokens are needed for the loss at which "
      + "the baseline ends"
    var members: [String: ConfigValue] = [
      "statement": .string(statement), "speed": speed, "verdict": .string(verdict.rawValue),
    ]
    members.merge(p.members) { $1 }
    if let near { members["near"] = near.value }
    return (
      .object(members), "\(statement): \(ratio.text): \(verdict.rawValue)",
      near?.text(statement, p)
    )
  }

  /// The variant of a figure of two.
  private var only: Int? {
    let baseline = figure.position(figure.parameters.baseline)
    return figure.parameters.variants.count == 2 ? 1 - baseline : nil
  }

  /// The paper: "The larger input vocabulary requires longer training to obtain all its gains." A gain of
  /// any table grows as the learning rate comes down, so the largest is compared with the smallest.
  package var claims: [JudgedStatement] {
    let baseline = figure.position(figure.parameters.baseline)
    let bySize = figure.parameters.variants.indices.filter { $0 != baseline }.sorted {
      figure.parameters.variants[$0].rows < figure.parameters.variants[$1].rows
    }
    let rows = figure.parameters.variants.map(\.rows)
    guard let smallest = bySize.first, let largest = bySize.last, rows[smallest] < rows[largest]
    else { return [] }
    let estimates = [Self.middle, Self.late].map { growth(since: $0).difference(largest, smallest) }
    let p = AdjustedP.family(estimates.map(\.pValue))
    let places = [
      "in the second half of the pass the gain of the largest input vocabulary grows more than that of "
        + "the smallest", "so it still does in the last fifth",
    ]
    return places.indices.map { i in
      JudgedStatement(
        places[i], estimates[i], p[i],
        .direction(pHolm: p[i].holm, agrees: estimates[i].value < 0),
        near: NearVerdict(p[i], estimates[i], seeds: figure.parameters.seeds.count))
    }
  }

  package var json: ConfigValue {
    var members = figure.heading
    let baseline = figure.position(figure.parameters.baseline)
    let (growth, late) = (growth(since: Self.middle), growth(since: Self.late))
    let claims = claims
    let speedClaim = only.map(speedClaim)
    members["near"] = .array(
      (claims.map { claim in claim.near.map { $0.text(claim.statement, claim.p) } }
        + [speedClaim?.near]).compactMap { $0.map(ConfigValue.string) })
    members["method"] = .string(
      """
      Difference: training loss minus that of the baseline of the same seed on the same batches. \
      growth: the difference over the last stretch minus the one over 40 to 50 % of the pass, growthLate \
      that over 70 to 80 %; negative where the gain grows. Intervals: 95 %, Student t on the residuals of \
      the additive model seed + m, pooled over all m, or on the number's own scatter over seeds where \
      Bartlett's test over the m, or an F test of that scatter, gives p < 0.25. speed: tokens at which the \
      mean over a stretch first is the loss at which the one of the two that ended worse has ended, over the \
      baseline's; geometric mean over seeds, its interval no narrower than the distance of the points. A \
      claim compares the growth of the largest m with that of the smallest; its verdict is by Holm over the \
      claims. All from the points of the CSV.
      """)
    members["curves"] = .array(
      figure.parameters.variants.enumerated().filter { $0.offset != baseline }.map { i, variant in
        let tenths = (1...10).map { tenth -> ConfigValue in
          let measures = RepeatedMeasures(
            figure.runs.map { bySeed in
              bySeed.map { $0.meanLoss(from: Double(tenth - 1) / 10, to: Double(tenth) / 10) }
            })
          return measures.difference(i, baseline).result
        }
        return [
          "model": .string(variant.name), "m": .integer(variant.rows),
          "inputVocabulary": .integer(variant.inputVocabulary),
          "differenceByTenth": .array(tenths), "growth": growth.difference(i, baseline).result,
          "growthLate": late.difference(i, baseline).result,
          "speed": speed(i).value,
        ]
      })
    members["claims"] = .array(claims.map(\.value) + [speedClaim?.value].compactMap { $0 })
    return .object(members)
  }

  package var summaries: [String] {
    claims.map { "\($0.statement): \($0.estimate.text): \($0.verdict.rawValue)" }
      + [only.map { speedClaim($0).text }].compactMap { $0 }
  }
}
