import Support

/// Documents of a shard set as text: one a line; with several columns, one line a column.
package struct ShardText {
  private let set: ShardSet
  private let column: String?
  private let documents: Range<Int>

  /// - Parameters:
  ///   - column: only this one.
  ///   - documents: nil for all.
  /// - Throws: `UserError` for a column or documents that the set does not have.
  package init(_ set: ShardSet, column: String?, documents: Range<Int>?) throws {
    if let column, !set.columns.contains(where: { $0.name == column }) {
      throw UserError(
        "\(set.directory): column '\(column)'",
        expected: "one of \(set.columns.map(\.name).joined(separator: ", "))",
        found: "no such column")
    }
    let wanted = documents ?? 0..<set.documents
    guard wanted.upperBound <= set.documents else {
      throw UserError(
        "--documents", expected: "documents below \(set.documents)",
        found: "\(wanted.lowerBound)..<\(wanted.upperBound)")
    }
    self.set = set
    self.column = column
    self.documents = wanted
  }

  /// Calls `body` with the lines of each document, in order; one shard is in memory at a time.
  package func forEachDocument(_ body: (String) throws -> Void) throws {
    try set.forEachPiece(ofDocuments: documents) { loaded, documents in
      for document in documents { try body(text(document, of: loaded)) }
    }
  }

  private func text(_ document: Int, of loaded: LoadedColumns) -> String {
    let rows = loaded.rows(ofDocument: document)
    var text = ""
    for (position, entry) in loaded.columns.enumerated() where column ?? entry.name == entry.name {
      if loaded.columns.count > 1 && column == nil { text += entry.name + ": " }
      if loaded.element == .f64 {
        let values = loaded.buffer(position, as: Double.self)[rows]
        text += values.map { "\($0)" }.joined(separator: " ")
      } else {
        let values = loaded.integers(column: position, rows: rows)
        text += values.map(String.init).joined(separator: " ")
      }
      text += "\n"
    }
    return text
  }
}

/// Numbers of documents as people write them: "7", "0..<5" or "0...4".
package struct DocumentRange: Equatable, Sendable {
  package let range: Range<Int>

  package init?(_ text: String) {
    for (separator, extra) in [("..<", 0), ("...", 1)] {
      guard let dots = text.firstRange(of: separator) else { continue }
      guard let low = Int(text[..<dots.lowerBound]), let high = Int(text[dots.upperBound...]),
        low >= 0, high < Int.max, low <= high + extra
      else { return nil }
      range = low..<high + extra
      return
    }
    guard let single = Int(text), single >= 0, single < Int.max else { return nil }
    range = single..<single + 1
  }
}
