import Benchmark
import Testing

/// What times f-grams.
@Suite struct FGramBenchTests {
  @Test(arguments: [2, 5]) func stepsInTurns(longest: Int) throws {
    var sizes = NamedModel.d128.sizes
    (sizes.layers, sizes.width, sizes.heads, sizes.labels) = (2, 16, 2, 7)
    (sizes.batch, sizes.length, sizes.lanes) = (4, 8, 2)
    let point = try FGramBench.measure(sizes.workload(), longest: longest, pairs: 2, threads: 1)
    // Of 7 tokens, every position but a sentence's first has one.
    #expect(point.matched > 0.7 && point.matched <= 0.875)
    #expect(point.rows > 0 && point.rows < point.matched * Double(longest))
    #expect(point.flopRatio > 1 && point.ratio > 0 && point.cost > 0)
    #expect(point.seconds > 0 && point.plainSeconds > 0)
    let rows = FGramBench.csv([point])
    #expect(rows.count == 2 && rows[0].count == rows[1].count)
  }
}
