import Contracts
import Support

extension TextFigure {
  /// The runs of a CSV of results over text, as far as judging them needs. Every result is made of its CSV
  /// alone.
  ///
  /// - Parameter trains, evaluates: ids by the name of the run.
  package init(
    _ parameters: TextFigureParameters, _ table: PublishedTable, trains: [String: String],
    evaluates: [String: String]
  ) throws {
    func run(
      _ variant: String, _ seed: Int, parameters count: Int = 0, steps: Int,
      _ curve: [TextRun.Stretch], _ scores: [ScoredSet: TextRun.Score] = [:],
      matchLength: Double? = nil
    ) -> TextRun {
      let name = parameters.run(of: variant, seed: seed)
      return TextRun(
        variant: variant, seed: seed, evaluateID: evaluates[name] ?? "",
        trainID: trains[name] ?? "", parameters: count, steps: steps, curve: curve, scores: scores,
        matchLength: matchLength)
    }
    let seeds = try table.integers("seed")
    let variants = try Self.variants(table, parameters)
    var runs: [TextRun] = []
    var counted: [TextCounts] = []
    switch parameters.report {
    case .scalingLaw, .ablation, .vocabularies:
      let tokens = try table.integers("tokens")
      let counts = table.has("parameters") ? try table.integers("parameters") : seeds.map { _ in 0 }
      let losses = try Measure.losses.map { try table.numbers($0.rawValue) }
      let bits = try ["eval", "other"].map { try table.numbers($0 + "_bits_per_byte") }
      let matches =
        table.has(Ablation.matchColumn) ? try table.numbers(Ablation.matchColumn) : nil
      for row in table.rows.indices {
        func score(_ set: Int) -> TextRun.Score {
          .init(natsPerToken: losses[set + 1][row], bitsPerByte: bits[set][row], tokens: 0)
        }
        runs.append(
          run(
            variants[row], seeds[row], parameters: counts[row], steps: 1,
            [.init(step: 1, tokens: tokens[row], loss: losses[0][row])],
            [.heldout: score(0), .other: score(1)], matchLength: matches?[row]))
      }
      counted = try parameters.seeds.compactMap { seed in
        try TextCounts(table, rows: seeds.indices.filter { seeds[$0] == seed }) { row in
          parameters.variants.first { $0.name == variants[row] }
        }
      }
    case .lossCurves:
      let (steps, tokens) = (try table.integers("step"), try table.integers("tokens"))
      let (own, base) = (try table.numbers("loss"), try table.numbers("baseline_loss"))
      var known: Set<Int> = []
      for (_, rows) in try table.groups(by: [table.has("model") ? "model" : "m", "seed"]) {
        let (first, last) = (rows[0], rows[rows.count - 1])
        func curve(_ losses: [Double]) -> [TextRun.Stretch] {
          rows.map { .init(step: steps[$0], tokens: tokens[$0], loss: losses[$0]) }
        }
        if known.insert(seeds[first]).inserted {
          runs.append(run(parameters.baseline, seeds[first], steps: steps[last], curve(base)))
        }
        runs.append(run(variants[first], seeds[first], steps: steps[last], curve(own)))
      }
    case .discovery, .updates: preconditionFailure("a census has no runs")
    case .metrics:
      for (key, rows) in try table.groups(by: ["model", "seed"]) {
        let values = try Self.values(table, rows)
        guard let last = values.max(by: { $0.step < $1.step }) else { continue }
        runs.append(
          TextRun(
            variant: key[0], seed: seeds[rows[0]],
            evaluateID: evaluates[parameters.run(of: key[0], seed: seeds[rows[0]])] ?? "",
            trainID: trains[parameters.run(of: key[0], seed: seeds[rows[0]])] ?? "", parameters: 0,
            steps: last.step, curve: [.init(step: last.step, tokens: last.tokens, loss: .nan)],
            scores: [:], values: values))
      }
    }
    try self.init(parameters, runs: runs, counts: counted)
  }

  /// The metrics of one run.
  private static func values(_ table: PublishedTable, _ rows: [Int]) throws -> [Metrics.Value] {
    let (measures, sets) = (try table.texts("measure"), try table.texts("set"))
    let (steps, tokens) = (try table.integers("step"), try table.integers("tokens"))
    let (values, errors) = (try table.numbers("value"), try table.numbers("error"))
    let standings = try table.texts("standing")
    return try rows.map { row in
      guard let measure = Metrics.Metric.Measure(rawValue: String(measures[row])) else {
        throw UserError(
          "\(table.source):\(row + 2), column measure",
          expected: Metrics.Metric.Measure.allCases.map(\.rawValue).joined(separator: ", "),
          found: "'\(measures[row])'")
      }
      return Metrics.Value(
        Metrics.Metric(measure, String(sets[row])), step: steps[row], tokens: tokens[row],
        value: values[row], error: errors[row],
        standing: standings[row].isEmpty ? nil : String(standings[row]))
    }
  }

  /// The variant of every row: it stands there, or its m does.
  private static func variants(
    _ table: PublishedTable, _ parameters: TextFigureParameters
  ) throws -> [String] {
    if table.has("model") { return try table.texts("model").map(String.init) }
    return try table.integers("m").enumerated().map { row, m in
      guard let variant = parameters.variants.first(where: { $0.rows == m }) else {
        throw UserError(
          "\(table.source):\(row + 2), column m", expected: "the rows m of a variant",
          found: "\(m)")
      }
      return variant.name
    }
  }
}
