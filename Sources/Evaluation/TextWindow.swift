/// A stretch of a document that goes through the model by itself, and the part of it that is scored.
package struct TextWindow: Sendable, Equatable {
  /// Number of the document in its set.
  package let document: Int
  /// Rows of the set that the model reads, at most `context`.
  package let rows: Range<Int>
  /// Those of them whose labels are scored: the last ones.
  package let scored: Range<Int>

  package init(document: Int, rows: Range<Int>, scored: Range<Int>) {
    self.document = document
    self.rows = rows
    self.scored = scored
  }

  /// Cuts a document into windows so that each row is scored exactly once: window i reads
  /// [i·stride, i·stride + context) and scores what no window before it has. From the second on,
  /// a scored row has at least context − stride rows before it in its window; with stride = context
  /// windows are disjoint.
  ///
  /// - Parameter document: rows of the document in the set; none give no window.
  package static func cut(
    document number: Int, rows document: Range<Int>, context: Int, stride: Int
  ) -> [TextWindow] {
    precondition(1 <= stride && stride <= context, "a stride within the context")
    var windows: [TextWindow] = []
    var start = document.lowerBound
    var scored = document.lowerBound
    while scored < document.upperBound {
      let end = min(start + context, document.upperBound)
      windows.append(TextWindow(document: number, rows: start..<end, scored: scored..<end))
      scored = end
      start += stride
    }
    return windows
  }

  /// Cuts the documents with these offsets, of which only the first `positions` rows are scored.
  package static func cut(
    offsets: [Int], context: Int, stride: Int, positions: Int?
  ) -> [TextWindow] {
    let end = positions ?? .max
    return (0..<offsets.count - 1).flatMap { d in
      cut(
        document: d, rows: min(offsets[d], end)..<min(offsets[d + 1], end), context: context,
        stride: stride)
    }
  }

  /// Puts consecutive windows together into groups of at most `rows` rows, or of one window.
  package static func pack(_ windows: [TextWindow], rows limit: Int) -> [Range<Int>] {
    var groups: [Range<Int>] = []
    var first = 0
    var rows = 0
    for (i, window) in windows.enumerated() {
      if i > first && rows + window.rows.count > limit {
        groups.append(first..<i)
        first = i
        rows = 0
      }
      rows += window.rows.count
    }
    return first < windows.count ? groups + [first..<windows.count] : groups
  }
}
