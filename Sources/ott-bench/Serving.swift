import ArgumentParser
import Benchmark
import Kernels
import Stages
import Support

struct Serving: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Time generation with rows of f-grams from memory, from disk and from their model, beside none."
  )

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Directory that the store is written to, for the next time too.") var work: String
  @Option(help: "Sequences side by side, several separated by commas.") var sides = "1,4,16,64"
  @Option(help: "Tokens of each sequence.") var tokens = 64
  @Option(help: "Runs, of which the median counts.") var runs = 5
  @Option(help: "CSV file to write.") var output: String?

  func validate() throws {
    try requireCount(tokens, of: "--tokens", upTo: 1 << 20)
    try requireCount(runs, of: "--runs", upTo: 1000)
    if sides.split(separator: ",").contains(where: { !((1...4096) ~= (Int($0) ?? 0)) })
      || sides.isEmpty
    {
      throw ValidationError("--sides must be integers of 1...4096 separated by commas.")
    }
  }

  func run() throws {
    if let output { try OutputPath.require(file: output, apartFrom: [work]) }
    try BLAS.configure()
    let bench = try ServingBench(options.workload(), work: work, tokens: tokens)
    var points: [ServingBench.Point] = []
    for side in sides.split(separator: ",").compactMap({ Int($0) }) {
      for point in try bench.measure(side: side, runs: runs) {
        points.append(point)
        let rows = ServingBench.csv(points)
        if points.count == 1 { try tell(rows[0].joined(separator: ",")) }
        try tell(rows[points.count].joined(separator: ","))
      }
    }
    if let output { try CSV.write(ServingBench.csv(points), to: output) }
  }
}
