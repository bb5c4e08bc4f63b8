import Benchmark
import Foundation
import Support
import Testing

/// What times the discovery of f-grams.
@Suite struct DiscoveryBenchTests {
  @Test func countsTheSameAnyhow() throws {
    let bench = DiscoveryBench(tokens: 30_000, vocabulary: 50)
    let points = try [(1 << 30, 1), (1, 2)].map { memory, threads in
      try bench.measure(
        longest: 3, memoryBytes: memory, threads: threads, runs: 2,
        directory: NSTemporaryDirectory())
    }
    #expect(points.allSatisfy { $0.tokens == 30_000 && $0.fGrams > 100 && $0.cpuSeconds > 0 })
    #expect(points[0].fGrams == points[1].fGrams)
    let rows = DiscoveryBench.csv(points)
    #expect(rows.count == 3 && rows.allSatisfy { $0.count == rows[0].count })
  }
}
