/// Which ids of each column occur.
struct Coverage: Sendable {
  /// Larger columns are not counted: one byte an id and worker would not be small.
  static let largestColumn = 1 << 24

  private var seen: [[Bool]]

  init(_ cardinalities: [Int]) {
    seen = cardinalities.map {
      $0 <= Self.largestColumn ? [Bool](repeating: false, count: $0) : []
    }
  }

  mutating func mark<U: FixedWidthInteger>(_ ids: Span<U>, column: Int) {
    if seen[column].isEmpty { return }
    for i in ids.indices { seen[column][Int(ids[i])] = true }
  }

  mutating func formUnion(_ other: Coverage) {
    for c in seen.indices {
      for id in seen[c].indices where other.seen[c][id] { seen[c][id] = true }
    }
  }

  /// Ids that occur, nil for a column that is not counted.
  var counts: [Int?] { seen.map { $0.isEmpty ? nil : $0.reduce(0) { $0 + ($1 ? 1 : 0) } } }
}
