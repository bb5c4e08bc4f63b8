/// The distinct runs of tokens that a lane's positions stand for, each once, in the order in which they
/// first come: what makes an f-gram that occurs often in a batch cost one run of its model.
///
/// Which run is which is found by hashing; results depend on the tokens alone.
struct DistinctRuns: Sendable {
  /// Tokens of the longest run.
  let longest: Int
  /// Open addressing: 1 + the segment of a run, 0 where a place is free. A power of two of places, at
  /// most half of them taken.
  private var places: [Int32]
  private var count = 0

  /// - Parameter capacity: runs that there is room for without asking for memory.
  init(longest: Int, capacity: Int) {
    precondition(longest >= 2, "runs of \(longest) tokens")
    self.longest = longest
    var size = 16
    while size < 2 * capacity { size *= 2 }
    places = Array(repeating: 0, count: size)
  }

  mutating func removeAll() {
    if count == 0 { return }
    for i in places.indices { places[i] = 0 }
    count = 0
  }

  /// The last row of a run in `runs`, where it becomes a segment if it is none yet.
  ///
  /// - Parameters:
  ///   - tokens: (rows, width), the token first.
  ///   - rows: those that the run's tokens stand in.
  mutating func lastRow(
    of tokens: [Int32], width: Int, in rows: Range<Int>, among runs: inout PackedRows
  ) -> Int32 {
    precondition(rows.count <= longest, "a run of \(rows.count) of \(longest) tokens")
    if 2 * (count + 1) > places.count { grow(runs) }
    var place = Self.place(rows.count, of: places.count) { tokens[(rows.lowerBound + $0) * width] }
    while places[place] > 0 {
      let segment = Int(places[place]) - 1
      let first = runs.segmentOffsets[segment]
      let end = runs.segmentOffsets[segment + 1]
      if end - first == rows.count
        && (0..<rows.count).allSatisfy({
          runs.inputs[first + $0] == tokens[(rows.lowerBound + $0) * width]
        })
      {
        return Int32(end - 1)
      }
      place = (place + 1) & (places.count - 1)
    }
    places[place] = Int32(runs.segmentOffsets.count)
    count += 1
    for row in rows { runs.appendRow { _ in tokens[row * width] } }
    runs.endSegment()
    return Int32(runs.rows - 1)
  }

  /// Doubles the places.
  private mutating func grow(_ runs: PackedRows) {
    places = Array(repeating: 0, count: 2 * places.count)
    for segment in 0..<count {
      let first = runs.segmentOffsets[segment]
      let length = runs.segmentOffsets[segment + 1] - first
      var place = Self.place(length, of: places.count) { runs.inputs[first + $0] }
      while places[place] > 0 { place = (place + 1) & (places.count - 1) }
      places[place] = Int32(segment + 1)
    }
  }

  /// Where the search for a run begins.
  @inline(__always)
  private static func place(_ length: Int, of size: Int, _ token: (Int) -> Int32) -> Int {
    var hash: UInt64 = 0
    for i in 0..<length {
      hash = (hash ^ UInt64(UInt32(bitPattern: token(i)))) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash >> 32
    }
    return Int(truncatingIfNeeded: hash) & (size - 1)
  }
}
