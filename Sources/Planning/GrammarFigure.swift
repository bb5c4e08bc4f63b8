import Contracts
import Support

/// A figure over languages of grammars: panels of curves, and the paper's statements about them.
package struct GrammarFigure: Subject {
  package let panels: [FigureParameters.Panel]
  package let claims: [FigureParameters.Claim]
  package let drawing: String
  package let views = FigureFiles.picture

  init(_ reader: inout ConfigReader, _ context: FigureContext) throws {
    let panels = try reader.objects("panels").map { reader in
      var (reader, panel) = (reader, FigureParameters.Panel())
      panel.name = try ExperimentFolder.name(&reader)
      panel.variants = try reader.strings("variants")
      return panel
    }
    self.panels = panels
    drawing = try reader.string("drawing")
    claims =
      try reader.optionalString("claims").map { file in
        try Self.claims(
          from: file, by: reader.optionalChoice("by", StatementSource.self),
          of: panels.map(\.name), paperSizes: reader.object("paperSizes"), context)
      } ?? []
    for panel in panels {
      for name in panel.variants { try context.requireVariant(name, "panel \(panel.name)") }
    }
  }

  package func path(of experiment: Experiment, in directory: String) throws -> any DataPath {
    try GrammarPath(experiment, self, in: directory)
  }

  /// Reads the rows `<figure>.<panel>` of a file of the paper's results. The text of such a row is
  /// "<variant> <paper's size> vs <variant> <paper's size>", the last field "better" or "worse".
  private static func claims(
    from path: String, by source: StatementSource?, of panels: [String], paperSizes: ConfigReader,
    _ context: FigureContext
  ) throws -> [FigureParameters.Claim] {
    var reader = paperSizes
    let labels = try reader.keys.map { (size: $0, label: try reader.string($0)) }
    func side(_ text: String, row: String) throws -> (variant: String, size: String) {
      for (size, label) in labels where text.hasSuffix(" " + label) {
        let variant = String(text.dropLast(label.count + 1))
        if context.variants.contains(variant) && context.sizes.contains(size) {
          return (variant, size)
        }
      }
      throw UserError(
        "\(path): \(row)",
        expected: "a variant of \(context.figure) and one of the paper's sizes", found: text,
        remedy: "The figure has the variants \(context.variants.joined(separator: ", ")).")
    }
    var claims: [FigureParameters.Claim] = []
    for fields in try context.paperRows(path) where fields[0].hasPrefix(context.claimed + ".") {
      let sides = fields[1].components(between: " vs ")
      guard sides.count == 2, let statement = Statement(rawValue: fields[3]) else {
        throw UserError(
          "\(path): \(fields.joined(separator: ","))",
          expected: "item,variant size vs variant size,metric,better|worse", found: "another row")
      }
      let (left, right) = (try side(sides[0], row: fields[1]), try side(sides[1], row: fields[1]))
      guard left.size == right.size else {
        throw UserError(
          "\(path): \(fields[1])", expected: "both sides of one size",
          found: "\(left.size) and \(right.size)")
      }
      var claim = FigureParameters.Claim()
      claim.panel = String(fields[0].dropFirst(context.claimed.count + 1))
      guard panels.contains(claim.panel) else {
        throw UserError(
          "\(path): \(fields[0])",
          expected: "a panel of \(context.path): \(panels.joined(separator: ", "))",
          found: claim.panel)
      }
      (claim.variant, claim.baseline, claim.size) = (left.variant, right.variant, left.size)
      (claim.statement, claim.row, claim.by) = (statement, fields[1], source)
      claims.append(claim)
    }
    if claims.isEmpty {
      throw UserError(
        "\(context.path): claims", expected: "a file with lines of \(context.claimed).<panel>",
        found: "none in \(path)",
        remedy:
          "Write there what you expect: \(context.claimed).<panel>,<comparison>,qualitative,better."
      )
    }
    return claims
  }
}

extension String {
  /// The parts of the text between occurrences of `separator`.
  fileprivate func components(between separator: String) -> [String] {
    var parts: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: separator) {
      parts.append(String(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    return parts + [String(rest)]
  }
}
