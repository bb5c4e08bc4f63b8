/// Whole sentences laid end to end, without padding: what one worker runs at a time.
///
/// Positions restart with each sentence and attention never crosses into another. The buffers keep
/// their memory across `removeAll()`.
package struct PackedLane: Sendable {
  /// Input tables, G.
  package let tables: Int
  /// (rows, G): the row id in each input table.
  package private(set) var inputs: [Int32] = []
  /// (rows): the label to predict at each row.
  package private(set) var labels: [Int32] = []
  /// First row of each sentence, then the number of rows.
  package private(set) var segmentOffsets: [Int] = [0]

  package init(tables: Int, capacity: Int = 0) {
    precondition(tables >= 1, "a lane needs an input table")
    self.tables = tables
    inputs.reserveCapacity(capacity * tables)
    labels.reserveCapacity(capacity)
  }

  package var rows: Int { labels.count }
  package var segments: Int { segmentOffsets.count - 1 }
  package var longestSegment: Int {
    var longest = 0
    for i in 0..<segments { longest = max(longest, segmentOffsets[i + 1] - segmentOffsets[i]) }
    return longest
  }

  package mutating func removeAll() {
    inputs.removeAll(keepingCapacity: true)
    labels.removeAll(keepingCapacity: true)
    segmentOffsets.removeAll(keepingCapacity: true)
    segmentOffsets.append(0)
  }

  /// Adds one row to the sentence being written: `input(table)` is its row id in each table.
  @inlinable
  package mutating func appendRow(label: Int32, input: (_ table: Int) -> Int32) {
    for table in 0..<tables { appendInput(input(table)) }
    appendLabel(label)
  }

  /// Ends the sentence being written; an empty one is dropped.
  package mutating func endSegment() {
    if segmentOffsets[segments] < rows { segmentOffsets.append(rows) }
  }

  /// Adds a whole sentence: one array of ids per table, and the labels, all of one length.
  package mutating func append(inputs columns: [[Int32]], labels: [Int32]) {
    precondition(
      columns.count == tables && columns.allSatisfy { $0.count == labels.count },
      "a sentence of \(labels.count) labels with \(columns.map(\.count)) inputs in \(tables) tables"
    )
    for row in labels.indices { appendRow(label: labels[row]) { columns[$0][row] } }
    endSegment()
  }

  @usableFromInline
  mutating func appendInput(_ id: Int32) { inputs.append(id) }

  @usableFromInline
  mutating func appendLabel(_ label: Int32) { labels.append(label) }
}
