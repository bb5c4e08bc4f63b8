import Engine
import Kernels
import Models
import NGrams
import Parallel
import Support
import Training

/// What ranks cost and bring: training steps that several ranks share, and messages between them. Every
/// rank runs this; each finds its own times.
package struct RanksBench {
  package let ranks: any Communicator
  package let threads: Int

  package init(ranks: any Communicator, threads: Int) {
    (self.ranks, self.threads) = (ranks, threads)
  }

  /// Training steps of one model.
  package struct Steps: Sendable {
    /// Of the trunk and what else every rank holds whole.
    package let denseParameters: Int
    /// Of all tables together.
    package let columns: Int
    /// Different rows of tables that a batch looks up, and those that this rank's lanes do.
    package let rows: (batch: Int, rank: Int)
    package let tokensPerStep: Int
    /// Median over steps.
    package let seconds: Double
    /// Of the time of a step, what goes into sums over lanes and ranks, waiting for others included.
    package let reductionShare: Double
    /// The optimizer's, with the new weights on their way to the other ranks.
    package let optimizerShare: Double
    /// The loss of the last step: the same for any number of ranks.
    package let loss: Double

    package var tokensPerSecond: Double { Double(tokensPerStep) / seconds }
  }

  /// Times `steps` steps after two that warm up.
  ///
  /// - Parameters:
  ///   - rows: m of over-encoding's tables, of order 3 in 2 slices; nil for the model without.
  ///   - tables: how ranks hold them.
  package func steps(
    _ workload: Workload, rows: Int?, tables: TablePlacement = .sharded, steps: Int
  ) throws -> Steps {
    var workload = workload
    if let rows {
      let base = workload.model
      let layout = try OverEncodingLayout(
        vocabulary: base.labels, order: 3, slices: 2, rows: rows, width: base.width,
        moduli: .coprime)
      let input = OverEncoding(layout: layout)
      try TableBudget.check(
        input, moments: .float32, memoryBytes: Host.memoryBytes, ranks: ranks, tables: tables,
        source: "--rows")
      workload.model = try ModelConfiguration(
        input: input, trunk: base.trunk, outputs: base.outputs)
    }
    let sentences = Sentences.text(
      count: (steps + 2) * workload.batch, length: workload.length,
      vocabulary: workload.model.labels, seed: 1)
    let bench = try TrainingBench(
      workload, sentences: sentences, threads: threads, ranks: ranks, tables: tables)
    for _ in 0..<2 { _ = try bench.step() }
    bench.engine.setProfiling(true)
    var timed: [TrainingBench.Step] = []
    for _ in 0..<steps {
      try ranks.barrier()
      timed.append(try bench.step())
    }
    let total = timed.reduce(0) { $0 + $1.seconds }
    let layout = bench.engine.parameters.layout
    return Steps(
      denseParameters: layout.slots.reduce(0) { $0 + $1.count },
      columns: layout.tables.reduce(0) { $0 + $1.width },
      rows: rowsOfABatch(bench), tokensPerStep: timed.reduce(0) { $0 + $1.rows } / steps,
      seconds: timed.map(\.seconds).sorted()[steps / 2],
      reductionShare: (bench.engine.profile?.reduction ?? 0) / total,
      optimizerShare: (bench.engine.profile?.optimizer ?? 0) / total,
      loss: timed[steps - 1].loss)
  }

  /// Different rows of all tables that the first batch looks up, and those that this rank's lanes do.
  private func rowsOfABatch(_ bench: TrainingBench) -> (batch: Int, rank: Int) {
    let lanes = bench.lanes(ofStep: 0)
    let own = ranks.rank * lanes.count / ranks.size..<(ranks.rank + 1) * lanes.count / ranks.size
    let tables = bench.engine.parameters.layout.tables.count
    let count = { (lanes: ArraySlice<PackedLane>) in
      var found: Set<[Int32]> = []
      for lane in lanes {
        for table in 0..<tables {
          let column = lane.tables - tables + table
          for place in stride(from: column, to: lane.inputs.count, by: lane.tables) {
            found.insert([Int32(table), lane.inputs[place]])
          }
        }
      }
      return found.count
    }
    return (count(lanes[...]), count(lanes[own]))
  }

  /// Seconds in which one rank of so many finds out who sends which rows of one table to whom, as each rank
  /// does for the whole batch on one thread: the median of `rounds`.
  ///
  /// - Parameters:
  ///   - lookups: of the batch, uniform draws.
  ///   - rows: of the table, none of which is there.
  package static func grouping(lookups: Int, rows: Int, ranks: Int, rounds: Int) -> Double {
    let stream = RandomStream(seed: 1, name: "grouping")
    var random = stream.at(index: 0)
    let ids = (0..<lookups).map { _ in Int32(random.below(UInt32(rows))) }
    let groups = RowGroups(capacity: lookups)
    let own = (lookups + ranks - 1) / ranks
    let routes = RowRoutes(rank: 0, of: ranks, capacity: lookups, ownCapacity: own)
    let bounds = (0...ranks).map { min($0 * own, lookups) }
    let slots = UnsafeMutablePointer<Int32>.allocate(capacity: max(lookups, 1))
    defer { slots.deallocate() }
    return (0..<rounds).map { _ in
      let start = Host.monotonicSeconds
      groups.removeAll()
      ids.withUnsafeBufferPointer { groups.append($0, width: 1, column: 0, rows: rows) }
      groups.group(rows: rows, slots: slots, stride: 1)
      routes.find(groups, bounds: bounds, slots: slots, stride: 1)
      return Host.monotonicSeconds - start
    }.sorted()[rounds / 2]
  }

  /// Seconds for `pieces` messages of 8 bytes to and from every other rank, all at the same time: the median of
  /// `rounds` of the mean of 16 in a row.
  package func exchange(pieces: Int, rounds: Int) throws -> Double {
    let sent = [UInt64](repeating: UInt64(ranks.rank), count: pieces * ranks.size)
    var received = sent
    var seconds: [Double] = []
    for _ in 0..<rounds {
      try ranks.barrier()
      let start = Host.monotonicSeconds
      try sent.withUnsafeBytes { sent in
        try received.withUnsafeMutableBytes { received in
          let places = (0..<pieces).map { piece in
            (0..<ranks.size).map {
              (piece * ranks.size + $0) * 8..<(piece * ranks.size + $0 + 1) * 8
            }
          }
          for _ in 0..<Self.inARow {
            try ranks.exchange(
              places.map { $0.map { UnsafeRawBufferPointer(rebasing: sent[$0]) } },
              into: places.map { $0.map { UnsafeMutableRawBufferPointer(rebasing: received[$0]) } })
          }
        }
      }
      seconds.append((Host.monotonicSeconds - start) / Double(Self.inARow))
    }
    return seconds.sorted()[rounds / 2]
  }

  /// Small messages that are timed together. The first may have come before a rank asks for it, since ranks
  /// leave a barrier one after another; each further one waits for the one before.
  private static let inARow = 16

  /// Seconds for so many bytes to and from a partner at the same time, as sums over ranks exchange them: the
  /// median of `rounds`, of small messages the mean of several in a row.
  ///
  /// - Throws: `UserError` when other bytes come than were sent.
  package func message(bytes: Int, rounds: Int) throws -> Double {
    let partner = ranks.size == 1 ? 0 : ranks.rank ^ 1
    let content = { (rank: Int, round: Int) in
      (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ rank &* 7 &+ round) }
    }
    let times = max(1, min(Self.inARow, (1 << 16) / max(bytes, 1)))
    var seconds: [Double] = []
    var received = [UInt8](repeating: 0, count: bytes)
    for round in 0..<rounds {
      let sent = content(ranks.rank, round)
      try ranks.barrier()
      let start = Host.monotonicSeconds
      try sent.withUnsafeBytes { sent in
        try received.withUnsafeMutableBytes { received in
          for _ in 0..<times {
            try ranks.sendReceive(sent, to: partner, into: received, from: partner)
          }
        }
      }
      seconds.append((Host.monotonicSeconds - start) / Double(times))
      guard received == content(partner, round) else {
        throw UserError("\(bytes) bytes from rank \(partner)", expected: "as sent", found: "others")
      }
    }
    return seconds.sorted()[rounds / 2]
  }
}
