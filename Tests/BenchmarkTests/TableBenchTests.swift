import Benchmark
import Kernels
import Models
import Support
import Testing

@Suite struct TableBenchTests {
  private func bench(moments: TableMoments = .float32) throws -> OverEncodingBench {
    let workload = try Workload(
      model: ModelConfiguration(
        input: TableSum([InputTable(order: 1, rows: 30)]),
        trunk: GPT2(TrunkSize(layers: 1, width: 16, heads: 2, context: 12)), labels: 30),
      batch: 6, length: 12, lanes: 2)
    return OverEncodingBench(
      workload, order: 3, slices: 2, moments: moments, threads: 2,
      source: .sentences(.text(count: 13, length: 12, vocabulary: 30, seed: 1)))
  }

  @Test(arguments: TableMoments.allCases)
  func rowsHaveACellForEveryName(moments: TableMoments) throws {
    let row = try bench(moments: moments).measure(rows: 500, steps: 3, batches: [1, 4])
    #expect(row.cells.count == OverEncodingBench.Row.header(batches: [1, 4]).count)
    #expect(row.tokensPerStep == 72 && row.steps == 3)
    // Four tables of at most 72 different rows each.
    #expect(row.touchedRows > 4 && row.touchedRows <= 4 * 72)
    #expect(row.lowerRatio <= row.ratio && row.ratio <= row.upperRatio)
    #expect(row.plannedBytes > 4 * 500 * (4 * 4 + moments.bytes(width: 4)))
    #expect(row.generation.map(\.batch) == [1, 4])
  }

  @Test func tablesBeyondMemoryAreRefused() throws {
    let error = #expect(throws: UserError.self) {
      try bench().measure(rows: 2_000_000_000, steps: 1)
    }
    #expect(error?.description.contains("do not fit in memory") == true)
  }

  @Test(arguments: TableMoments.allCases, [1, 2])
  func trafficIsMeasured(moments: TableMoments, threads: Int) {
    let traffic = TableTraffic.measure(
      rows: 5000, width: 24, moments: moments, batchRows: 100, threads: threads, seconds: 0.001)
    #expect(traffic.update > 0 && traffic.limit > 0 && traffic.rowsPerSecond > 0)
    #expect(traffic.threads == threads)
  }

  @Test func textRepeatsItself() {
    let text = Sentences.text(count: 50, length: 100, vocabulary: 1000, seed: 2)
    #expect(text == .text(count: 50, length: 100, vocabulary: 1000, seed: 2))
    #expect(text.count == 50 && text.longest == 100)
    let legal = text.ids.allSatisfy { (0..<1000).contains($0) }
    #expect(legal)
    let pairs = zip(text.ids, text.ids.dropFirst()).map { Int($0) * 1000 + Int($1) }
    // Uniform ids would hardly repeat a pair; one id over and over would repeat all.
    #expect(Set(pairs).count < pairs.count * 3 / 4 && Set(pairs).count > pairs.count / 10)
  }
}
