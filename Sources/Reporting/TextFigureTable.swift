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
      _ curve: [TextRun.Stretch], _ scores: [ScoredSet: TextRun.Score] = [:]
    ) -> TextRun {
      let name = runName(variant: variant, size: parameters.size, seed: seed)
      return TextRun(
        variant: variant, seed: seed, evaluateID: evaluates[name] ?? "",
        trainID: trains[name] ?? "", parameters: count, steps: steps, curve: curve, scores: scores)
    }
    let seeds = try table.integers("seed")
    let variants = try Self.variants(table, parameters)
    var runs: [TextRun] = []
    var counted: [TextCounts] = []
    switch parameters.report {
    case .scalingLaw, .ablation:
      let tokens = try table.integers("tokens")
      let counts = table.has("parameters") ? try table.integers("parameters") : seeds.map { _ in 0 }
      let losses = try Measure.allCases.map { try table.numbers($0.rawValue) }
      let bits = try ["eval", "other"].map { try table.numbers($0 + "_bits_per_byte") }
      for row in table.rows.indices {
        func score(_ set: Int) -> TextRun.Score {
          .init(natsPerToken: losses[set + 1][row], bitsPerByte: bits[set][row], tokens: 0)
        }
        runs.append(
          run(
            variants[row], seeds[row], parameters: counts[row], steps: 1,
            [.init(step: 1, tokens: tokens[row], loss: losses[0][row])],
            [.heldout: score(0), .other: score(1)]))
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
      for (_, rows) in try table.groups(by: ["m", "seed"]) {
        let (first, last) = (rows[0], rows[rows.count - 1])
        func curve(_ losses: [Double]) -> [TextRun.Stretch] {
          rows.map { .init(step: steps[$0], tokens: tokens[$0], loss: losses[$0]) }
        }
        if known.insert(seeds[first]).inserted {
          runs.append(run(parameters.baseline, seeds[first], steps: steps[last], curve(base)))
        }
        runs.append(run(variants[first], seeds[first], steps: steps[last], curve(own)))
      }
    }
    try self.init(parameters, runs: runs, counts: counted)
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
