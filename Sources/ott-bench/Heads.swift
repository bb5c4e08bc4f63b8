import ArgumentParser
import Benchmark
import Foundation
import Grammar
import Kernels
import Stages
import Support

struct Heads: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Time a step with 2, 4 and 8 heads of each kind beside one with the next token's alone.")

  @OptionGroup var options: WorkloadOptions
  @OptionGroup var steps: PairedSteps

  func run() throws {
    try BLAS.configure()
    let workload = try options.workload()
    try steps.report(
      HeadKind.allCases.flatMap { kind in [2, 4, 8].map { (kind, $0) } }, csv: HeadsBench.csv
    ) { kind, heads in
      try HeadsBench.measure(
        workload, kind, heads: heads, pairs: steps.pairs, threads: options.threads)
    }
  }
}

struct Drafts: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train models with further heads on a grammar; time generation with their proposals.")

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Grammar that sentences are sampled from.") var grammar =
    "data/grammars/cfg3f.grammar"
  @Option(help: "Symbol that they derive from.") var root = 15
  @Option(help: "Steps of training.") var steps = 200
  @Option(help: "Sentences that are generated.") var sentences = 40
  @Option(help: "Sentences side by side.") var side = 1
  @Option(help: "Times that each way generates them.") var runs = 5
  @Option(help: "CSV file to write.") var output: String?

  func validate() throws {
    for (option, value, most) in [
      ("--steps", steps, 1_000_000), ("--sentences", sentences, 1 << 20), ("--side", side, 1 << 16),
      ("--runs", runs, 1000),
    ] {
      try requireCount(value, of: option, upTo: most)
    }
  }

  func run() throws {
    try BLAS.configure()
    let language = try Grammar(bytes: FileBytes.read(grammar), source: grammar).rooted(at: root)
    var points: [DraftingBench.Point] = []
    for kind in HeadKind.allCases {
      let bench = try DraftingBench(
        language, options.sizes, kind, heads: max(2, options.ahead), steps: steps,
        threads: options.threads)
      points += try bench.measure(sentences: sentences, side: side, runs: runs)
      let rows = DraftingBench.csv(points)
      for row in rows.suffix(points.count == bench.drafts ? bench.drafts + 1 : bench.drafts) {
        try tell(row.joined(separator: ","))
      }
    }
    if let output { try CSV.write(DraftingBench.csv(points), to: output) }
  }
}
