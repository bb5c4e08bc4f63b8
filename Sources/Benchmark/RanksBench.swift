import Engine
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
    package let parameters: Int
    package let tokensPerStep: Int
    /// Median over steps.
    package let seconds: Double
    /// Of the time of a step, what goes into sums over lanes and ranks, waiting for others included.
    package let reductionShare: Double
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
    return Steps(
      parameters: bench.engine.parameters.layout.parameterCount,
      tokensPerStep: timed.reduce(0) { $0 + $1.rows } / steps,
      seconds: timed.map(\.seconds).sorted()[steps / 2],
      reductionShare: (bench.engine.profile?.reduction ?? 0) / total,
      loss: timed[steps - 1].loss)
  }

  /// Seconds for so many bytes to and from a neighbour at the same time: the median of `rounds`.
  ///
  /// - Throws: `UserError` when other bytes come than were sent.
  package func message(bytes: Int, rounds: Int) throws -> Double {
    let (target, source) = (
      (ranks.rank + 1) % ranks.size, (ranks.rank - 1 + ranks.size) % ranks.size
    )
    let content = { (rank: Int, round: Int) in
      (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ rank &* 7 &+ round) }
    }
    var seconds: [Double] = []
    var received = [UInt8](repeating: 0, count: bytes)
    for round in 0..<rounds {
      let sent = content(ranks.rank, round)
      try ranks.barrier()
      let start = Host.monotonicSeconds
      try sent.withUnsafeBytes { sent in
        try received.withUnsafeMutableBytes {
          try ranks.sendReceive(sent, to: target, into: $0, from: source)
        }
      }
      seconds.append(Host.monotonicSeconds - start)
      guard received == content(source, round) else {
        throw UserError("\(bytes) bytes from rank \(source)", expected: "as sent", found: "others")
      }
    }
    return seconds.sorted()[rounds / 2]
  }
}
