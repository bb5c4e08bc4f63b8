/// Where lookups of all tables find their rows: in the tables themselves, or in copies of the rows of
/// a batch.
// Unchecked: fixed when made, but for the memory it points to.
final class TableSources: @unchecked Sendable {
  let count: Int
  private let bases: UnsafeMutablePointer<UnsafePointer<Float>>
  private let rows: UnsafeMutablePointer<Int>

  /// - Parameter sources: first float and number of rows of each table; the memory outlives this.
  init(_ sources: [(base: UnsafePointer<Float>, rows: Int)]) {
    count = sources.count
    bases = .allocate(capacity: max(count, 1))
    rows = .allocate(capacity: max(count, 1))
    for (i, source) in sources.enumerated() {
      (bases + i).initialize(to: source.base)
      (rows + i).initialize(to: source.rows)
    }
  }

  deinit {
    bases.deallocate()
    rows.deallocate()
  }

  /// The view of a lane whose ids lie in the last columns of (N, `width`).
  func view(
    _ ids: UnsafeBufferPointer<Int32>, width: Int, gradients: UnsafeMutablePointer<Float>? = nil
  ) -> TableView {
    precondition(width >= count, "\(width) columns of ids for \(count) tables")
    return TableView(
      bases: bases, rows: rows, ids: ids, idWidth: width, firstColumn: width - count,
      gradients: gradients)
  }
}

/// The table lookups of one lane.
struct TableView {
  let bases: UnsafePointer<UnsafePointer<Float>>
  let rows: UnsafePointer<Int>
  /// (N, idWidth): table i's row for each position in column `firstColumn` + i.
  let ids: UnsafeBufferPointer<Int32>
  let idWidth: Int
  let firstColumn: Int
  /// (N, Σ widths): where the gradient of each looked up row goes, when training.
  let gradients: UnsafeMutablePointer<Float>?
}
