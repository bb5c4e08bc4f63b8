import ArgumentParser
import Benchmark
import Foundation
import Stages
import Support

struct Discovery: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "discover",
    abstract: "Time the discovery of f-grams in a made-up text, in memory and out of it.")

  @Option(help: "Tokens of the text.") var tokens = 15_000_000
  @Option(help: "Token ids.") var vocabulary = 32_768
  @Option(help: "Tokens of the longest f-gram.") var longest = 5
  @Option(help: "Worker threads.") var threads = Host.threads
  @Option(help: "Runs, of which the fastest counts.") var runs = 3
  @Option(help: "CSV file to write.") var output: String?

  func validate() throws {
    for (option, value, most) in [
      ("--tokens", tokens, 1 << 40), ("--vocabulary", vocabulary, 1 << 30),
      ("--longest", longest, 8), ("--threads", threads, 1024), ("--runs", runs, 1000),
    ] {
      try requireCount(value, of: option, upTo: most)
    }
    if longest < 2 { throw ValidationError("--longest: expected 2...8, found \(longest).") }
  }

  func run() throws {
    try requireMemory(40 * Double(tokens), for: "a text and its positions")
    let bench = DiscoveryBench(tokens: tokens, vocabulary: vocabulary)
    // All in memory, and a tenth of what that takes.
    let whole = 16 * tokens + 1 << 20
    var points: [DiscoveryBench.Point] = []
    for (memory, threads) in [(2 * whole, 1), (2 * whole, threads), (whole / 10, threads)] {
      points.append(
        try bench.measure(
          longest: longest, memoryBytes: memory, threads: threads, runs: runs,
          directory: NSTemporaryDirectory()))
      let rows = DiscoveryBench.csv(points)
      if points.count == 1 { try StandardOutput.line(rows[0].joined(separator: ",")) }
      try StandardOutput.line(rows[points.count].joined(separator: ","))
    }
    if let output { try CSV.write(DiscoveryBench.csv(points), to: output) }
  }
}
