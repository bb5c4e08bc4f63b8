import Foundation
import Statistics
import Support

/// Loss over the size of the input vocabulary: L = a − b·log₁₀(V + m), the baseline being m = 0.
package struct ScalingLaw: Sendable {
  package let figure: TextFigure
  private let x: [Double]
  private var fits: [TextFigure.Measure: Fit] = [:]

  package init(_ figure: TextFigure) throws {
    self.figure = figure
    x = figure.parameters.variants.map { log10(Double($0.inputVocabulary)) }
    for measure in TextFigure.Measure.allCases {
      fits[measure] = try Fit(
        x: x, losses: figure.losses(measure),
        baseline: figure.position(figure.parameters.baseline),
        source: "\(figure.parameters.figure): variants")
    }
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
      self.line = line
      self.curve = curve
      withoutBaseline = without
      decades = (x.max() ?? 0) - (x.min() ?? 0)
    }

    package var a: Estimate { line.coefficient(0) }
    package var b: Estimate { line.coefficient(1).scaled(by: -1) }
    package var lossPerFactor4: Estimate { line.coefficient(1).scaled(by: log10(4)) }
    package var quadratic: Estimate { curve.coefficient(2) }
    /// How far the middle of the fitted parabola hangs below its chord, in parts of the line's fall over
    /// the range: c·(R/2)² / (b·R).
    package var sag: Estimate {
      quadratic.scaled(by: decades / (4 * b.value))
    }
  }

  /// A line counts as straight when its sag is surely below this share of its fall, as bent when it is
  /// surely above.
  package static let straightness = 0.1

  package func fit(_ measure: TextFigure.Measure) -> Fit {
    guard let fit = fits[measure] else { preconditionFailure("every measure is fitted") }
    return fit
  }

  // MARK: - Verdicts

  package struct Claim: Sendable {
    package let statement: String
    package let estimate: Estimate
    package let verdict: Verdict

    var value: ConfigValue {
      [
        "statement": .string(statement), "estimate": estimate.result,
        "verdict": .string(verdict.rawValue),
      ]
    }
  }

  package func claims(_ measure: TextFigure.Measure) -> [Claim] {
    let fit = fit(measure)
    return [
      Claim(
        statement: "loss falls as the input vocabulary grows: b > 0", estimate: fit.b,
        verdict: fit.b.scaled(by: -1).verdict(.better)),
      Claim(
        statement: "it falls linearly in the logarithm: the sag is below 10 % of the fall",
        estimate: fit.sag, verdict: Self.straight(fit.sag)),
    ]
  }

  private static func straight(_ sag: Estimate) -> Verdict {
    guard let interval = sag.interval else { return .inconclusive }
    if interval.low > -straightness && interval.high < straightness { return .reproduced }
    if interval.low > straightness || interval.high < -straightness { return .notReproduced }
    return .inconclusive
  }

  // MARK: - Texts

  /// One run a row. Numbers are in their shortest exact spelling.
  package var csv: String {
    var text =
      "V,m,input_vocabulary,seed,tokens,train_loss,eval_loss,eval_bits_per_byte,other_loss,"
      + "other_bits_per_byte\n"
    for bySeed in figure.runs {
      for (run, variant) in zip(bySeed, figure.parameters.variants) {
        let fields = [
          "\(variant.vocabulary)", "\(variant.rows)", "\(variant.inputVocabulary)", "\(run.seed)",
          "\(run.tokens)", "\(figure.loss(run, .train))", "\(figure.loss(run, .heldout))",
          "\(run.scores["heldout"]?.bitsPerByte ?? .nan)", "\(figure.loss(run, .other))",
          "\(run.scores["other"]?.bitsPerByte ?? .nan)",
        ]
        text += fields.joined(separator: ",") + "\n"
      }
    }
    return text
  }

  package var json: ConfigValue {
    var members = figure.heading
    members["method"] = .string(Self.method)
    members["paper"] = .object(
      figure.parameters.paper.mapValues { .object($0.mapValues(ConfigValue.double)) })
    members["fits"] = .object(
      Dictionary(
        uniqueKeysWithValues: TextFigure.Measure.allCases.map { ($0.rawValue, value($0)) }))
    return .object(members)
  }

  package static let method = """
    L = a - b*log10(V + m), least squares over the means of seeds, the baseline being m = 0. \
    train_loss is the mean over the last stretch of a single pass; eval_loss and other_loss are of the \
    held-out documents of the same and of another domain, in nats a token. Intervals are 95 %. A seed \
    fixes initial weights and the order of the batches, the same for every m: what the runs of a seed \
    share cancels in slopes, curvatures and differences, and is added to the variance of a. Each \
    interval is the wider of two: Student t on the scatter of the means around the fit (I - p degrees; \
    noise and lack of fit), and on the residuals of the additive model seed + m ((S-1)(I-1) degrees; \
    noise of seeds). Differences from the baseline use the latter, pooled over all m. The sag is how \
    far the middle of a fitted parabola lies below its chord, over the fall of the line: straight if \
    its interval is within 10 %, bent if outside, else inconclusive.
    """

  private func value(_ measure: TextFigure.Measure) -> ConfigValue {
    let fit = fit(measure)
    let losses = figure.losses(measure)
    let repeated = RepeatedMeasures(losses)
    let baseline = figure.position(figure.parameters.baseline)
    return [
      "a": fit.a.result, "b": fit.b.result, "rSquared": .number(fit.line.fit.rSquared),
      "lossPerFactor4": fit.lossPerFactor4.result,
      "curvature": ["quadratic": fit.quadratic.result, "sag": fit.sag.result],
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
  }

  /// Lines for people.
  package var summaries: [String] {
    let paper = figure.parameters.paper.values.reduce(into: [:]) { $0.merge($1) { a, _ in a } }
    return [TextFigure.Measure.train, .heldout].flatMap { measure in
      let fit = fit(measure)
      let (a, b) = (fit.a, fit.b)
      let numbers = String(
        format: "%@: L = %.4f %@ %.4f*log10(V + m), b in [%.4f, %.4f], R2 %.3f, %+.4f per 4x",
        measure.rawValue, a.value, b.value < 0 ? "+" : "-", abs(b.value), b.interval?.low ?? .nan,
        b.interval?.high ?? .nan,
        fit.line.fit.rSquared, fit.lossPerFactor4.value)
      let beside = paper["b"].map { String(format: " (paper: b = %.4f)", $0) } ?? ""
      return [numbers + beside] + claims(measure).map { "\($0.statement): \($0.verdict.rawValue)" }
    }
  }
}
