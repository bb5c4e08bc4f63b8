import ArgumentParser
import Benchmark
import Foundation
import Kernels
import Support
import Torch

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train on given sentences from given weights.",
    discussion: """
      Prints `ready PARAMETERS`, a line `step NUMBER LOSS ROWS SECONDS` a step, and last \
      `peak BYTES`, the largest resident size of the process; unless paced also `digest HEX`, of the weights.
      """)

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Sentences as `tokens` writes them; read round and round.") var tokens: String?
  @Option(help: "Initial weights, safetensors.") var weights: String?
  @Option(help: "Learning rate, constant.") var learningRate = 1e-3
  @Option(help: "Steps.") var steps = 20
  @Option(help: "What makes the steps, if it is libtorch: torch-cpu or cuda.") var device:
    TorchDevice?
  @Option(help: "Where tables lie that a device trains: device or host.") var deviceTables:
    DeviceTablePlace?
  @Flag(help: "Instead of --steps: each line of standard input says how many steps come next.")
  var paced = false

  func validate() throws {
    if deviceTables != nil && device == nil {
      throw ValidationError("--device-tables: expected --device beside it.")
    }
    if steps < 0 { throw ValidationError("--steps: expected 0 or more, found \(steps).") }
  }

  func run() throws {
    try BLAS.configure()
    let workload = try options.workload(isOnDevice: device != nil)
    let sentences =
      try tokens.map { try Sentences(path: $0) }
      ?? Sentences.random(
        count: 4 * workload.batch, length: workload.length, vocabulary: workload.model.labels,
        seed: 1)
    if let device {
      let bench = try DeviceBench(
        workload, on: device, sentences: sentences, weights: weights, learningRate: learningRate,
        threads: options.threads, tableMemory: deviceTables)
      try steps(of: workload, bench.step)
      return paced ? () : try tell("digest \(bench.digest())")
    }
    let bench = try TrainingBench(
      workload, sentences: sentences, weights: weights, learningRate: learningRate,
      threads: options.threads)
    try steps(of: workload, bench.step)
    if !paced { try tell("digest \(bench.digest)") }
  }

  private func steps(of workload: Workload, _ make: () throws -> TrainingBench.Step) throws {
    try tell("ready \(workload.model.parameterCount)")
    var number = 0
    while let group = try paced ? nextGroup() : steps {
      for _ in 0..<group {
        let step = try make()
        number += 1
        try tell("step \(number) \(step.loss) \(step.rows) \(step.seconds)")
      }
      if !paced { break }
    }
    try tell("peak \(Host.peakResidentBytes)")
  }
}

/// The number of steps that the next line of standard input asks for; nil at its end.
func nextGroup() throws -> Int? {
  guard let bytes = try StandardInput.line() else { return nil }
  let line = String(decoding: bytes, as: UTF8.self)
  guard let count = Int(line), count >= 0 else {
    throw UserError("standard input", expected: "a number of steps a line", found: "'\(line)'")
  }
  return count
}

/// Prints a line at once, also into a pipe.
func tell(_ line: String) throws { try StandardOutput.line(line, atOnce: true) }
