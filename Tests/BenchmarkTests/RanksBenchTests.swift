import Benchmark
import Models
import Parallel
import Testing

@Suite struct RanksBenchTests {
  private static func workload() throws -> Workload {
    try Workload(
      model: ModelConfiguration(
        input: TableSum([InputTable(order: 1, rows: 30)]),
        trunk: GPT2(TrunkSize(layers: 1, width: 16, heads: 2, context: 12)), labels: 30),
      batch: 8, length: 12, lanes: 4)
  }

  @Test func ranksSayWhatAStepIsMadeOf() throws {
    let alone = RanksBench(ranks: LocalCommunicator(), threads: 1)
    let dense = try alone.steps(Self.workload(), rows: nil, steps: 1)
    #expect(dense.columns == 0 && dense.rows.batch == 0 && dense.tokensPerStep == 96)
    let whole = try alone.steps(Self.workload(), rows: 500, steps: 1)
    // What is projected is dense as well: (16, 16) in four slices.
    #expect(whole.columns == 16 && whole.denseParameters >= dense.denseParameters + 256)
    #expect(whole.rows.batch == whole.rows.rank)
    #expect(whole.rows.batch > 4 && whole.rows.batch <= 4 * 96)
    let found = try ThreadCommunicator.run(size: 4) { ranks in
      try RanksBench(ranks: ranks, threads: 1).steps(Self.workload(), rows: 500, steps: 1)
    }
    for steps in found {
      #expect(steps.loss == whole.loss && steps.denseParameters == whole.denseParameters)
      #expect(steps.rows.batch == whole.rows.batch && steps.rows.rank < whole.rows.batch)
      #expect((0...1).contains(steps.optimizerShare + steps.reductionShare))
    }
    #expect(found.reduce(0) { $0 + $1.rows.rank } >= whole.rows.batch)
  }

  @Test(arguments: [0, 1, 5000]) func groupingIsTimedWithoutATable(lookups: Int) {
    #expect(RanksBench.grouping(lookups: lookups, rows: 1 << 30, ranks: 1024, rounds: 3) > 0)
  }

  @Test(arguments: [1, 2, 4]) func messagesAreTimed(size: Int) throws {
    let seconds = try ThreadCommunicator.run(size: size) { ranks in
      let bench = RanksBench(ranks: ranks, threads: 1)
      return (try bench.message(bytes: 1000, rounds: 3), try bench.exchange(pieces: 4, rounds: 3))
    }
    #expect(seconds.allSatisfy { $0 > 0 && $1 > 0 })
  }
}
