import Contracts
import Support

/// The CSV of a figure over grammars: one observation a row, a variant once in each of its panels. Every
/// result is made of it alone.
extension Figure {
  package static let columns =
    [
      "panel", "model", "size", "parameters", "seed", "step", "characters", "nats_per_char",
      "excess_nats_per_char", "accuracy", "accuracy_low", "accuracy_high", "sentences",
    ] + optionalColumns

  /// Cells may be empty; a CSV may be without them.
  private static let optionalColumns = ["excess_error"] + unseenColumns
  private static let unseenColumns = [
    "accuracy_unseen", "accuracy_unseen_low", "accuracy_unseen_high", "excess_unseen",
    "excess_unseen_error", "heldout_unseen_share",
  ]

  /// Numbers are in their shortest exact spelling.
  package var csv: String {
    var text = Figure.columns.joined(separator: ",") + "\n"
    for panel in parameters.panels {
      for variant in panel.variants {
        for size in parameters.sizes {
          for run in runs(variant: variant, size: size) {
            for point in run.points {
              let unseen = point.unseen.map {
                [
                  $0.accuracy, $0.accuracyLow, $0.accuracyHigh, $0.excessNatsPerCharacter,
                  $0.excessStandardError, $0.heldoutShare,
                ]
              }
              let fields: [String] =
                [
                  panel.name, variant, size, "\(run.parameters)", "\(run.seed)", "\(point.step)",
                  "\(point.characters)", "\(point.natsPerCharacter)",
                  "\(point.excessNatsPerCharacter)", "\(point.accuracy)", "\(point.accuracyLow)",
                  "\(point.accuracyHigh)", "\(point.sentences)",
                  point.excessStandardError.isFinite ? "\(point.excessStandardError)" : "",
                ] + (unseen?.map { "\($0)" } ?? Figure.unseenColumns.map { _ in "" })
              text += fields.joined(separator: ",") + "\n"
            }
          }
        }
      }
    }
    return text
  }

  /// What the CSV does not say of a run.
  package struct Origin: Sendable {
    package let evaluate, train: String
    /// The configuration of the model.
    package let model: ConfigValue

    package init(evaluate: String, train: String, model: ConfigValue) {
      (self.evaluate, self.train, self.model) = (evaluate, train, model)
    }
  }

  /// The runs of a CSV, as `csv` writes it.
  ///
  /// - Parameter origins: by the name of the run.
  package init(
    _ parameters: FigureParameters, _ table: PublishedTable, origins: [String: Origin]
  ) throws {
    let (models, sizes) = (try table.texts("model"), try table.texts("size"))
    let whole = try ["parameters", "seed", "step", "characters", "sentences"].map(table.integers)
    let numbers = try [
      "nats_per_char", "excess_nats_per_char", "accuracy", "accuracy_low", "accuracy_high",
    ].map(table.numbers)
    let optional = try Figure.optionalColumns.map(table.optionalNumbers)
    var runs: [EvaluatedRun] = []
    var seen: Set<String> = []
    for (_, rows) in try table.groups(by: ["panel", "model", "size", "seed"]) {
      let (variant, size, seed) = (
        String(models[rows[0]]), String(sizes[rows[0]]), whole[1][rows[0]]
      )
      let name = runName(variant: variant, size: size, seed: seed)
      guard seen.insert(name).inserted else { continue }
      let points = rows.map { row in
        let unseen = optional.dropFirst().compactMap { $0[row] }
        return EvaluatedRun.Point(
          step: whole[2][row], sentences: whole[4][row], characters: whole[3][row],
          accuracy: numbers[2][row], accuracyLow: numbers[3][row], accuracyHigh: numbers[4][row],
          natsPerCharacter: numbers[0][row], excessNatsPerCharacter: numbers[1][row],
          excessStandardError: optional[0][row] ?? .nan,
          unseen: unseen.count < Figure.unseenColumns.count
            ? nil
            : EvaluatedRun.Unseen(
              accuracy: unseen[0], accuracyLow: unseen[1], accuracyHigh: unseen[2],
              excessNatsPerCharacter: unseen[3], excessStandardError: unseen[4],
              heldoutShare: unseen[5]))
      }
      let origin = origins[name]
      runs.append(
        EvaluatedRun(
          variant: variant, size: size, seed: seed, id: origin?.evaluate ?? "",
          trainID: origin?.train ?? "", parameters: whole[0][rows[0]],
          model: origin?.model ?? .object([:]), points: points))
    }
    try self.init(parameters, runs: runs)
  }
}

extension PublishedTable {
  package func integers(_ column: String) throws -> [Int] {
    try texts(column).enumerated().map { row, text in
      guard let number = Int(text) else {
        throw UserError(
          "\(source):\(row + 2), column \(column)", expected: "a whole number", found: "'\(text)'")
      }
      return number
    }
  }

  /// nil for empty cells, and for all of a column that is not there.
  package func optionalNumbers(_ column: String) throws -> [Double?] {
    if !has(column) { return rows.map { _ in nil } }
    return try texts(column).enumerated().map { row, text in
      if text.isEmpty { return nil }
      guard let number = Double(text) else {
        throw UserError(
          "\(source):\(row + 2), column \(column)", expected: "a number or nothing",
          found: "'\(text)'")
      }
      return number
    }
  }
}
