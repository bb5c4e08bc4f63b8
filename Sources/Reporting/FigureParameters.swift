import Support

/// What a figure is made of: the parameters of stage "report".
package struct FigureParameters: Sendable {
  package enum Statement: String, CaseIterable, Sendable { case better, worse }

  package struct Panel: Sendable, Equatable {
    package let name: String
    package let variants: [String]
  }

  /// What the paper says of `variant` against `baseline` at one size.
  package struct Claim: Sendable, Equatable {
    package let panel, variant, baseline, size: String
    package let statement: Statement
    /// The paper's words, as in the file of its results.
    package let row: String
  }

  package let figure, preset, title: String
  package let drawing, drawingDigest: String
  package let panels: [Panel]
  package let sizes: [String]
  package let seeds: [Int]
  package let claims: [Claim]

  /// - Throws: `UserError` naming the key for anything missing, unknown or of the wrong kind.
  package init(_ configuration: StageConfiguration) throws {
    var reader = try configuration.reader()
    figure = try reader.string("figure")
    preset = try reader.string("preset")
    title = try reader.string("title")
    drawing = try reader.string("drawing")
    drawingDigest = try reader.string("drawingDigest")
    panels = try reader.objects("panels").map { reader in
      var reader = reader
      return Panel(
        name: try reader.string("name"), variants: try reader.strings("variants"))
    }
    sizes = try reader.strings("sizes")
    seeds = try reader.ints("seeds")
    claims = try reader.objects("claims").map { reader in
      var reader = reader
      return Claim(
        panel: try reader.string("panel"), variant: try reader.string("variant"),
        baseline: try reader.string("baseline"), size: try reader.string("size"),
        statement: try reader.choice("statement", Statement.self), row: try reader.string("row"))
    }
    try reader.finish()
  }

  /// Every variant of a panel or a claim, in order of first appearance.
  package var variants: [String] {
    var seen: Set<String> = []
    let all = panels.flatMap(\.variants) + claims.flatMap { [$0.baseline, $0.variant] }
    return all.filter { seen.insert($0).inserted }
  }
}
