import Support

/// A figure or table over text: variants of one model, and what is made of their losses.
package struct TextFigure: Subject {
  package enum Report: String, CaseIterable, Sendable {
    /// Loss over the size of the input vocabulary, with a fitted line.
    case scalingLaw
    /// Differences from the baseline during training.
    case lossCurves
    /// A table of variants with comparisons between them.
    case ablation
  }

  /// What the paper says of one variant against another.
  package struct Comparison: Sendable, Equatable {
    package let variant: String
    package let against: String
    /// "better" or "worse".
    package let says: String
  }

  package let report: Report
  /// What the others are compared with.
  package let baseline: String
  package let comparisons: [Comparison]
  /// The paper's numbers by row and metric: rows are variants in a table.
  package let paper: [String: [String: Double]]
  /// What a table calls a variant besides its name.
  package let descriptions: [String: String]
  package let drawing: String?
  package let views: [String]

  init(_ reader: inout ConfigReader, _ context: FigureContext) throws {
    report = try reader.choice("report", Report.self)
    baseline = try reader.string("baseline")
    try context.requireVariant(baseline, "baseline")
    comparisons = try (reader.has("comparisons") ? reader.objects("comparisons") : []).map {
      reader in
      var reader = reader
      let comparison = Comparison(
        variant: try reader.string("variant"), against: try reader.string("against"),
        says: try reader.choice("says", Statement.self).rawValue)
      try context.requireVariant(comparison.variant, "comparisons")
      try context.requireVariant(comparison.against, "comparisons")
      return comparison
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
    drawing = try reader.optionalString("drawing")
    if report != .ablation && drawing == nil {
      throw reader.fault("drawing", expected: "a gnuplot script", found: "none")
    }
    views = ["csv", "json", report == .ablation ? "md" : "svg"]
    guard context.sizes.count == 1 else {
      throw UserError(
        "\(context.path): sizes of the preset",
        expected: "one: its variants differ in their inputs",
        found: context.sizes.joined(separator: ", "))
    }
  }

  package func path(of experiment: Experiment, in directory: String) throws -> any DataPath {
    try TextPath(experiment, self, in: directory)
  }

  private enum Statement: String, CaseIterable { case better, worse }
}
