/// Splits the sentences of a batch over lanes so that lanes have nearly equal rows.
///
/// Rule (longest first): sentences are taken by descending length, equal lengths in batch order, and
/// each goes to the lane with the fewest rows so far, the lowest-numbered among equals. The result
/// depends on the lengths only, never on threads. Sentences are laid end to end in a lane in the
/// order in which they arrived there.
///
/// With `lanes ≤ sentences` and no empty sentence every lane gets at least one. The fullest lane
/// holds at most `(T − M)/lanes + M` rows for a batch of `T` rows whose longest sentence has `M`: it
/// was the emptiest when it took its last sentence (Graham's bound for list scheduling).
package struct LaneAssignment: Sendable {
  package let lanes: Int
  /// Positions in the batch of the sentences of each lane.
  package private(set) var sentences: [[Int]]
  /// Rows of each lane.
  package private(set) var rows: [Int]

  private var keys: [UInt64] = []

  /// - Parameter batchSequences: capacity that `assign` may use without allocating.
  package init(lanes: Int, batchSequences: Int) {
    precondition(lanes >= 1 && lanes <= batchSequences, "every lane needs a sentence")
    self.lanes = lanes
    sentences = Array(repeating: [], count: lanes)
    rows = Array(repeating: 0, count: lanes)
    for lane in 0..<lanes { sentences[lane].reserveCapacity(batchSequences) }
    keys.reserveCapacity(batchSequences)
  }

  /// Replaces the assignment by that of a batch with these sentence lengths, in rows.
  ///
  /// - Precondition: at least `lanes` sentences, each of `1 ..< 2³²` rows.
  package mutating func assign(lengths: [Int]) {
    precondition(lengths.count >= lanes, "every lane needs a sentence")
    keys.removeAll(keepingCapacity: true)
    for position in lengths.indices {
      let length = UInt64(lengths[position])
      precondition(length >= 1 && length >> 32 == 0, "a sentence has at least one row")
      keys.append((0xFFFF_FFFF - length) << 32 | UInt64(position))
    }
    keys.sort()
    for lane in 0..<lanes {
      sentences[lane].removeAll(keepingCapacity: true)
      rows[lane] = 0
    }
    for key in keys {
      let position = Int(key & 0xFFFF_FFFF)
      var target = 0
      for lane in 1..<max(1, lanes) where rows[lane] < rows[target] { target = lane }
      sentences[target].append(position)
      rows[target] += lengths[position]
    }
  }

  /// Rows that no lane of any batch can exceed.
  ///
  /// Applies the bound above to the heaviest batch there can be: a batch spans at most two epochs, so
  /// no document occurs in it more than twice.
  ///
  /// - Parameter lengths: rows of every document of the data set.
  package static func capacity(lengths: [Int], batchSequences: Int, lanes: Int) -> Int {
    guard let longest = lengths.max() else { return 0 }
    var histogram = [Int](repeating: 0, count: longest + 1)
    for length in lengths { histogram[length] += 2 }
    var remaining = batchSequences
    var total = 0
    for length in stride(from: longest, through: 0, by: -1) where remaining > 0 {
      let taken = min(remaining, histogram[length])
      total += taken * length
      remaining -= taken
    }
    return (total - longest) / lanes + longest
  }
}
