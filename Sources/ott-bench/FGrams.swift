import ArgumentParser
import Benchmark
import Kernels
import Stages
import Support

struct FGramSteps: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fgrams",
    abstract:
      "Time a step with f-grams of up to 2, 3 and 5 tokens, by a model as large as the trunk, beside one without."
  )

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Pairs of steps of each row.") var pairs = 9
  @Option(help: "CSV file to write.") var output: String?

  func validate() throws { try requireCount(pairs, of: "--pairs", upTo: 1000) }

  func run() throws {
    try BLAS.configure()
    let workload = try options.workload()
    var points: [FGramBench.Point] = []
    for longest in [2, 3, 5] {
      points.append(
        try FGramBench.measure(
          workload, longest: longest, pairs: pairs, threads: options.threads))
      let rows = FGramBench.csv(points)
      if points.count == 1 { try tell(rows[0].joined(separator: ",")) }
      try tell(rows[points.count].joined(separator: ","))
    }
    if let output { try CSV.write(FGramBench.csv(points), to: output) }
  }
}
