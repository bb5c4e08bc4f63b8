import Foundation

/// A table for people: columns as wide as their widest cell, the first and last to the left, numbers
/// to the right.
package struct TextTable {
  private var rows: [[String]]

  package init(_ heading: [String]) { rows = [heading] }

  package mutating func add(_ cells: [String]) {
    precondition(cells.count == rows[0].count, "a row has a cell for every column")
    rows.append(cells)
  }

  package var text: String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let space = String(repeating: " ", count: widths[column] - cell.count)
        let left = column == 0 || column == row.count - 1
        line += (column == 0 ? "" : "  ") + (left ? cell + space : space + cell)
      }
      while line.hasSuffix(" ") { line.removeLast() }
      return line + "\n"
    }.joined()
  }
}

/// Numbers with units, three digits.
package enum Quantity {
  package static func count(_ value: Int) -> String {
    value < 10_000 ? String(value) : scaled(Double(value), ["", "k", "M", "G", "T"], 1000)
  }

  package static func bytes(_ value: Double) -> String {
    scaled(value, [" B", " kB", " MB", " GB", " TB", " PB"], 1000)
  }

  package static func flops(_ value: Double) -> String {
    scaled(
      value, [" FLOP", " kFLOP", " MFLOP", " GFLOP", " TFLOP", " PFLOP", " EFLOP", " ZFLOP"], 1000)
  }

  /// Seconds, minutes, hours, days or years.
  package static func time(_ seconds: Double) -> String {
    for (limit, unit, size) in [
      (100.0, "s", 1.0), (6_000, "min", 60), (172_800, "h", 3_600), (63_072_000, "d", 86_400),
    ] where seconds < limit {
      return String(format: "%.3g \(unit)", seconds / size)
    }
    return String(format: "%.3g y", seconds / 31_557_600)
  }

  private static func scaled(_ value: Double, _ units: [String], _ step: Double) -> String {
    var value = value
    var unit = 0
    // 999.5 would print as 1e+03.
    while value >= step * 0.9995 && unit + 1 < units.count {
      value /= step
      unit += 1
    }
    return String(format: "%.3g", value) + units[unit]
  }
}
