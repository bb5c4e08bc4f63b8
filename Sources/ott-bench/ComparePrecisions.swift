import ArgumentParser
import Benchmark
import Support

struct ComparePrecisions: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "precision",
    abstract: "Compare the scores and verdicts of a figure trained in float32 and in bfloat16.")

  @Option(help: "The figure's JSON, trained in float32.") var float32: String
  @Option(help: "The same in bfloat16.") var bfloat16: String
  @Option(help: "CSV file to write.") var output: String?

  func run() throws {
    if let output { try OutputPath.require(file: output, apartFrom: [float32, bfloat16]) }
    let study = try PrecisionStudy(float32: float32, bfloat16: bfloat16)
    let rows = study.csv
    for row in rows.filter({ $0[3] == "mean" }) {
      let interval = row[7].isEmpty ? "" : " [\(row[7]), \(row[8])]"
      try StandardOutput.line(
        "\(row[0]), \(row[1]): \(row[2]) \(row[4]) in float32, \(row[5]) in bfloat16, "
          + "difference \(row[6])\(interval)")
    }
    try StandardOutput.line(study.summary)
    if let output { try CSV.write(rows, to: output) }
  }
}
