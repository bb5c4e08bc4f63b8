import Contracts
import Support

/// A figure or table over text: variants of one model, and what is made of their losses.
package struct TextFigure: Subject {
  package let report: TextReport
  /// What the others are compared with.
  package let baseline: String
  package let comparisons: [TextFigureParameters.Comparison]
  package let spacings: [TextFigureParameters.Spacing]?
  /// The paper's numbers by row and metric: rows are variants in a table.
  package let paper: [String: [String: Double]]
  /// What a table calls a variant besides its name.
  package let descriptions: [String: String]
  package let drawing: String?
  package var views: [String] { FigureFiles.views(drawing: drawing) }

  init(_ reader: inout ConfigReader, _ context: FigureContext) throws {
    report = try reader.choice("report", TextReport.self)
    baseline = try reader.string("baseline")
    try context.requireVariant(baseline, "baseline")
    comparisons = try (reader.has("comparisons") ? reader.objects("comparisons") : []).map {
      reader in
      var reader = reader
      let comparison = try TextFigureParameters.Comparison(reader: &reader)
      try context.requireVariant(comparison.variant, "comparisons")
      try context.requireVariant(comparison.against, "comparisons")
      return comparison
    }
    spacings = try (reader.has("spacings") ? reader.objects("spacings") : nil)?.map { reader in
      var reader = reader
      let spacing = try TextFigureParameters.Spacing(reader: &reader)
      for variant in spacing.variants { try context.requireVariant(variant, "spacings") }
      return spacing
    }
    guard spacings == nil || report == .ablation else {
      throw reader.fault(
        "spacings", expected: "none: only a table judges them", found: "\(report.rawValue)")
    }
    var descriptions: [String: String] = [:]
    if var group = try reader.optionalObject("descriptions") {
      for name in group.keys {
        try context.requireVariant(name, "descriptions")
        descriptions[name] = try group.string(name)
      }
    }
    self.descriptions = descriptions
    var paper: [String: [String: Double]] = [:]
    if var source = try reader.optionalObject("paper") {
      let file = try source.string("file")
      let item = try source.string("item")
      for fields in try context.paperRows(file) where fields[0] == item {
        guard let value = Double(fields[3]) else {
          throw UserError("\(file): \(item),\(fields[1])", expected: "a number", found: fields[3])
        }
        if report == .ablation { try context.requireVariant(fields[1], "paper") }
        paper[fields[1], default: [:]][fields[2]] = value
      }
      if paper.isEmpty {
        throw UserError("\(file): item \(item)", expected: "at least one row", found: "none")
      }
    }
    self.paper = paper
    if !report.judgesComparisons && !comparisons.isEmpty {
      throw reader.fault(
        "comparisons", expected: "none: \(report.rawValue) judges none",
        found: "\(comparisons.count)",
        remedy: "Of the reports "
          + TextReport.allCases.filter(\.judgesComparisons).map(\.rawValue).joined(separator: ", ")
          + " do.")
    }
    if [.metrics, .vocabularies].contains(report) && comparisons.isEmpty {
      throw reader.fault(
        "comparisons", expected: "one or more {variant, against, says}", found: "none")
    }
    drawing = try reader.optionalString("drawing")
    if let expected = report.expectedDrawing(insteadOf: drawing) {
      throw reader.fault("drawing", expected: expected, found: drawing ?? "none")
    }
  }

  package func path(of experiment: Experiment, in directory: String) throws -> any DataPath {
    try TextPath(experiment, self, in: directory)
  }
}
