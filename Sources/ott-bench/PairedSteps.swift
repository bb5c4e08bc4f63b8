import ArgumentParser
import Benchmark
import Stages

/// Options of what times pairs of steps, one row of a table after another.
struct PairedSteps: ParsableArguments {
  @Option(help: "Pairs of steps of each row.") var pairs = 9
  @Option(help: "CSV file to write.") var output: String?

  func validate() throws { try requireCount(pairs, of: "--pairs", upTo: 1000) }

  /// Measures a point for each of `cases`, and tells every row as it is there.
  ///
  /// - Parameter csv: names of the columns, then a row for each point.
  func report<Case, Point>(
    _ cases: [Case], csv: ([Point]) -> [[String]], measure: (Case) throws -> Point
  ) throws {
    var points: [Point] = []
    for one in cases {
      points.append(try measure(one))
      let rows = csv(points)
      if points.count == 1 { try tell(rows[0].joined(separator: ",")) }
      try tell(rows[points.count].joined(separator: ","))
    }
    if let output { try CSV.write(csv(points), to: output) }
  }
}
