import Benchmark
import Foundation
import Stores
import Support
import Testing

/// What times reading from a store of f-grams.
@Suite struct StoreBenchTests {
  @Test func aMadeUpStoreIsRead() throws {
    let directory = NSTemporaryDirectory() + "ott-store-bench-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let bench = StoreBench(vocabulary: 120)
    let set = bench.fGrams
    #expect(
      set.count == 120
        * StoreBench.degrees.enumerated().reduce(0) { sum, next in
          sum + (0...next.offset).reduce(1) { product, _ in product * next.element }
        })
    // Whatever begins or ends one is one.
    for id in stride(from: 0, to: set.count, by: 97) {
      let tokens = set.tokens(of: id)
      if tokens.count > 2 {
        #expect(set.id(of: tokens.dropFirst()) != nil && set.id(of: tokens.dropLast()) != nil)
      }
    }
    for filled in [true, false] {
      let path = "\(directory)/\(filled)"
      try bench.make(in: path, width: 9, precision: .bfloat16, filled: filled)
      let windows = bench.windows(64, seed: 3)
      #expect(windows == bench.windows(64, seed: 3) && windows.count == 64 * StoreBench.longest)
      var points: [StoreBench.Point] = []
      for (placement, isCold) in [
        (FGramStore.Placement.memory, false), (.disk, false), (.disk, true),
      ] {
        if isCold { try StoreBench.forget(path) }
        points.append(
          StoreBench.measure(
            try FGramStore(directory: path, placement: placement), placement: placement,
            isCold: isCold, batch: 5, windows: windows, runs: 2))
      }
      #expect(points.allSatisfy { $0.tokens == 60 && $0.found > 0.5 && $0.seconds > 0 })
      #expect(Set(points.map(\.found)).count == 1)
      let rows = StoreBench.csv(points)
      #expect(rows.count == 4 && rows.allSatisfy { $0.count == rows[0].count })
    }
  }
}
