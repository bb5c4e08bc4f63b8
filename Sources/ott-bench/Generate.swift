import ArgumentParser
import Benchmark
import Foundation
import Kernels
import Support

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Generate sentences with the lengths of given ones.",
    discussion: """
      Prints `ready PARAMETERS`, a line `step NUMBER SENTENCES POSITIONS SECONDS` each time all \
      sentences were generated, and last `peak BYTES`.
      """)

  @OptionGroup var options: WorkloadOptions
  @Option(help: "Sentences as `tokens` writes them.") var tokens: String
  @Option(help: "Weights, safetensors.") var weights: String?
  @Option(help: "Sentences side by side on each thread.") var side = 64
  @Option(help: "How many times to generate them all.") var steps = 1
  @Flag(help: "Instead of --steps: each line of standard input says how many times come next.")
  var paced = false
  @Option(help: "Write the ids of the last time, without marks, as `tokens` does.")
  var ids: String?
  @Option(
    help: "Write the uniform numbers that are drawn with: 64-bit floats, sentence by sentence.")
  var uniforms: String?

  func validate() throws {
    if side < 1 { throw ValidationError("--side: expected 1 or more, found \(side).") }
    if steps < 0 { throw ValidationError("--steps: expected 0 or more, found \(steps).") }
  }

  func run() throws {
    let inputs = [tokens, weights].compactMap { $0 }
    for file in [ids, uniforms].compactMap({ $0 }) {
      try OutputPath.require(file: file, apartFrom: inputs)
    }
    try BLAS.configure()
    let workload = try options.workload()
    let sentences = try Sentences(path: tokens)
    let bench = try GenerationBench(
      workload, sentences: sentences, weights: weights, batch: side, threads: options.threads)
    if let uniforms {
      let bytes = bench.uniforms().joined().flatMap { number in
        withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
      }
      try AtomicFile.write(bytes, to: uniforms)
    }
    try tell("ready \(workload.model.parameterCount)")
    let positions = (0..<sentences.count).reduce(0) { $0 + sentences.rows($1) }
    var number = 0
    var last: [[Int32]] = []
    while let group = try paced ? nextGroup() : steps {
      for _ in 0..<group {
        let (ids, seconds) = try bench.run()
        number += 1
        last = ids
        try tell("step \(number) \(sentences.count) \(positions) \(seconds)")
      }
      if !paced { break }
    }
    if let ids { try Sentences(last).write(to: ids) }
    try tell("peak \(Host.peakResidentBytes)")
  }
}
