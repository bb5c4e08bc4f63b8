import Parallel
import Testing

@Suite struct CommunicatorTests {
  static let sizes = [1, 2, 3, 4, 8]

  @Test(arguments: sizes) func broadcastGivesTheBytesOfRankZero(size: Int) throws {
    let results = try ThreadCommunicator.run(size: size) { ranks in
      try (
        ranks.broadcast(ranks.decides ? Array("ready".utf8) : [1]), ranks.broadcast([]),
        ranks.broadcast(100 + ranks.rank)
      )
    }
    for (bytes, nothing, number) in results {
      #expect(bytes == Array("ready".utf8))
      #expect(nothing.isEmpty)
      #expect(number == 100)
    }
  }

  /// Parts of different sizes, empty ones among them.
  @Test(arguments: sizes) func everyRankGathersAllParts(size: Int) throws {
    let parts = (0..<size).reduce(into: [Range<Int>]()) { parts, rank in
      let start = parts.last?.upperBound ?? 0
      parts.append(start..<start + (rank * 3) % 5)
    }
    let total = parts[size - 1].upperBound
    let expected = parts.enumerated().flatMap { rank, part in part.map { UInt8(10 * rank + $0) } }
    let results = try ThreadCommunicator.run(size: size) { ranks in
      var bytes = [UInt8](repeating: 0, count: total)
      for i in parts[ranks.rank] { bytes[i] = UInt8(10 * ranks.rank + i) }
      try bytes.withUnsafeMutableBytes { try ranks.allGather($0, parts: parts) }
      return bytes
    }
    for bytes in results { #expect(bytes == expected) }
  }

  /// Rank a sends a + 2·b rows to rank b.
  @Test(arguments: sizes) func rowsGoToTheirRanks(size: Int) throws {
    let results = try ThreadCommunicator.run(size: size) { ranks in
      let counts = (0..<size).map { ranks.rank + 2 * $0 }
      let rows = counts.enumerated().flatMap { target, count in
        (0..<count).map { UInt64(ranks.rank * 10_000 + target * 100 + $0) }
      }
      return try ranks.exchange(rows, counts: counts)
    }
    for (rank, result) in results.enumerated() {
      var (counts, rows): ([Int], [UInt64]) = ([], [])
      for source in 0..<size {
        counts.append(source + 2 * rank)
        for i in 0..<(source + 2 * rank) { rows.append(UInt64(source * 10_000 + rank * 100 + i)) }
      }
      #expect(result.counts == counts)
      #expect(result.rows == rows)
    }
  }

  @Test func nobodyWaitsForARankThatHasFailed() {
    struct Fault: Error {}
    #expect(throws: Fault.self) {
      try ThreadCommunicator.run(size: 4) { ranks in
        if ranks.rank == 2 { throw Fault() }
        try ranks.barrier()
      }
    }
  }

  @Test func abortNamesTheReason() throws {
    let ranks = ThreadCommunicator.make(size: 2)
    ranks[0].abort("the disk is full")
    let error = #expect(throws: RanksAborted.self) { try ranks[1].barrier() }
    #expect(error?.description == "another rank has stopped: the disk is full")
  }
}
