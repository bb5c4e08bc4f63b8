import ArgumentParser
import Benchmark
import Foundation
import Kernels
import Models
import Support
import Training

struct Table: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time what over-encoding's tables cost: row traffic, steps, generation.",
    discussion: """
      First rows of width 128 of a big table are read, updated and written back, beside moving their \
      bytes alone. Then, for each size m, a model with tables and the same one without take steps \
      in turn. Both are of sizes as given; tables of order 3 in 2 slices share its width.
      """)

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Rows m of each table, comma-separated.") var rows = "100000,1280000"
  @Option(help: "Highest order n.") var order = 3
  @Option(help: "Slices k.") var slices = 2
  @Option(help: "Moments of the tables: float32, bfloat16 or rowwise.")
  var moments = TableMoments.float32
  @Option(help: "Timed steps of each size.") var steps = 40
  @Option(help: "A map set of kind ngramIDs to read instead of made-up text.") var map: String?
  @Option(help: "Bytes of the table of the row traffic; 0 leaves that part out.")
  var trafficBytes = 3_000_000_000
  @Option(help: "CSV file to write.") var output: String?

  func validate() throws {
    if steps < 1 { throw ValidationError("--steps: expected 1 or more, found \(steps).") }
    if sizes == nil {
      throw ValidationError("--rows: expected numbers separated by commas, found '\(rows)'.")
    }
  }

  private var sizes: [Int]? {
    let parts = rows.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0) }
    return numbers.count == parts.count && numbers.allSatisfy { $0 > 0 } ? numbers : nil
  }

  func run() throws {
    if let output, let map { try OutputPath.require(file: output, apartFrom: [map]) }
    try BLAS.configure()
    if trafficBytes > 0 { try printTraffic() }
    let workload = try options.workload()
    let bench = OverEncodingBench(
      workload, order: order, slices: slices, moments: moments, threads: options.threads,
      source: try source(workload))
    let batches = [1, 8, 64]
    var table = [OverEncodingBench.Row.header(batches: batches)]
    try StandardOutput.line(table[0].joined(separator: ","))
    for m in sizes ?? [] {
      let row = try bench.measure(rows: m, steps: steps, batches: batches)
      table.append(row.cells)
      try StandardOutput.line(row.cells.joined(separator: ","))
    }
    if let output { try CSV.write(table, to: output) }
  }

  private func source(_ workload: Workload) throws -> OverEncodingBench.Source {
    guard let map else {
      // Enough sentences that none comes twice.
      return .sentences(
        .text(
          count: (steps + 3) * workload.batch, length: workload.length,
          vocabulary: workload.model.labels, seed: 1))
    }
    let index = try StageIndex(directory: map)
    var data = try TrainingData(
      StageConfiguration.Input(id: index.id, path: map), threads: options.threads)
    data.cut(context: workload.length)
    return .data(data)
  }

  private func printTraffic() throws {
    let width = 128
    let rows = trafficBytes / (4 * width + moments.bytes(width: width) + 4)
    guard rows >= 1 << 14, trafficBytes < Host.availableMemoryBytes * 9 / 10 else {
      throw UserError(
        "--traffic-bytes", expected: "30 MB to 90 % of the memory that is free",
        found: "\(trafficBytes)")
    }
    for threads in Set([1, options.threads]).sorted() {
      let traffic = TableTraffic.measure(
        rows: rows, width: width, moments: moments, threads: threads)
      let text = { (value: Double) in value.formatted(.number.precision(.significantDigits(3))) }
      try StandardOutput.line(
        "rows of \(width), \(threads) threads: \(text(traffic.update / 1e9)) GB/s "
          + "(\(text(traffic.update / 1e9 / Double(threads))) a thread), "
          + "\(text(100 * traffic.share)) % of the \(text(traffic.limit / 1e9)) GB/s of moving them; "
          + "\(text(traffic.rowsPerSecond / 1e6)) M rows/s")
    }
  }
}

extension TableMoments: ExpressibleByArgument {}
