import Benchmark
import Grammar
import Support
import Testing

/// What times heads on tokens further ahead.
@Suite struct HeadsBenchTests {
  private func sizes() -> NamedModel.Sizes {
    var sizes = NamedModel.d128.sizes
    (sizes.layers, sizes.width, sizes.heads, sizes.labels) = (2, 16, 2, 7)
    (sizes.batch, sizes.length, sizes.lanes) = (4, 8, 2)
    return sizes
  }

  @Test(arguments: HeadKind.allCases)
  func stepsInTurns(kind: HeadKind) throws {
    let point = try HeadsBench.measure(sizes().workload(), kind, heads: 3, pairs: 2, threads: 1)
    #expect(point.flopRatio > 1 && point.arenaRatio >= 1)
    #expect(point.ratio > 0 && point.seconds > 0 && point.plainSeconds > 0)
    let rows = HeadsBench.csv([point])
    #expect(rows.count == 2 && rows[0].count == rows[1].count)
    #expect(rows[1].prefix(2) == [kind.rawValue, "3"])
  }

  /// The workload of `ott-bench train --further KIND --ahead N`.
  @Test(arguments: HeadKind.allCases)
  func aWorkloadWithHeads(kind: HeadKind) throws {
    var sizes = sizes()
    sizes.further = (kind, 3)
    let workload = try sizes.workload()
    #expect(workload.model.labelsAhead == [1, 2, 3])
    let sentences = Sentences.random(count: 4, length: 8, vocabulary: 7, seed: 3)
    let bench = try TrainingBench(workload, sentences: sentences, learningRate: 1e-2, threads: 1)
    let first = try bench.step().loss
    for _ in 0..<40 { _ = try bench.step() }
    #expect(try bench.step().loss < first)
    sizes.further = (kind, 1)
    #expect(try sizes.workload().model.furtherHeads == nil)
  }

  @Test(arguments: HeadKind.allCases)
  func generationWithProposals(kind: HeadKind) throws {
    let grammar = try Grammar(
      parsing: "root: 9\nterminals: 1..3\n\n9 -> 6 7 | 7 6\n\n6 -> 1 3 2 | 1 2\n7 -> 3 3 | 2 1 3\n",
      source: "small")
    let bench = try DraftingBench(
      grammar, sizes(), kind, heads: 3, steps: 40, threads: 1)
    let points = try bench.measure(sentences: 30, side: 4, runs: 2)
    #expect(points.map(\.drafts) == [1, 2])
    for point in points {
      #expect(point.counts.tokensPerPass > 1 && point.rate > 0 && point.plainRate > 0)
      #expect(point.counts.accepted.reduce(0, +) > 0)
    }
    let rows = DraftingBench.csv(points)
    #expect(rows.count == 3 && rows.allSatisfy { $0.count == rows[0].count })
  }
}
