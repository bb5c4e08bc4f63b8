import ArgumentParser
import Benchmark
import Foundation
import Kernels
import Stages
import Support

struct Products: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time square matrix products by every kernel that this machine has.",
    discussion: """
      A row for each kernel and number of threads, which multiply at once: FLOP/s of each of them.
      """)

  @Option(help: "Most threads; 1 and every power of two below it are measured too.")
  var threads = Host.threads
  @Option(help: "Seconds of each measurement.") var seconds = 0.5

  func validate() throws { try requireCount(threads, of: "--threads") }

  func run() throws {
    try BLAS.configure()
    try tell("kernel,precision,threads,gflop_per_s_of_each")
    var counts = (0..<Int.bitWidth - 2).map { 1 << $0 }.filter { $0 < threads }
    counts.append(threads)
    for count in counts {
      try measure("OpenBLAS \(BLAS.coreName)", .float32, threads: count)
      guard Precision.bfloat16.isAvailable else { continue }
      for kernel in [BFloat16Kernel.avx512, .amx] where kernel.isAvailable {
        kernel.use()
        try measure(kernel.rawValue, .bfloat16, threads: count)
      }
    }
  }

  private func measure(_ kernel: String, _ precision: Precision, threads: Int) throws {
    let rate = Roofline.product(threads: threads, precision: precision, seconds: seconds)
    let text = (rate / Double(threads) / 1e9).formatted(
      .number.precision(.fractionLength(1)).grouping(.never))
    try tell("\(kernel),\(precision.rawValue),\(threads),\(text)")
  }
}
