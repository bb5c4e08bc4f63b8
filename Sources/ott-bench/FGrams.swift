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
  @OptionGroup var steps: PairedSteps

  func run() throws {
    try BLAS.configure()
    let workload = try options.workload()
    try steps.report([2, 3, 5], csv: FGramBench.csv) { longest in
      try FGramBench.measure(
        workload, longest: longest, pairs: steps.pairs, threads: options.threads)
    }
  }
}
