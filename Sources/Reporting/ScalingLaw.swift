import Foundation
import Statistics
import Support

/// Loss over the size of the input vocabulary: L = a − b·log₁₀(V + m), the baseline being m = 0.
package struct ScalingLaw: Sendable {
  package let figure: TextFigure
  /// Positions of the sizes that the law is fitted to: those whose m is not beyond the distinct n-grams
  /// that the pass has, as rows beyond them are never read; all where fewer than four would be left.
  package let fitted: [Int]
  private let x: [Double]
  private var fits: [TextFigure.Measure: Fit] = [:]

  package init(_ figure: TextFigure) throws {
    self.figure = figure
    let variants = figure.parameters.variants
    let fitted = Self.fitted(
      rows: variants.map(\.rows),
      distinct: variants.map { variant in
        let order = variant.tables.first?.order
        return order.flatMap { order in figure.counts.compactMap { $0.distinct[order] }.min() }
      })
    self.fitted = fitted
    x = fitted.map { log10(Double(variants[$0].inputVocabulary)) }
    let baseline = figure.position(figure.parameters.baseline)
    for measure in TextFigure.Measure.losses {
      fits[measure] = try Fit(
        x: x, losses: figure.losses(measure).map { row in fitted.map { row[$0] } },
        baseline: fitted.firstIndex(of: baseline) ?? 0,
        source: "\(figure.parameters.figure): variants")
    }
  }

  /// Positions of the sizes that are fitted; see `fitted`.
  ///
  /// - Parameter distinct: n-grams of the order of each size's tables, where they were counted.
  static func fitted(rows: [Int], distinct: [Int?]) -> [Int] {
    let within = rows.indices.filter { rows[$0] <= distinct[$0] ?? .max }
    return within.count < 4 ? Array(rows.indices) : within
  }

  /// The fits of one measure.
  package struct Fit: Sendable {
    /// Coefficients a and −b.
    package let line: RepeatedRegression
    /// The same over the sizes without the baseline.
    package let withoutBaseline: RepeatedRegression
    /// a', −b' and c of L = a' − b'·z + c·z², z = log₁₀(V + m) − its mean.
    package let curve: RepeatedRegression
    /// log₁₀ of the largest over the smallest size.
    package let decades: Double
    private let x: [Double]

    /// - Parameters:
    ///   - x: log₁₀ of the sizes.
    ///   - losses: by seed, then size.
    ///   - baseline: position of the size without tables.
    /// - Throws: `UserError` for fewer than four sizes, or for equal ones.
    init(x: [Double], losses: [[Double]], baseline: Int, source: String) throws {
      let centre = x.reduce(0, +) / Double(x.count)
      let ones = [Double](repeating: 1, count: x.count)
      let others = x.indices.filter { $0 != baseline }
      guard Set(x).count == x.count, x.count >= 4,
        let line = RepeatedRegression(columns: [ones, x], observations: losses),
        let curve = RepeatedRegression(
          columns: [ones, x.map { $0 - centre }, x.map { ($0 - centre) * ($0 - centre) }],
          observations: losses),
        let without = RepeatedRegression(
          columns: [others.map { _ in 1 }, others.map { x[$0] }],
          observations: losses.map { row in others.map { row[$0] } })
      else {
        throw UserError(
          source, expected: "at least four sizes of the input vocabulary, all different",
          found: "\(x.map { Int(pow(10, $0).rounded()) })")
      }
      self.x = x
      self.line = line
      self.curve = curve
      withoutBaseline = without
      decades = (x.max() ?? 0) - (x.min() ?? 0)
    }

    package var a: Estimate { line.coefficient(0) }
    package var b: Estimate { line.coefficient(1).scaled(by: -1) }
    package var lossPerFactor4: Estimate { line.coefficient(1).scaled(by: log10(4)) }
    package var quadratic: Estimate { curve.coefficient(2) }
    /// b·R, the fall of the line over the range.
    package var fall: Double { b.value * decades }
    /// How far the middle of the fitted parabola hangs below its chord, in parts of the line's fall over
    /// the range: c·(R/2)² / (b·R), by pure error.
    package var sag: Estimate {
      curve.measures.contrast(curve.fit.contrasts[2])
        .scaled(by: decades / (4 * b.value))
    }
    /// How far the mean of every size lies above the line, in parts of its fall, by pure error.
    package var departures: [Estimate] { line.departures.map { $0.scaled(by: 1 / fall) } }
    /// Of the intervals of departures that shall hold all at once.
    package var departureConfidence: Double { 1 - Verdict.level / Double(line.fit.residuals.count) }

    /// Loss of each size but the first, in ascending order, minus that of the size before.
    package var steps: [Estimate] {
      let order = x.indices.sorted { x[$0] < x[$1] }
      return zip(order, order.dropFirst()).map { line.measures.difference($1, $0) }
    }
    package var stepConfidence: Double { 1 - Verdict.level / Double(x.count - 1) }
  }

  /// A line counts as straight when sag and departures are below this share of its fall.
  package static let straightness = 0.1

  package func fit(_ measure: TextFigure.Measure) -> Fit {
    guard let fit = fits[measure] else { preconditionFailure("every measure is fitted") }
    return fit
  }

  // MARK: - Verdicts

  package func claims(_ measure: TextFigure.Measure) -> [JudgedStatement] {
    Self.claims(fit(measure), seeds: figure.parameters.seeds.count)
  }

  /// Direction, shape and monotony, in this order. Holm's family are the p of b and of the line's lack of
  /// fit; monotony is decided by the intervals of its steps.
  package static func claims(_ fit: Fit, seeds: Int) -> [JudgedStatement] {
    let b = fit.b
    let p = AdjustedP.family([b.pValue, fit.line.lackOfFit?.pValue])
    let steps = fit.steps
    let worst = steps.max { ($0.interval?.high ?? .infinity) < ($1.interval?.high ?? .infinity) }
    return [
      JudgedStatement(
        "loss falls as the input vocabulary grows: b > 0", b, p[0],
        .direction(pHolm: p[0].holm, agrees: b.value > 0),
        near: NearVerdict(p[0], b, seeds: seeds)),
      JudgedStatement(
        "it falls linearly in the logarithm: sag and departures are below 10 % of the fall",
        fit.sag, p[1],
        straight(fit, lackOfFit: p[1])),
      JudgedStatement(
        "it falls from every size to the next", worst ?? b, AdjustedP(own: nil, holm: nil),
        monotone(steps, atOnce: fit.stepConfidence)),
    ]
  }

  /// *Not reproduced*: the means surely do not lie on the line, and the sag or a departure is surely
  /// beyond `straightness`. *Reproduced*: the sag is surely within it, and no departure beyond it. All by
  /// pure error, which no lack of fit can widen. Without a sure fall there is nothing to be in parts of.
  private static func straight(_ fit: Fit, lackOfFit p: AdjustedP) -> Verdict {
    let sag = fit.sag
    guard let interval = sag.interval, let b = fit.b.interval, b.low > 0 else {
      return .inconclusive
    }
    func isBeyond(_ interval: Interval?) -> Bool {
      guard let interval else { return false }
      return interval.low > straightness || interval.high < -straightness
    }
    let departures = fit.departures
    let isBent =
      isBeyond(interval)
      || departures.contains { isBeyond($0.interval(confidence: fit.departureConfidence)) }
    if let holm = p.holm, holm < Verdict.level, isBent { return .notReproduced }
    if interval.low > -straightness && interval.high < straightness,
      departures.allSatisfy({ abs($0.value) < straightness })
    {
      return .reproduced
    }
    return .inconclusive
  }

  /// *Reproduced* when every step surely falls, *not reproduced* when one surely rises by an interval that
  /// holds for all steps at once.
  private static func monotone(_ steps: [Estimate], atOnce: Double) -> Verdict {
    let intervals = steps.compactMap(\.interval)
    guard intervals.count == steps.count, !steps.isEmpty else { return .inconclusive }
    if intervals.allSatisfy({ $0.high < 0 }) { return .reproduced }
    let rises = steps.contains { ($0.interval(confidence: atOnce)?.low ?? 0) > 0 }
    return rises ? .notReproduced : .inconclusive
  }

  // MARK: - Texts

  /// One run a row. Numbers are in their shortest exact spelling.
  package var csv: String {
    var text =
      ([
        "V,m,input_vocabulary,seed,tokens,train_loss,eval_loss,eval_bits_per_byte,other_loss",
        "other_bits_per_byte",
      ] + (figure.counts.first?.names ?? [])).joined(separator: ",") + "\n"
    for (seed, bySeed) in figure.runs.enumerated() {
      for (run, variant) in zip(bySeed, figure.parameters.variants) {
        let fields =
          [
            "\(variant.vocabulary)", "\(variant.rows)", "\(variant.inputVocabulary)", "\(run.seed)",
            "\(run.tokens)", "\(figure.loss(run, .train))", "\(figure.loss(run, .heldout))",
            "\(run.scores[.heldout]?.bitsPerByte ?? .nan)", "\(figure.loss(run, .other))",
            "\(run.scores[.other]?.bitsPerByte ?? .nan)",
          ] + figure.countCells(seed: seed, variant)
        text += fields.joined(separator: ",") + "\n"
      }
    }
    return text
  }

  package var json: ConfigValue {
    var members = figure.heading
    members["method"] = .string(Self.method)
    members["near"] = .array(
      TextFigure.Measure.losses.flatMap { measure in
        claims(measure).compactMap { claim in
          claim.near.map {
            .string($0.text("\(claim.statement), by \(measure.rawValue)", claim.p))
          }
        }
      })
    members["paper"] = .object(
      figure.parameters.paper.mapValues { .object($0.mapValues(ConfigValue.double)) })
    members["counting"] = Counting(figure)?.value
    members["fits"] = .object(
      Dictionary(
        uniqueKeysWithValues: TextFigure.Measure.losses.map { ($0.rawValue, value($0)) }))
    return .object(members)
  }

  package static let method = """
    L = a - b*log10(V + m), least squares over the means of seeds, the baseline being m = 0; sizes whose \
    m is beyond the distinct n-grams of the pass are shown and not fitted. \
    train_loss is the mean over the last stretch of a single pass; eval_loss and other_loss are of the \
    held-out documents of the same and of another domain, in nats a token. Intervals are 95 %. A seed \
    fixes initial weights and the order of the batches, the same for every m: what the runs of a seed \
    share cancels in slopes, curvatures and differences, and is added to the variance of a. Intervals of \
    a and b are the widest of three: Student t on the scatter of the means around the fit (I - p \
    degrees), on the residuals of the additive model seed + m ((S-1)(I-1) degrees), on the estimate's own \
    scatter over seeds (S-1). Shape is judged by pure error, the seeds' alone: pooled residuals, or the \
    number's own scatter where Bartlett's test over the m, or an F test of that scatter, gives p < 0.25; \
    so are the differences from the baseline. The sag is how far the middle of a fitted parabola lies \
    below its chord, a departure how far a mean lies above the line, both over the fall of the line. Not \
    reproduced: lack of fit of the line with p < 0.05 by Holm and the sag, or a departure by an interval \
    that holds for all at once, beyond 10 %. Reproduced: the sag's interval within 10 %, and every \
    departure. Holm's family: b and the lack of fit of one measure.
    """

  private var paperB: Double? {
    figure.parameters.paper.values.compactMap { $0["b"] }.first
  }

  private func value(_ measure: TextFigure.Measure) -> ConfigValue {
    let fit = fit(measure)
    let losses = figure.losses(measure)
    let repeated = RepeatedMeasures(losses)
    let baseline = figure.position(figure.parameters.baseline)
    var members: [String: ConfigValue] = [
      "a": fit.a.result, "b": fit.b.result, "rSquared": .number(fit.line.fit.rSquared),
      "lossPerFactor4": fit.lossPerFactor4.result,
      "ratioToPaper": paperB.flatMap { fit.b.ratio(to: $0) } ?? .null,
      "curvature": ["quadratic": fit.quadratic.result, "sag": fit.sag.result],
      "lackOfFit": fit.line.lackOfFit.map {
        [
          "f": .number($0.f), "p": .number($0.pValue),
          "degreesOfFreedom": [
            .integer($0.degreesOfFreedom.0), .integer($0.degreesOfFreedom.1),
          ],
        ]
      } ?? .null,
      "equalVariances": .number(repeated.equalVariances),
      "departures": .array(fit.departures.map { at($0, fit.departureConfidence) }),
      "steps": .array(fit.steps.map { at($0, fit.stepConfidence) }),
      "range": .array(
        [x.min(), x.max()].map { .integer(Int(pow(10, $0 ?? 0).rounded())) }),
      "withoutBaseline": [
        "b": fit.withoutBaseline.coefficient(1).scaled(by: -1).result,
        "rSquared": .number(fit.withoutBaseline.fit.rSquared),
      ],
      "points": .array(
        figure.parameters.variants.enumerated().map { i, variant in
          [
            "m": .integer(variant.rows), "inputVocabulary": .integer(variant.inputVocabulary),
            "mean": .number(repeated.means[i]),
            "perSeed": .array(losses.map { .number($0[i]) }),
            "difference": i == baseline ? .null : repeated.difference(i, baseline).result,
          ]
        }),
      "claims": .array(claims(measure).map(\.value)),
    ]
    if !figure.counts.isEmpty {
      members["fitted"] = .array(fitted.map { .integer(figure.parameters.variants[$0].rows) })
    }
    return .object(members)
  }

  /// An estimate with, besides its own, an interval that holds for all of its kind at once.
  private func at(_ estimate: Estimate, _ confidence: Double) -> ConfigValue {
    let wide = estimate.interval(confidence: confidence)
    return .object(
      estimate.members.merging([
        "lowAtOnce": wide.map { .number($0.low) } ?? .null,
        "highAtOnce": wide.map { .number($0.high) } ?? .null,
      ]) { $1 })
  }

  /// Lines for people.
  package var summaries: [String] {
    return [TextFigure.Measure.train, .heldout].flatMap { measure in
      let fit = fit(measure)
      let (a, b) = (fit.a, fit.b)
      let numbers = String(
        format: "%@: L = %.4f %@ %.4f*log10(V + m), b in [%.4f, %.4f], R2 %.3f, %+.4f per 4x",
        measure.rawValue, a.value, b.value < 0 ? "+" : "-", abs(b.value), b.interval?.low ?? .nan,
        b.interval?.high ?? .nan,
        fit.line.fit.rSquared, fit.lossPerFactor4.value)
      let beside = paperB.map { String(format: " (paper: b = %.4f)", $0) } ?? ""
      return [numbers + beside]
        + claims(measure).map {
          "\($0.statement): \($0.verdict.rawValue)\(figure.trunkNote)"
        }
    } + [Counting(figure)?.summary].compactMap { $0 }
  }
}
