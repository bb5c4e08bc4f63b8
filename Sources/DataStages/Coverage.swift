/// Which ids of each column occur.
struct Coverage: Sendable {
  /// Larger columns are not counted: one byte an id and worker would not be small.
  static let largestColumn = 1 << 24

  /// One byte an id; empty for a column that is not counted.
  private var seen: [[UInt8]]

  init(_ cardinalities: [Int]) {
    seen = cardinalities.map { [UInt8](repeating: 0, count: $0 <= Self.largestColumn ? $0 : 0) }
  }

  mutating func mark<U: FixedWidthInteger>(_ ids: Span<U>, column: Int) {
    var marks = seen[column].mutableSpan
    if marks.isEmpty { return }
    for i in 0..<ids.count { marks[Int(truncatingIfNeeded: ids[i])] = 1 }
  }

  mutating func formUnion(_ other: Coverage) {
    for c in seen.indices {
      for id in seen[c].indices { seen[c][id] |= other.seen[c][id] }
    }
  }

  /// Ids that occur, nil for a column that is not counted.
  var counts: [Int?] { seen.map { $0.isEmpty ? nil : $0.reduce(0) { $0 + Int($1) } } }
}
