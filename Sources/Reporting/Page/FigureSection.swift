import Contracts
import Foundation
import Support

/// The part of a page that is about one figure: picture, verdicts, numbers, origin.
struct FigureSection {
  private(set) var blocks: [Page.Block]
  /// Of every claim, in order.
  var verdicts: [String] = []
  let figure: PublishedFigure
  var json: ConfigValue { figure.json }

  init(_ figure: PublishedFigure) throws {
    self.figure = figure
    blocks = [.heading(2, figure.heading)]
    if figure.endings.contains("svg") {
      blocks.append(.picture(file: "\(figure.name).svg", text: figure.title))
    }
    // What a result is, its members tell.
    if json["fits"] != nil {
      try addLaw()
    } else if let first = json["comparisons"]?.items.first {
      let bits = TextFigure.Measure.heldoutBits.rawValue
      if first[bits] != nil { addVocabularies() } else { addAblation() }
    } else if json["metrics"] != nil {
      addMetrics()
    } else if json["census"] != nil {
      addCensus()
    } else if json["curves"]?.items.first?["growth"] != nil {
      addDifferences()
    } else {
      addAccuracy()
    }
    if let method = json["method"]?.text { blocks.append(.paragraph("Method. " + method)) }
    blocks.append(.paragraph(files))
    blocks.append(.observations(figure: figure.name, csv: figure.table.text))
    addOrigin()
  }

  /// The first table, without the addresses.
  var claimsAsMarkdown: String {
    for case .table(let names, let alignment, let rows) in blocks {
      return Page.table(
        names.dropLast(), alignment: String(alignment.dropLast()), rows: rows.map { $0.dropLast() })
    }
    return ""
  }

  /// Who says what is judged.
  func source(_ claim: ConfigValue) -> StatementSource? {
    claim["by"]?.text.flatMap(StatementSource.init)
  }

  // MARK: - Kinds of figures

  private mutating func addAccuracy() {
    let claims = json["claims"]?.items ?? []
    verdicts = claims.flatMap { [text($0["verdict"]), text($0["speed"]?["verdict"])] }
    addTable(
      [
        "claim", claims.map(source).heading, "accuracy at the end, 95 %", "verdict", "models",
        "sentences for the same loss, 95 %", "speed", "excess loss, nats a character, 95 %",
        "by loss", "address",
      ], "llrllrlrll",
      claims.enumerated().map { number, claim in
        let loss = claim["excessNatsPerCharacter"]
        return [
          name(claim), source(claim).cell(text(claim["statement"])), effect(claim["accuracy"]),
          strong(claim["verdict"]), state(claim["settled"]),
          ratio(claim["speed"]?["excess"]), strong(claim["speed"]?["verdict"]), effect(loss),
          text(loss?["verdict"]), address("claims/\(number)/accuracy/effect"),
        ]
      })
    addNear()
    addTable(
      ["claim", "sentences to 50 %", "verdict", "sentences to 90 %", "verdict", "address"],
      "lrlrll",
      claims.enumerated().compactMap { number, claim in
        guard let half = claim["speed"]?["accuracy50"], let most = claim["speed"]?["accuracy90"]
        else { return nil }
        return [
          name(claim), ratio(half), text(half["verdict"]), ratio(most), text(most["verdict"]),
          address("claims/\(number)/speed/accuracy50/ratio"),
        ]
      })
    addTable(
      [
        "claim, on strings not trained on", "accuracy, 95 %", "verdict", "excess loss, 95 %",
        "verdict", "address",
      ], "lrlrll",
      claims.enumerated().compactMap { number, claim in
        guard let unseen = claim["unseen"] else { return nil }
        let (accuracy, loss) = (unseen["accuracy"], unseen["excessNatsPerCharacter"])
        return [
          name(claim), effect(accuracy), text(accuracy?["verdict"]), effect(loss),
          text(loss?["verdict"]), address("claims/\(number)/unseen/accuracy/effect"),
        ]
      })
    let curves = json["curves"]?.items ?? []
    let isSearched = curves.contains { $0["unseen"] != nil }
    addTable(
      ["model", "size", "parameters", "sentences seen", "accuracy", "excess loss"]
        + ["its fall over the last doubling"]
        + (isSearched ? ["accuracy, not trained on", "held-out not trained on"] : [])
        + ["address"],
      "llrrrrr" + (isSearched ? "rr" : "") + "l",
      curves.enumerated().map { number, curve in
        [
          text(curve["model"]), text(curve["size"]), text(curve["parameters"]),
          text(curve["sentences"]), fixed(curve["accuracy"], 4),
          fixed(curve["excessNatsPerCharacter"], 4), fixed(curve["lastDoubling"], 4),
        ]
          + (isSearched
            ? [fixed(curve["unseen"]?["accuracy"], 4), percent(curve["unseen"]?["heldoutShare"])]
            : [])
          + [address("curves/\(number)/accuracy")]
      })
  }

  /// Verdicts that few more seeds could turn.
  mutating func addNear() {
    let near = (json["near"]?.items ?? []).compactMap(\.text)
    if !near.isEmpty {
      blocks.append(
        .paragraph(
          "Near verdicts, and what would settle them: " + near.joined(separator: "; ") + "."))
    }
  }

  private mutating func addDifferences() {
    let claims = json["claims"]?.items ?? []
    verdicts = claims.map { $0["verdict"]?.text ?? "" }
    addTable(
      ["claim", "nats a token or times, 95 %", "p by Holm", "verdict", "address"], "lrrll",
      claims.enumerated().map { number, claim in
        [
          text(claim["statement"]),
          claim["speed"] == nil ? estimate(claim["estimate"]) : ratio(claim["speed"]), p(claim),
          strong(claim["verdict"]),
          address("claims/\(number)/" + (claim["speed"] == nil ? "estimate/value" : "speed/ratio")),
        ]
      })
    addNear()
    let curves = json["curves"]?.items ?? []
    // Where no variant has tables, their sizes say nothing.
    let hasTables = curves.contains { ($0["m"]?.number ?? 0) > 0 }
    let sizes: [String] = hasTables ? ["m", "V + m"] : []
    let names: [String] = [
      "difference, first tenth of the pass", "fifth tenth", "last tenth", "growth",
      "growth since the eighth tenth", "tokens for the same loss, of the baseline's", "address",
    ]
    addTable(
      ["model"] + sizes + names, "l" + (hasTables ? "rr" : "") + "rrrrrrl",
      curves.enumerated().map { number, curve -> [String] in
        let tenths = curve["differenceByTenth"]?.items ?? []
        let own: [String] = hasTables ? [text(curve["m"]), text(curve["inputVocabulary"])] : []
        let cells: [String] = [
          tenth(tenths, 1), tenth(tenths, 5), tenth(tenths, 10), estimate(curve["growth"]),
          estimate(curve["growthLate"]), ratio(curve["speed"]),
          address("curves/\(number)/growth/value"),
        ]
        return [text(curve["model"])] + own + cells
      })
  }

  private mutating func addMetrics() {
    let claims = json["claims"]?.items ?? []
    verdicts = claims.map { $0["verdict"]?.text ?? "" }
    addTable(
      [
        "claim", "effect, 95 %", "p by Holm", "verdict", "tokens for the same, of the other's",
        "address",
      ], "lrrlrl",
      claims.enumerated().map { number, claim in
        [
          text(claim["statement"]), effect(claim), p(claim), strong(claim["verdict"]),
          ratio(claim["speed"]), address("claims/\(number)/effect"),
        ]
      })
    addNear()
    var rows: [[String]] = []
    for (number, metric) in (json["metrics"]?.items ?? []).enumerated() {
      for (position, comparison) in (metric["comparisons"]?.items ?? []).enumerated() {
        let (model, against) = (text(comparison["model"]), text(comparison["against"]))
        rows.append([
          text(metric["measure"]).replacing("_", with: " "), text(metric["set"]), model,
          mean(metric, model), against, mean(metric, against), effect(comparison), p(comparison),
          text(comparison["verdict"]),
          address("metrics/\(number)/comparisons/\(position)/effect"),
        ])
      }
    }
    addTable(
      [
        "measure", "of", "model", "value", "against", "value", "effect, 95 %",
        "p by Holm over all", "verdict", "address",
      ], "lllrlrrrll", rows)
  }

  /// Of a model; that it is at chance is said where it is.
  private func mean(_ metric: ConfigValue, _ model: String) -> String {
    let isAtChance = (metric["atChance"]?.items ?? []).contains(.string(model))
    return fixed(metric["means"]?[model], 4) + (isAtChance ? " (at chance)" : "")
  }

  private func tenth(_ tenths: [ConfigValue], _ number: Int) -> String {
    tenths.count == 10 ? estimate(tenths[number - 1]) : ""
  }

  private mutating func addAblation() {
    let comparisons = json["comparisons"]?.items ?? []
    verdicts = comparisons.map { $0["verdict"]?.text ?? "" }
    addTable(
      [
        "comparison", comparisons.map(source).heading, "training loss, 95 %",
        "in parts of the paper's, 95 %",
        "p by Holm", "verdict", "held-out loss, 95 %", "by held-out loss", "address",
      ], "llrrrlrll",
      comparisons.enumerated().map { number, comparison in
        let (train, heldout) = (comparison["train_loss"], comparison["eval_loss"])
        return [
          "\(text(comparison["model"])) vs \(text(comparison["against"]))",
          source(comparison).cell(text(comparison["statement"])), estimate(train),
          times(train?["ratioToPaper"]),
          train.map(p) ?? "", strong(comparison["verdict"]) + trunkNote, estimate(heldout),
          text(heldout?["verdict"]),
          address("comparisons/\(number)/train_loss/value"),
        ]
      })
    addNear()
    addSpacings()
    addCounting()
    let hasMatches = json["rows"]?.items.first?["matchLength"] != nil
    addTable(
      [
        "model", "what", "parameters", hasMatches ? "tokens a position" : "of tables",
        "training loss", "held-out loss",
        "other domain", "paper: training", "address",
      ], "llrrrrrrl",
      (json["rows"]?.items ?? []).enumerated().map { number, row in
        [
          text(row["model"]), text(row["description"]), text(row["parameters"]),
          hasMatches ? fixed(row["matchLength"], 2) : text(row["tableParameters"]),
          fixed(row["train_loss"]?["mean"], 4),
          fixed(row["eval_loss"]?["mean"], 4), fixed(row["other_loss"]?["mean"], 4),
          fixed(row["paper"]?["train_loss"], 3), address("rows/\(number)/train_loss/mean"),
        ]
      })
  }

  /// Whether every decade of the input vocabulary gains as much.
  private mutating func addSpacings() {
    guard let spacings = json["spacings"]?.items else { return }
    verdicts += spacings.map { text($0["train_loss"]?["verdict"]) }
    addTable(
      [
        "every decade gains as much", "fall of training loss, 95 %",
        "middle above the line, in parts of the fall, 95 %", "verdict", "by held-out loss",
        "address",
      ], "lrrlll",
      spacings.enumerated().map { number, spacing in
        let train = spacing["train_loss"]
        return [
          (spacing["models"]?.items ?? []).map { text($0) }.joined(separator: ", "),
          estimate(train?["fall"]), estimate(train), strong(train?["verdict"]) + trunkNote,
          text(spacing["eval_loss"]?["verdict"]), address("spacings/\(number)/train_loss/value"),
        ]
      })
  }

  /// Behind the verdict on a trunk that counting beats.
  var trunkNote: String {
    json["counting"]?["underTrained"] == .bool(true) ? " (\(Counting.note) trunk)" : ""
  }

  /// What counting the n-grams of the same text gives, and what that says of the trunk.
  mutating func addCounting() {
    guard let counting = json["counting"] else { return }
    let overlap = counting["overlap"]
    blocks.append(
      .paragraph(
        "The baseline's held-out loss minus that of a Kneser-Ney \(text(counting["reference"]))-gram of "
          + "the same text: \(estimate(counting["difference"])) nats a token"
          + (trunkNote.isEmpty
            ? "."
            : ": the trunk is \(Counting.note), so gains of n-gram tables may be what counting gains.")
          + " In 13 tokens running that the training part has too lie "
          + "\(percent(overlap?["eval"])) of the held-out tokens and \(percent(overlap?["other"])) of "
          + "the other domain's."))
    addTable(
      ["Kneser-Ney model", "held-out loss", "other domain", "address"], "lrrl",
      (counting["orders"]?.items ?? []).enumerated().map { number, order in
        [
          "\(text(order["order"]))-gram", fixed(order["eval_loss"]?["mean"], 4),
          fixed(order["other_loss"]?["mean"], 4),
          address("counting/orders/\(number)/eval_loss/mean"),
        ]
      })
  }

  static func name(_ measure: TextFigure.Measure) -> String {
    switch measure {
    case .train: "training loss"
    case .heldout: "held-out loss"
    case .other: "loss of the other domain"
    case .heldoutBits: "held-out bits a byte"
    case .otherBits: "bits a byte of the other domain"
    }
  }

  // MARK: - Origin

  private var files: String {
    "Files: "
      + figure.endings.map { "[\(figure.name).\($0)](\(figure.name).\($0))" }
      .joined(separator: ", ") + "."
  }

  /// What the figure was made of, by stage, as its evidence has it.
  private mutating func addOrigin() {
    let records = figure.evidence.history + [.object(figure.evidence.members)]
    let order = Stage.allCases.map(\.rawValue)
    var rows: [[String]] = []
    for stage in order {
      let own = records.filter { $0["stage"] == .string(stage) }
      guard !own.isEmpty else { continue }
      let environments = own.compactMap { record in
        record["environment"]?.text.flatMap { figure.evidence.environments[$0] }
      }
      let distinct = { (key: String) in
        Set(environments.compactMap { $0[key]?.text }).sorted().joined(separator: ", ")
      }
      let seconds = own.compactMap { $0["wallSeconds"]?.number }.reduce(0, +)
      rows.append([
        stage, "\(own.count)", fixed(.double(seconds), 1),
        own.compactMap { $0["started"]?.text }.min() ?? "",
        own.compactMap { $0["finished"]?.text }.max() ?? "", distinct("code"), distinct("cpu"),
        distinct("swift"),
      ])
    }
    addTable(
      ["made by stage", "runs", "wall seconds", "from", "to", "code", "CPU", "Swift"], "lrrlllll",
      rows)
    for judged in figure.evidence["rejudged"]?.items ?? [] {
      let environment = judged["environment"]?.text.flatMap { figure.evidence.environments[$0] }
      blocks.append(
        .paragraph(
          "`\(text(judged["name"]))` was judged again from `\(text(judged["source"]))` on "
            + "\(text(judged["finished"])) by the rules of code \(text(environment?["code"]))."))
    }
    for redrawn in figure.evidence["redrawn"]?.items ?? [] {
      let environment = redrawn["environment"]?.text.flatMap { figure.evidence.environments[$0] }
      blocks.append(
        .paragraph(
          "`\(text(redrawn["name"]))` was drawn again from `\(text(redrawn["source"]))` on "
            + "\(text(redrawn["finished"])) by code \(text(environment?["code"])) with "
            + "`\(text(redrawn["drawing"]))`."))
    }
  }

  mutating func addTable(_ names: [String], _ alignment: String, _ rows: [[String]]) {
    precondition(names.count == alignment.count, "an alignment for every column")
    if !rows.isEmpty { blocks.append(.table(names, alignment: alignment, rows: rows)) }
  }
}
