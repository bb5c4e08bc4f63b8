import ArgumentParser
import Benchmark
import Engine
import Foundation
import Kernels
import Parallel
import Stages
import Support

struct RankSteps: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ranks",
    abstract: "Time training steps that ranks share, and messages between them.",
    discussion: """
      Start it by tools/ranks, mpirun or srun. Prints a line of CSV for the model without tables and, \
      for each m of over-encoding's (order 3 in 2 slices), one with their rows sharded over the ranks \
      and one with all on each, then one for each size of message to and from a neighbour, and one for \
      messages of 8 bytes to and from all others at once. A process alone times instead how a rank of \
      1,024 finds out who sends which rows to whom, one table on one thread. Times are those of rank 0.
      """)

  @OptionGroup var options: WorkloadOptions
  @OptionGroup var ranks: RankOptions
  @Option(help: "Rows m of over-encoding's tables, comma-separated; 0: the model without.")
  var rows = "0,100000"
  @Option(help: "Timed steps of each.") var steps = 20
  @Option(help: "Bytes of a message, comma-separated.") var messages = "8,32768,2097152,33554432"
  @Option(help: "Rounds of each size of message.") var rounds = 20
  @Option(help: "Lookups of a batch whose rows are grouped, comma-separated.")
  var lookups = ""

  func validate() throws {
    for (option, list) in [("--rows", rows), ("--messages", messages), ("--lookups", lookups)]
    where RankSteps.numbers(list) == nil {
      throw ValidationError("\(option): expected numbers separated by commas, found '\(list)'.")
    }
    try requireCount(steps, of: "--steps", upTo: 1_000_000)
    try requireCount(rounds, of: "--rounds", upTo: 1_000_000)
  }

  private static func numbers(_ list: String) -> [Int]? {
    if list.isEmpty { return [] }
    let parts = list.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0) }
    return numbers.count == parts.count && numbers.allSatisfy { $0 >= 0 } ? numbers : nil
  }

  func run() throws {
    try BLAS.configure()
    try Bench.withRanks(ranks, measure)
  }

  private func measure(_ ranks: any Communicator) throws {
    let workload = try options.workload()
    guard ranks.size <= workload.lanes, ranks.size & (ranks.size - 1) == 0 else {
      throw CommonEnding(
        of: UserError(
          "ranks", expected: "a power of two, at most the \(workload.lanes) lanes of a batch",
          found: "\(ranks.size)", remedy: "Start fewer, or raise --lanes."))
    }
    let bench = RanksBench(ranks: ranks, threads: options.threads)
    let say = { (cells: [String]) in
      if ranks.decides { try tell(cells.joined(separator: ",")) }
    }
    try say([
      "what", "ranks", "threads", "size", "ms", "per_s", "reduction_share", "optimizer_share",
      "loss",
      "tokens", "parameters", "columns", "rows", "rank_rows",
    ])
    let common = ["\(ranks.size)", "\(options.threads)"]
    let digits = { (value: Double) in String((value * 1e4).rounded() / 1e4) }
    let report = { (what: String, m: Int, found: RanksBench.Steps) in
      try say(
        [what] + common
          + [
            "\(m)", digits(1e3 * found.seconds), digits(found.tokensPerSecond),
            digits(found.reductionShare), digits(found.optimizerShare), "\(found.loss)",
            "\(found.tokensPerStep)", "\(found.denseParameters)", "\(found.columns)",
            "\(found.rows.batch)", "\(found.rows.rank)",
          ])
    }
    for m in RankSteps.numbers(rows) ?? [] {
      if m == 0 {
        try report("dense", m, bench.steps(workload, rows: nil, steps: steps))
      } else if ranks.size == 1 {
        let found = try bench.steps(workload, rows: m, steps: steps)
        for placement in TablePlacement.allCases { try report(placement.rawValue, m, found) }
      } else {
        for placement in TablePlacement.allCases {
          try report(
            placement.rawValue, m,
            bench.steps(workload, rows: m, tables: placement, steps: steps))
        }
      }
    }
    let reportTime = { (what: String, size: Int, seconds: Double, count: Int) in
      try say(
        [what] + common + ["\(size)", digits(1e3 * seconds), digits(Double(count) / seconds)]
          + Array(repeating: "", count: 8))
    }
    if ranks.size == 1 {
      for count in RankSteps.numbers(lookups) ?? [] {
        let seconds = RanksBench.grouping(
          lookups: count, rows: 1_000_000_000, ranks: 1024, rounds: 5)
        try reportTime("grouping", count, seconds, count)
      }
      return
    }
    let messages = RankSteps.numbers(messages) ?? []
    for bytes in messages {
      try reportTime("message", bytes, bench.message(bytes: bytes, rounds: rounds), bytes)
    }
    if !messages.isEmpty {
      let count = 4 * (ranks.size - 1)
      try reportTime("exchange", count, bench.exchange(pieces: 4, rounds: rounds), count)
    }
  }
}
