import Kernels
import Models
import Support

/// Whether the tables of an over-encoded model and their optimizer state fit in memory.
package enum TableBudget {
  /// Part of the memory that tables may take: the rest is for the dense model, the batch and the data.
  static let share = 0.9

  /// - Throws: `UserError` saying how much is needed and how many rows fit.
  package static func check(
    _ encoding: OverEncoding, moments: TableMoments, memoryBytes: Int, source: String
  ) throws {
    let needed = encoding.bytes(moments: moments)
    let limit = Int(Self.share * Double(memoryBytes))
    guard needed > limit else { return }
    let rows = Int(Double(encoding.layout.rows) * Double(limit) / Double(needed))
    let text = { (bytes: Int) in Progress.short(Double(bytes)) + "B" }
    throw UserError(
      "\(source): parameters.model.overEncoding.rows: the tables do not fit in memory",
      expected: "at most \(text(limit)) of tables and moments, of the \(text(memoryBytes)) of"
        + " memory",
      found: "\(encoding.layout.embedders.count) tables of \(encoding.layout.rows) rows and more by"
        + " \(encoding.layout.embedders[0].width) columns: \(text(needed))",
      remedy: "Lower rows to about \(rows)"
        + (moments == .float32 ? ", or set optimizer.tables.moments to bfloat16 or rowwise." : "."))
  }
}
