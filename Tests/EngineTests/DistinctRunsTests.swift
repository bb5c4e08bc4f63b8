import Engine
import Kernels
import Support
import Testing

@Suite struct DistinctRunsTests {
  private let longest = 4

  private func lane(capacity: Int, seed: UInt64, tokens: UInt32) -> PackedLane {
    var lane = PackedLane(tables: 2, capacity: capacity, longestMatch: longest)
    fill(&lane, seed: seed, tokens: tokens)
    return lane
  }

  private func fill(_ lane: inout PackedLane, seed: UInt64, tokens: UInt32) {
    var stream = RandomStream(seed: seed, name: "runs")
    for length in [0, 1, 2, 40, 3, 300] {
      for _ in 0..<length {
        let (token, match) = (stream.below(tokens), stream.below(UInt32(longest) + 1))
        lane.appendRow(label: 0) { Int32($0 == 0 ? token : match) }
      }
      lane.endSegment()
    }
  }

  /// Against a dictionary, with and without room.
  @Test(arguments: [0, 10, 1000], [1, 3, 50, 100_000] as [UInt32])
  func twin(capacity: Int, tokens: UInt32) {
    let lane = lane(capacity: capacity, seed: 1, tokens: tokens)
    var known: [[Int32]: Int32] = [:]
    var rows = [Int32]()
    var offsets = [0]
    for segment in 0..<lane.segments {
      for row in lane.segmentOffsets[segment]..<lane.segmentOffsets[segment + 1] {
        let length = min(Int(lane.inputs[2 * row + 1]), row + 1 - lane.segmentOffsets[segment])
        guard length > 1 else {
          #expect(lane.links[0][row] == RowLink.none)
          continue
        }
        let run = (row + 1 - length...row).map { lane.inputs[2 * $0] }
        if known[run] == nil {
          rows += run
          offsets.append(rows.count)
          known[run] = Int32(rows.count - 1)
        }
        #expect(lane.links[0][row] == known[run])
      }
    }
    #expect(lane.spaces[0].inputs == rows && lane.spaces[0].segmentOffsets == offsets)
  }

  @Test func emptiedLanesBeginAnew() {
    var reused = lane(capacity: 4, seed: 2, tokens: 9)
    reused.removeAll()
    #expect(reused.spaces[0].rows == 0 && reused.links[0].isEmpty)
    fill(&reused, seed: 3, tokens: 9)
    let fresh = lane(capacity: 999, seed: 3, tokens: 9)
    #expect(reused.spaces[0].inputs == fresh.spaces[0].inputs)
    #expect(reused.links == fresh.links)
  }
}

@Suite struct LinkedRowKernelTests {
  /// Against loops over single elements, odd sizes included.
  @Test(arguments: [1, 3, 16, 17, 33]) func twins(C: Int) {
    let rows: [Int32] = [2, -1, 0, 2, -1, -1, 4]
    let ids: [Int32] = [0, 9, 1, 9, 9, 9, 2, 9, 0, 9, 2, 9, 1, 9]
    let y = (0..<5 * C).map { Float($0 * $0 % 11) - 5 }
    let table = (0..<3 * C).map { Float($0 * 5 % 17) - 8 }
    var x = [Float](repeating: .nan, count: rows.count * C)
    var xSpan = x.mutableSpan
    gather(
      into: &xSpan, y.span, rows.span, orElse: table.span, IDColumn(ids.span, width: 2), C: C)
    for n in rows.indices {
      for c in 0..<C {
        let expected = rows[n] < 0 ? table[Int(ids[2 * n]) * C + c] : y[Int(rows[n]) * C + c]
        #expect(x[n * C + c] == expected)
      }
    }
    for adding in [false, true] {
      var dTable = table
      var slow = adding ? table : table.map { _ in Float(0) }
      for n in rows.indices where rows[n] < 0 {
        for c in 0..<C { slow[Int(ids[2 * n]) * C + c] += x[n * C + c] }
      }
      var span = dTable.mutableSpan
      embeddingBackward(
        into: &span, x.span, IDColumn(ids.span, width: 2), unless: rows.span, C: C, adding: adding)
      #expect(dTable == slow)
    }
  }
}
