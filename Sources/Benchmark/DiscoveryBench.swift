import Foundation
import NGrams
import Parallel
import Support

/// Times the discovery of f-grams in a made-up text held in memory.
package struct DiscoveryBench {
  private let documents: Sentences
  private let vocabulary: Int
  private let minimumCount: Int

  /// One way to count the text.
  package struct Point: Sendable, Equatable {
    package let longest: Int
    package let threads: Int
    /// The bound on memory.
    package let memoryBytes: Int
    package let tokens: Int
    package let fGrams: Int
    /// Wall seconds and seconds of all threads, of the fastest run by the latter.
    package let seconds: Double
    package let cpuSeconds: Double

    /// Of a core.
    package var rate: Double { Double(tokens) / cpuSeconds }
  }

  /// A text of about `tokens` tokens in documents of 1,000; see `Sentences.text`.
  package init(tokens: Int, vocabulary: Int, minimumCount: Int = 5) {
    self.vocabulary = vocabulary
    self.minimumCount = minimumCount
    documents = Sentences.text(
      count: max(1, tokens / 1000), length: 999, vocabulary: vocabulary, seed: 1)
  }

  /// - Parameter directory: where what exceeds the bound goes.
  package func measure(
    longest: Int, memoryBytes: Int, threads: Int, runs: Int, directory: String
  ) throws -> Point {
    let discovery = FGramDiscovery(
      vocabulary: vocabulary, longest: longest, minimumCount: minimumCount,
      memoryBytes: memoryBytes, directory: directory)
    let pool = WorkerPool(threads: threads)
    let pieces = min(documents.count, 32)
    let ids = documents.ids.map { UInt32(bitPattern: $0) }
    var best = (seconds: Double.infinity, cpu: Double.infinity)
    var found: (tokens: Int, levels: [FGramDiscovery.Level]) = (0, [])
    for _ in 0..<runs {
      let (start, cpu) = (Host.monotonicSeconds, Host.cpuSeconds)
      found = try discovery.run(pieces: pieces, pool: pool) { piece, sink in
        for d in piece * documents.count / pieces..<(piece + 1) * documents.count / pieces {
          try sink.append(ids.span.extracting(documents.offsets[d]..<documents.offsets[d + 1]))
        }
      }
      let own = (seconds: Host.monotonicSeconds - start, cpu: Host.cpuSeconds - cpu)
      if own.cpu < best.cpu { best = own }
    }
    return Point(
      longest: longest, threads: threads, memoryBytes: memoryBytes, tokens: found.tokens,
      fGrams: found.levels.reduce(0) { $0 + $1.keys.count }, seconds: best.seconds,
      cpuSeconds: best.cpu)
  }

  package static func csv(_ points: [Point]) -> [[String]] {
    [
      [
        "longest", "threads", "memory_mb", "tokens", "f_grams", "seconds", "cpu_seconds",
        "tokens_per_core_second",
      ]
    ]
      + points.map { point in
        [
          "\(point.longest)", "\(point.threads)", "\(point.memoryBytes >> 20)", "\(point.tokens)",
          "\(point.fGrams)", String(format: "%.3f", point.seconds),
          String(format: "%.3f", point.cpuSeconds), String(format: "%.0f", point.rate),
        ]
      }
  }
}
