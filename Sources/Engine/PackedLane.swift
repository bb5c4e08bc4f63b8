/// Rows of one space, in segments laid end to end.
package struct PackedRows: Sendable {
  /// Columns of ids, G.
  package let tables: Int
  /// (rows, G).
  package private(set) var inputs: [Int32] = []
  package private(set) var rows = 0
  /// First row of each segment, then the number of rows.
  package private(set) var segmentOffsets: [Int] = [0]

  package init(tables: Int) { self.tables = tables }

  package var longestSegment: Int { longest(segmentOffsets) }

  /// Makes room for so many segments of up to `longest` rows.
  mutating func reserve(segments: Int, of longest: Int) {
    inputs.reserveCapacity(segments * longest * tables)
    segmentOffsets.reserveCapacity(segments + 1)
  }

  package mutating func removeAll() {
    inputs.removeAll(keepingCapacity: true)
    rows = 0
    segmentOffsets.removeAll(keepingCapacity: true)
    segmentOffsets.append(0)
  }

  /// Adds one row to the segment being written.
  package mutating func appendRow(_ input: (_ table: Int) -> Int32) {
    for table in 0..<tables { inputs.append(input(table)) }
    rows += 1
  }

  /// Ends the segment being written; an empty one is dropped.
  package mutating func endSegment() {
    if segmentOffsets[segmentOffsets.count - 1] < rows { segmentOffsets.append(rows) }
  }
}

private func longest(_ offsets: [Int]) -> Int {
  var longest = 0
  for i in 1..<max(offsets.count, 1) { longest = max(longest, offsets[i] - offsets[i - 1]) }
  return longest
}

/// Whole sentences laid end to end, without padding: what one worker runs at a time.
///
/// Positions restart with each sentence and attention never crosses into another. The buffers keep
/// their memory across `removeAll()`.
package struct PackedLane: Sendable {
  /// The label of a row that nothing is predicted at: it has no loss and counts in no mean.
  package static let noLabel: Int32 = -1

  /// Input tables, G.
  package let tables: Int
  /// (rows, G): the row id in each input table.
  package private(set) var inputs: [Int32] = []
  /// (rows): the label to predict at each row, or `noLabel`.
  package private(set) var labels: [Int32] = []
  /// (rows) each: the labels of further heads.
  package private(set) var furtherLabels: [[Int32]]
  /// Of further heads that predict what the first one does, so many tokens ahead; see `endSegment()`.
  private let ahead: [Int]
  /// First row of each sentence, then the number of rows.
  package private(set) var segmentOffsets: [Int] = [0]
  /// The rows of other spaces, in the order of their declaration.
  package var spaces: [PackedRows]
  /// (rows of its first space) each: see `RowLink`.
  package var links: [[Int32]]
  /// Of a lane whose second column of inputs says how long a run of tokens each position stands for.
  private var runs: DistinctRuns?
  /// Rows with a label, by column.
  private var labelled: [Int]

  /// - Parameters:
  ///   - labelColumns: heads that have labels of their own.
  ///   - ahead: how many tokens ahead the labels of each further head are, the first one's being 1
  ///     ahead: their columns then follow from the first.
  ///   - spaces: columns of ids of each space whose rows the lane brings.
  ///   - longestMatch: if given, the second column of inputs is the number of tokens, up to this one, of
  ///     the run that ends at a position; see `endSegment()`. The lane then has one space and one link.
  package init(
    tables: Int, capacity: Int = 0, labelColumns: Int = 1, ahead: [Int] = [], spaces: [Int] = [],
    links: Int = 0, longestMatch: Int? = nil
  ) {
    let labelColumns = max(labelColumns, ahead.count + 1)
    precondition(tables >= 1 && labelColumns >= 1, "a lane needs an input table and labels")
    precondition(
      ahead.allSatisfy { $0 >= 1 } && (ahead.isEmpty || ahead.count == labelColumns - 1),
      "labels \(ahead) tokens ahead in \(labelColumns) columns")
    self.tables = tables
    self.ahead = ahead
    furtherLabels = Array(repeating: [], count: labelColumns - 1)
    precondition(
      longestMatch == nil || tables >= 2 && spaces.isEmpty && links == 0,
      "runs of tokens in a lane of \(tables) columns, \(spaces.count) spaces and \(links) links")
    self.spaces = (longestMatch == nil ? spaces : [1]).map { PackedRows(tables: $0) }
    self.links = Array(repeating: [], count: longestMatch == nil ? links : 1)
    if let longestMatch {
      runs = DistinctRuns(longest: longestMatch, capacity: capacity)
      self.spaces[0].reserve(segments: capacity, of: longestMatch)
      self.links[0].reserveCapacity(capacity)
    }
    labelled = Array(repeating: 0, count: labelColumns)
    inputs.reserveCapacity(capacity * tables)
    labels.reserveCapacity(capacity)
    for i in furtherLabels.indices { furtherLabels[i].reserveCapacity(capacity) }
  }

  package var rows: Int { labels.count }
  package var segments: Int { segmentOffsets.count - 1 }
  package var longestSegment: Int { longest(segmentOffsets) }

  /// Rows that have a label in `column`.
  package func labelledRows(column: Int = 0) -> Int { labelled[column] }

  package mutating func removeAll() {
    inputs.removeAll(keepingCapacity: true)
    labels.removeAll(keepingCapacity: true)
    for i in furtherLabels.indices { furtherLabels[i].removeAll(keepingCapacity: true) }
    for i in spaces.indices { spaces[i].removeAll() }
    for i in links.indices { links[i].removeAll(keepingCapacity: true) }
    runs?.removeAll()
    for i in labelled.indices { labelled[i] = 0 }
    segmentOffsets.removeAll(keepingCapacity: true)
    segmentOffsets.append(0)
  }

  /// Adds one row to the sentence being written: `input(table)` is its row id in each table.
  @inlinable
  package mutating func appendRow(label: Int32, input: (_ table: Int) -> Int32) {
    for table in 0..<tables { appendInput(input(table)) }
    appendLabel(label)
  }

  /// Adds the label of the last row for another head, `column` counted from 1.
  package mutating func appendLabel(_ label: Int32, column: Int) {
    furtherLabels[column - 1].append(label)
    if label != Self.noLabel { labelled[column] += 1 }
  }

  /// Ends the sentence being written; an empty one is dropped. The label of a token i ahead is the first
  /// head's label i − 1 rows on, and none where that row is not of the sentence.
  ///
  /// A lane of runs links each position to the last row of the run of so many tokens, as its second
  /// input says, that ends there, cut at the sentence's first token: each distinct run of two tokens or
  /// more is one segment of the lane's space, the token itself is none.
  package mutating func endSegment() {
    let first = segmentOffsets[segments]
    if first == rows { return }
    if runs != nil { linkRuns(from: first) }
    for (column, distance) in ahead.enumerated() {
      for row in first..<rows {
        let source = row + distance - 1
        appendLabel(source < rows ? labels[source] : Self.noLabel, column: column + 1)
      }
    }
    segmentOffsets.append(rows)
  }

  private mutating func linkRuns(from first: Int) {
    for row in first..<rows {
      let length = min(Int(inputs[row * tables + 1]), row + 1 - first)
      links[0].append(
        length < 2
          ? RowLink.none
          : runs?.lastRow(
            of: inputs, width: tables, in: row + 1 - length..<row + 1, among: &spaces[0])
            ?? RowLink.none)
    }
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
  mutating func appendLabel(_ label: Int32) {
    labels.append(label)
    if label != Self.noLabel { labelled[0] += 1 }
  }
}
