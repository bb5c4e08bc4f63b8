import ArgumentParser
import Benchmark
import Foundation
import Kernels
import Support

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train on given sentences from given weights.",
    discussion: """
      Prints `ready PARAMETERS`, a line `step NUMBER LOSS ROWS SECONDS` a step, and last \
      `peak BYTES`, the largest resident size of the process.
      """)

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Sentences as `tokens` writes them; read round and round.") var tokens: String?
  @Option(help: "Initial weights, safetensors.") var weights: String?
  @Option(help: "Learning rate, constant.") var learningRate = 1e-3
  @Option(help: "Steps.") var steps = 20
  @Option(
    help: ArgumentHelp(
      "Wait for a line of standard input before each group of this many steps.",
      valueName: "steps"))
  var pace: Int?

  func validate() throws {
    if steps < 0 { throw ValidationError("--steps: expected 0 or more, found \(steps).") }
    if let pace, pace < 1 { throw ValidationError("--pace: expected 1 or more, found \(pace).") }
  }

  func run() throws {
    try BLAS.configure()
    let workload = try options.workload()
    let sentences =
      try tokens.map { try Sentences(path: $0) }
      ?? Sentences.random(
        count: 4 * workload.batch, length: workload.length, vocabulary: workload.model.labels,
        seed: 1)
    let bench = try TrainingBench(
      workload, sentences: sentences, weights: weights, learningRate: learningRate,
      threads: options.threads)
    tell("ready \(workload.model.parameterCount)")
    for number in 0..<steps {
      if let pace, number % pace == 0, readLine() == nil { break }
      let step = try bench.step()
      tell("step \(number + 1) \(step.loss) \(step.rows) \(step.seconds)")
    }
    tell("peak \(Host.peakResidentBytes)")
  }
}

/// Prints a line at once, also into a pipe.
func tell(_ line: String) {
  FileHandle.standardOutput.write(Data((line + "\n").utf8))
}
