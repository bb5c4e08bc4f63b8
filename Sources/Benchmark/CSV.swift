import Support

/// Comma-separated values: cells with a comma, a quote or a line end are quoted.
package enum CSV {
  package static func text(_ rows: [[String]]) -> String {
    rows.map { $0.map(quoted).joined(separator: ",") + "\n" }.joined()
  }

  /// Writes `path` atomically, its directory too.
  package static func write(_ rows: [[String]], to path: String) throws {
    try AtomicFile.makeDirectory(AtomicFile.parent(of: path))
    try AtomicFile.write(text(rows), to: path)
  }

  private static func quoted(_ cell: String) -> String {
    cell.contains { ",\"\n\r".contains($0) }
      ? "\"" + cell.replacing("\"", with: "\"\"") + "\"" : cell
  }
}
