import ArgumentParser
import Benchmark
import Foundation
import Kernels
import Support

struct Step: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time every operation of a training step beside what the machine allows.")

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Sentences as `tokens` writes them.") var tokens: String?
  @Option(help: "Timed steps.") var steps = 5
  @Option(help: "CSV file to write.") var output: String?

  func validate() throws {
    if steps < 1 { throw ValidationError("--steps: expected 1 or more, found \(steps).") }
  }

  func run() throws {
    if let output, let tokens { try OutputPath.require(file: output, apartFrom: [tokens]) }
    try BLAS.configure()
    let workload = try options.workload()
    let sentences =
      try tokens.map { try Sentences(path: $0) }
      ?? Sentences.random(
        count: workload.batch, length: workload.length, vocabulary: workload.model.labels, seed: 1)
    let bench = try TrainingBench(workload, sentences: sentences, threads: options.threads)
    let table = try bench.table(steps: steps)
    let rows = table.csv
    let widths = rows[0].indices.map { column in rows.map(\.[column].count).max() ?? 0 }
    for row in rows {
      let cells = zip(row, widths).map { cell, width in
        cell + String(repeating: " ", count: width - cell.count)
      }
      try StandardOutput.line(cells.joined(separator: "  "))
    }
    let text = { (value: Double) in value.formatted(.number.precision(.significantDigits(3))) }
    try StandardOutput.line(
      "\(text(table.wallSeconds * 1e3)) ms a step, \(text(table.tokensPerSecond)) tokens/s, "
        + "\(text(100 * table.productShare)) % of the product ceiling of "
        + "\(text(table.roofline.product / 1e9)) GFLOP/s; memory "
        + "\(text(table.roofline.bandwidth / 1e9)) GB/s; \(options.threads) threads")
    if let output {
      try CSV.write(rows, to: output)
    }
  }
}
