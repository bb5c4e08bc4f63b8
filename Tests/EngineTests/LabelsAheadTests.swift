import Engine
import Testing

/// Labels of tokens further ahead follow from the labels of the next ones.
@Suite struct LabelsAheadTests {
  @Test func theyStayInTheSentence() {
    var lane = PackedLane(tables: 1, ahead: [2, 4, 1])
    for labels in [[10, 11, 12, 13, 14], [20], [], [30, 31]] as [[Int32]] {
      for label in labels { lane.appendRow(label: label) { _ in 0 } }
      lane.endSegment()
    }
    let none = PackedLane.noLabel
    #expect(lane.furtherLabels[0] == [11, 12, 13, 14, none, none, 31, none])
    #expect(lane.furtherLabels[1] == [13, 14, none, none, none, none, none, none])
    #expect(lane.furtherLabels[2] == lane.labels)
    #expect((0..<4).map { lane.labelledRows(column: $0) } == [8, 5, 2, 8])
    #expect(lane.segmentOffsets == [0, 5, 6, 8])
    lane.removeAll()
    #expect(lane.furtherLabels == [[], [], []] && lane.labelledRows(column: 1) == 0)
  }

  /// A row without a label is none that anything predicts.
  @Test func noLabelStaysNone() {
    var lane = PackedLane(tables: 1, ahead: [2])
    for label in [1, PackedLane.noLabel, 3] as [Int32] { lane.appendRow(label: label) { _ in 0 } }
    lane.endSegment()
    #expect(lane.furtherLabels[0] == [PackedLane.noLabel, 3, PackedLane.noLabel])
    #expect(lane.labelledRows(column: 1) == 1)
  }
}
