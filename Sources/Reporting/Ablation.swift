import Contracts
import Foundation
import Statistics
import Support

/// A table of variants: losses, the paper's beside them, and a verdict on each comparison that the paper
/// draws.
package struct Ablation: Sendable {
  package let figure: TextFigure

  package init(_ figure: TextFigure) { self.figure = figure }

  var parameters: TextFigureParameters { figure.parameters }
  var isOfVocabularies: Bool { parameters.report == .vocabularies }
  /// The measure that verdicts are made by, and the one that is told beside it.
  package var deciding: TextFigure.Measure { figure.measures[0] }
  var second: TextFigure.Measure { figure.measures[1] }

  // MARK: - Comparisons

  package struct Judged: Sendable {
    package let claim: TextFigureParameters.Comparison
    /// Differences by measure; of losses that of training decides, as in the paper.
    package let differences: [TextFigure.Measure: Estimate]
    /// Adjusted within the comparisons of the table by the same measure.
    package let p: [TextFigure.Measure: AdjustedP]
    /// The paper's differences, where it states both numbers.
    package let paper: [TextFigure.Measure: Double]
    package let near: NearVerdict?

    package func verdict(_ measure: TextFigure.Measure) -> Verdict {
      let value = differences[measure]?.value ?? .nan
      return .direction(
        pHolm: p[measure]?.holm, agrees: claim.says == .better ? value < 0 : value > 0)
    }

    /// "5.6 [5.0, 6.1]": how many times the paper's effect this is; nothing where that is not known.
    func ratio(_ measure: TextFigure.Measure) -> String {
      guard let paper = paper[measure], paper != 0, let own = differences[measure] else {
        return ""
      }
      let ratio = own.scaled(by: 1 / paper)
      let range = ratio.interval.map { String(format: " [%.1f, %.1f]", $0.low, $0.high) } ?? ""
      return String(format: "%.1f", ratio.value) + range
    }

    var name: String { "\(claim.variant) vs \(claim.against)" }
  }

  package var comparisons: [Judged] {
    let pairs = parameters.comparisons.map {
      (figure.position($0.variant), figure.position($0.against))
    }
    var differences: [TextFigure.Measure: [Estimate]] = [:]
    var p: [TextFigure.Measure: [AdjustedP]] = [:]
    for measure in figure.measures {
      let measures = RepeatedMeasures(figure.losses(measure))
      let estimates = pairs.map { measures.difference($0.0, $0.1) }
      differences[measure] = estimates
      p[measure] = AdjustedP.family(estimates.map(\.pValue))
    }
    return parameters.comparisons.enumerated().map { i, claim in
      let own = p.mapValues { $0[i] }
      return Judged(
        claim: claim, differences: differences.mapValues { $0[i] }, p: own,
        paper: paperDifferences(claim.variant, claim.against),
        near: own[deciding].flatMap { p in
          differences[deciding].flatMap {
            NearVerdict(p, $0[i], seeds: parameters.seeds.count)
          }
        })
    }
  }

  /// By measure, as the parameters have them.
  private func spacings(_ measure: TextFigure.Measure) -> [Spacing] {
    (parameters.spacings ?? []).map {
      Spacing($0, figure.losses(measure), parameters.variants)
    }
  }

  private func paperDifferences(
    _ variant: String, _ against: String
  ) -> [TextFigure.Measure: Double] {
    var result: [TextFigure.Measure: Double] = [:]
    for measure in figure.measures {
      if let a = parameters.paper[variant]?[measure.rawValue],
        let b = parameters.paper[against]?[measure.rawValue]
      {
        result[measure] = a - b
      }
    }
    return result
  }

  /// Whether a run has f-grams, so that the table says what a position stands for.
  private var hasMatches: Bool { figure.runs[0].contains { $0.matchLength != nil } }
  static let matchColumn = "match_length"

  // MARK: - Texts

  /// One run a row.
  package var csv: String {
    var text =
      ([
        "model,seed,parameters,table_parameters,tokens,train_loss,eval_loss,eval_bits_per_byte",
        "other_loss,other_bits_per_byte",
      ] + (isOfVocabularies ? ["vocabulary"] : []) + (hasMatches ? [Self.matchColumn] : [])
      + (figure.counts.first?.names ?? [])).joined(
        separator: ",") + "\n"
    for (seed, bySeed) in figure.runs.enumerated() {
      for (run, variant) in zip(bySeed, parameters.variants) {
        let fields =
          [
            variant.name, "\(run.seed)", "\(run.parameters)", "\(variant.tableParameters)",
            "\(run.tokens)", "\(figure.loss(run, .train))", "\(figure.loss(run, .heldout))",
            "\(run.scores[.heldout]?.bitsPerByte ?? .nan)", "\(figure.loss(run, .other))",
            "\(run.scores[.other]?.bitsPerByte ?? .nan)",
          ] + (isOfVocabularies ? ["\(variant.vocabulary)"] : [])
          + (hasMatches ? ["\(run.matchLength ?? 1)"] : []) + figure.countCells(seed: seed, variant)
        text += fields.joined(separator: ",") + "\n"
      }
    }
    return text
  }

  package var method: String {
    (isOfVocabularies ? Self.bitsMethod : Self.lossMethod) + Self.rules
      + (isOfVocabularies ? Self.bitsRule : Self.lossRule)
      + (parameters.spacings == nil ? "" : Self.spacingMethod)
  }

  private static let lossMethod = """
    train_loss is the mean over the last stretch of a single pass; eval_loss and other_loss are of the \
    held-out documents of the same and of another domain, in nats a token. Effect of a comparison: mean \
    over seeds of the difference; runs of a seed share initial weights of the trunk and batches.
    """
  private static let lossRule = """
     train_loss decides. ratioToPaper: the effect in parts of the paper's.
    """
  private static let bitsMethod = """
    eval_bits_per_byte and other_bits_per_byte are of the held-out documents of the same and of another domain, \
    over the bytes of all tokens but a document's first, which is not predicted; losses in nats a token are of \
    other tokens with every vocabulary and compare nothing. All models make as many steps over as many windows of \
    as many tokens, so a larger vocabulary reads more text. Effect of a comparison: mean over seeds of the \
    difference.
    """
  private static let bitsRule = """
     eval_bits_per_byte decides.
    """

  private static let rules = """
     Interval: 95 %, Student t on the residuals of the additive model seed + variant, pooled over all \
    variants of the table ((S-1)(I-1) degrees), or on the comparison's own differences (S-1) where \
    Bartlett's test over the variants, or an F test of those differences, gives p < 0.25. Verdict: the same \
    direction as the paper's, or the opposite, where p < 0.05 by Holm over the comparisons of the table, \
    else inconclusive;
    """

  /// Of tables that have spacings, behind `method`.
  private static let spacingMethod = """
     Spacing of three input vocabularies: how far the middle loss lies above the line over log10(V + m) through \
    the others, in parts of their fall; reproduced where the interval is within 10 %, not reproduced where it is \
    beyond, inconclusive without a sure fall.
    """

  package var json: ConfigValue {
    var members = figure.heading
    members["method"] = .string(method)
    if isOfVocabularies { members["tokens"] = nil }
    members["equalVariances"] = .object(
      Dictionary(
        uniqueKeysWithValues: figure.measures.map {
          ($0.rawValue, .number(RepeatedMeasures(figure.losses($0)).equalVariances))
        }))
    members["counting"] = Counting(figure)?.value
    members["near"] = .array(
      comparisons.compactMap { judged in
        guard let near = judged.near, let p = judged.p[deciding] else { return nil }
        return .string(near.text(judged.name, p))
      })
    members["rows"] = .array(
      parameters.variants.enumerated().map { i, variant in
        var row: [String: ConfigValue] = [
          "model": .string(variant.name), "description": .string(variant.description),
          "parameters": .integer(figure.runs[0][i].parameters),
          "tableParameters": .integer(variant.tableParameters),
          "rows": .array(variant.tables.map { .integer($0.rows) }),
          "paper": .object(
            (parameters.paper[variant.name] ?? [:]).mapValues(ConfigValue.double)),
        ]
        if isOfVocabularies {
          row["vocabulary"] = .integer(variant.vocabulary)
          row["tokens"] = .array(figure.runs.map { .integer($0[i].tokens) })
        }
        if hasMatches { row["matchLength"] = .number(figure.runs[0][i].matchLength ?? 1) }
        for measure in figure.measures {
          let losses = figure.losses(measure).map { $0[i] }
          row[measure.rawValue] = [
            "mean": .number(Summary(losses).mean),
            "perSeed": .array(losses.map(ConfigValue.number)),
          ]
        }
        return .object(row)
      })
    members["comparisons"] = .array(
      comparisons.map { judged in
        var value: [String: ConfigValue] = [
          "model": .string(judged.claim.variant), "against": .string(judged.claim.against),
          "statement": .string(judged.claim.says.rawValue),
          "verdict": .string(judged.verdict(deciding).rawValue),
        ]
        value["by"] = judged.claim.by.map { .string($0.rawValue) }
        for measure in figure.measures {
          guard let estimate = judged.differences[measure], let p = judged.p[measure] else {
            continue
          }
          var members = estimate.members.merging(p.members) { $1 }
          members["paper"] = judged.paper[measure].map(ConfigValue.number) ?? .null
          members["ratioToPaper"] =
            judged.paper[measure].flatMap { estimate.ratio(to: $0) } ?? .null
          members["verdict"] = .string(judged.verdict(measure).rawValue)
          value[measure.rawValue] = .object(members)
        }
        if let near = judged.near { value["near"] = near.value }
        return .object(value)
      })
    if let spacings = parameters.spacings {
      let judged = figure.measures.map { ($0, self.spacings($0)) }
      members["spacings"] = .array(
        spacings.indices.map { i in
          let variants = spacings[i].variants.map(ConfigValue.string)
          return .object(
            Dictionary(uniqueKeysWithValues: judged.map { ($0.rawValue, $1[i].members) })
              .merging(["models": .array(variants)]) { $1 })
        })
    }
    return .object(members)
  }

  var statementHeading: String { parameters.comparisons.map(\.by).heading }

  /// The table and its comparisons for people.
  package var markdown: String { isOfVocabularies ? vocabularyTable : lossTable }

  private var lossTable: String {
    let train = RepeatedMeasures(figure.losses(.train))
    let heldout = RepeatedMeasures(figure.losses(.heldout))
    let baseline = figure.position(parameters.baseline)
    let tokens = figure.runs[0][0].tokens
    var text = "# \(parameters.title)\n\n"
    text +=
      "Preset \(parameters.preset): \(parameters.seeds.count) seeds, \(tokens) tokens each. "
      + "Loss in nats a token; Δ against \(parameters.baseline).\n\n"
    text +=
      "| model | | \(hasMatches ? "a position" : "rows") | train loss | Δ | held-out loss | Δ | paper: train | Δ | eval | Δ |\n"
    text += "|---|---|---|---|---|---|---|---|---|---|---|\n"
    for (i, variant) in parameters.variants.enumerated() {
      let delta = { (measures: RepeatedMeasures) in
        i == baseline ? "" : Figure.signed(measures.means[i] - measures.means[baseline])
      }
      let paper = paperDifferences(variant.name, parameters.baseline)
      let stated = { (measure: TextFigure.Measure) in
        parameters.paper[variant.name]?[measure.rawValue].map { String(format: "%.3f", $0) } ?? ""
      }
      let paperDelta = { (measure: TextFigure.Measure) in
        i == baseline ? "" : paper[measure].map(Figure.signed) ?? ""
      }
      let cells = [
        variant.name, variant.description,
        (variant.tables.map { "\($0.rows)" }
          + (hasMatches
            ? [String(format: "%.2f tokens each", figure.runs[0][i].matchLength ?? 1)] : []))
          .joined(separator: " "),
        String(format: "%.4f", train.means[i]), delta(train),
        String(format: "%.4f", heldout.means[i]), delta(heldout), stated(.train),
        paperDelta(.train), stated(.heldout), paperDelta(.heldout),
      ]
      text += "| " + cells.joined(separator: " | ") + " |\n"
    }
    if let counting = Counting(figure) {
      for order in counting.orders {
        text += "| Kneser-Ney \(order)-gram | counts of the same text | | | | "
        text += String(
          format: "%.4f | %@ | | | | |\n", Summary(counting.losses(order, .heldout)).mean,
          Figure.signed(
            Summary(counting.losses(order, .heldout)).mean - heldout.means[baseline]))
      }
      text += "\nCounting: \(counting.summary).\n"
    }
    text +=
      "\n| comparison | \(statementHeading) | effect on train loss, 95 % interval | paper | in parts of the "
    text += "paper's | verdict | effect on held-out loss | by held-out loss |\n"
    text += "|---|---|---|---|---|---|---|---|\n"
    for judged in comparisons {
      let cells = [
        judged.name, judged.claim.by.cell(judged.claim.says.rawValue),
        judged.differences[.train]?.text ?? "",
        judged.paper[.train].map(Figure.signed) ?? "", judged.ratio(.train),
        "**\(judged.verdict(.train).rawValue)**\(figure.trunkNote)",
        judged.differences[.heldout]?.text ?? "",
        judged.verdict(.heldout).rawValue,
      ]
      text += "| " + cells.joined(separator: " | ") + " |\n"
    }
    return text + spacingTable
  }

  private var spacingTable: String {
    let (train, heldout) = (spacings(.train), spacings(.heldout))
    if train.isEmpty { return "" }
    return
      "\n| every decade gains as much | fall of train loss | middle above the line, in parts of the "
      + "fall | verdict | by held-out loss | |\n|---|---|---|---|---|---|\n"
      + zip(train, heldout).map { train, heldout in
        let cells = [
          train.name, train.fall.text, train.sag.text, "**\(train.verdict.rawValue)**",
          heldout.sag.text, heldout.verdict.rawValue,
        ]
        return "| " + cells.joined(separator: " | ") + " |\n"
      }.joined()
  }

  package var summaries: [String] {
    comparisons.map { judged in
      "\(judged.name): \(isOfVocabularies ? "bits a byte" : "train loss") "
        + "\(judged.differences[deciding]?.text ?? ""), \(judged.claim.by.says) "
        + "\(judged.claim.says.rawValue): "
        + judged.verdict(deciding).rawValue + figure.trunkNote
    }
      + spacings(.train).map { spacing in
        "\(spacing.name): middle \(spacing.sag.text) of the fall above the line, paper says on it: "
          + spacing.verdict.rawValue + figure.trunkNote
      } + [Counting(figure)?.summary].compactMap { $0 }
  }
}
