import Support

/// A CSV of results: a line of names, then rows of as many cells. No cell is quoted: names of variants
/// have no commas.
package struct PublishedTable: Sendable {
  package let source: String
  package let columns: [String]
  package let rows: [[Substring]]
  private let positions: [String: Int]

  /// - Throws: `UserError` naming the line that has another number of cells.
  package init(_ bytes: [UInt8], source: String) throws {
    self.source = source
    let lines = ByteLines(bytes).filter { !$0.isEmpty }.map {
      String(decoding: $0, as: UTF8.self).split(separator: ",", omittingEmptySubsequences: false)
    }
    columns = (lines.first ?? []).map(String.init)
    rows = Array(lines.dropFirst())
    positions = Dictionary(
      columns.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
    for (number, row) in rows.enumerated() where row.count != columns.count {
      throw UserError(
        "\(source):\(number + 2)", expected: "\(columns.count) cells", found: "\(row.count)")
    }
    guard !rows.isEmpty else {
      throw UserError(source, expected: "a line of names and a row", found: "no row")
    }
  }

  /// The table as CSV.
  package var text: String {
    ([columns.joined(separator: ",")] + rows.map { $0.joined(separator: ",") })
      .map { $0 + "\n" }.joined()
  }

  package func has(_ column: String) -> Bool { positions[column] != nil }

  /// The cells of one column.
  package func texts(_ column: String) throws -> [Substring] {
    guard let position = positions[column] else {
      throw UserError(
        source, expected: "a column '\(column)'", found: columns.joined(separator: ", "))
    }
    return rows.map { $0[position] }
  }

  package func numbers(_ column: String) throws -> [Double] {
    try texts(column).enumerated().map { row, text in
      guard let number = Double(text) else {
        throw UserError(
          "\(source):\(row + 2), column \(column)", expected: "a number", found: "'\(text)'")
      }
      return number
    }
  }

  /// Rows with equal cells in `columns`, groups and their members in the order of the table.
  package func groups(by columns: [String]) throws -> [(key: [String], rows: [Int])] {
    let cells = try columns.map { try texts($0) }
    var places: [[String]: Int] = [:]
    var groups: [(key: [String], rows: [Int])] = []
    for row in rows.indices {
      let key = cells.map { String($0[row]) }
      if let place = places[key] {
        groups[place].rows.append(row)
      } else {
        places[key] = groups.count
        groups.append((key, [row]))
      }
    }
    return groups
  }
}
