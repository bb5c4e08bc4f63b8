import Support

/// Tables of results inside a document that people write. Between the lines
///
///     <!-- figure2: written by make pages from results/laptop -->
///     <!-- end -->
///
/// stands the figure's first table of claims. Where the folder is not there, the table stays as it is.
package enum Excerpt {
  /// The document with every such table as the results give it.
  ///
  /// - Parameter folder: where the results that a line names lie.
  /// - Throws: `UserError` for a line that names no result or has no end.
  package static func filled(
    _ document: String, source: String, folder: (String) -> String = { $0 }
  ) throws -> String {
    var lines: [String] = []
    var rest = document.split(separator: "\n", omittingEmptySubsequences: false)[...]
    while let line = rest.popFirst() {
      lines.append(String(line))
      guard let match = line.wholeMatch(of: #/<!-- (.+): written by make pages from (.+) -->/#)
      else { continue }
      guard let end = rest.firstIndex(of: "<!-- end -->") else {
        throw UserError(source, expected: "a line '<!-- end -->' behind '\(line)'", found: "none")
      }
      let path = folder(String(match.output.2))
      guard FileBytes.exists(path) else { continue }
      let results = try ResultsFolder(path: path)
      guard let figure = results.figures.first(where: { $0.name == match.output.1 }) else {
        throw UserError(
          "\(source): '\(line)'", expected: "a figure of \(path)", found: "no such result")
      }
      lines.append(try FigureSection(figure).claimsAsMarkdown)
      rest = rest[end...]
    }
    return lines.joined(separator: "\n")
  }
}
