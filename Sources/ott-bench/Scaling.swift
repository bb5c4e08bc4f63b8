import ArgumentParser
import Benchmark
import Kernels
import Planning
import Stages
import Support

struct Scaling: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time a step by width, layers, length, batch and threads, beside the plan's estimate."
  )

  @Option(help: "Most worker threads.") var threads = Host.threads
  @Option(help: "Precision of the matrix products.") var precision = Precision.float32
  @Option(help: "Seconds for each size.") var seconds = 0.5
  @Option(help: "CSV file to write.") var output: String?

  func validate() throws {
    try requireCount(threads, of: "--threads")
  }

  func run() throws {
    try BLAS.configure()
    var rates: [Int: Rates] = [:]
    var points: [ScalingBench.Point] = []
    for (varied, workload, threads) in try ScalingBench.curves(
      threads: threads, precision: precision)
    {
      let own = rates[threads] ?? Calibration.rates(threads: threads)
      rates[threads] = own
      points.append(
        try ScalingBench.measure(
          varied, workload, threads: threads, rates: own, seconds: seconds))
      let rows = ScalingBench.csv(points)
      if points.count == 1 { try tell(rows[0].joined(separator: ",")) }
      try tell(rows[points.count].joined(separator: ","))
    }
    if let output { try CSV.write(ScalingBench.csv(points), to: output) }
  }
}
