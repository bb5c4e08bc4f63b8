import Engine
import Kernels
import Parallel
import Support
import Testing

/// A small transformer of its own over the distinct words of a lane, gathered to the positions, and a
/// space of two slots for each position that is summed again.
private func graph(_ mode: GraphMode = .training) -> GraphBuilder {
  var g = GraphBuilder(mode: mode)
  let words = g.space(.given)
  let toPositions = g.link(from: .positions, to: words)
  let slots = g.space(.multiple(of: .positions, 2))
  let toSlots = g.link(from: slots, to: .positions)

  let letters = g.parameter("letters", [5, 16], .normal(0.5))
  let places = g.parameter("places", [4, 16], .normal(0.5))
  let x = g.embeddingSum(tables: [letters], positions: places, columns: 16, space: words)
  let qkv = g.linear(g.layerNorm(x, named: "w.n"), to: 48, named: "w.qkv", deviation: 0.3)
  let word = g.linear(
    g.attention(qkv: qkv, heads: 2), to: 16, named: "w.o", deviation: 0.3, residual: x)

  let table = g.parameter("table", [7, 16], .normal(0.5))
  let tokens = g.embeddingSum(tables: [table], positions: nil, columns: 16)
  let y = g.linear(
    g.gather(word, toPositions), to: 16, named: "p", deviation: 0.5, residual: tokens)
  let spread = g.linear(g.gather(y, toSlots), to: 16, named: "s", deviation: 0.5)
  let z = g.layerNorm(g.scatterSum(spread, toSlots), named: "z")
  g.addLoss("next", g.labelHead(z, weight: table, labels: 7))
  return g
}

private let limits = Limits(
  rows: 64, segment: 12, given: [Limits.Rows(rows: 40, segment: 4, tables: 1)])

/// Sentences whose words have one to four letters; some positions have no word.
private func batch(lanes: Int, sentences: Int = 5) -> [PackedLane] {
  var result = (0..<lanes).map { _ in PackedLane(tables: 1, spaces: [1], links: 2) }
  for i in 0..<sentences {
    let lane = i % lanes
    let first = result[lane].spaces[0].rows
    for letters in 1...min(4, i + 1) {
      for t in 0..<letters {
        result[lane].spaces[0].appendRow { _ in Int32((t * i + letters) % 5) }
      }
      result[lane].spaces[0].endSegment()
    }
    let last = result[lane].spaces[0].rows
    for t in 0..<(2 * i + 1) {
      let row = Int32(result[lane].rows)
      result[lane].appendRow(label: Int32((t * t + i) % 7)) { _ in Int32((3 * t + i) % 7) }
      result[lane].links[0].append(t % 4 == 3 ? RowLink.none : Int32(first + t % (last - first)))
      result[lane].links[1] += [row, t % 3 == 0 ? RowLink.none : row]
    }
    result[lane].endSegment()
  }
  return result
}

@Suite struct RowSpaceTests {
  @Test func gradientsCrossSpaces() throws {
    let engine = try makeEngine(graph(), limits: limits, lanes: 2)
    try checkGradients(engine, batch(lanes: 2))
  }

  @Test func emptyLanesAndSpacesAreWelcome() throws {
    let engine = try makeEngine(graph(), limits: limits, lanes: 4)
    let four = try engine.step(
      batch(lanes: 1) + (0..<3).map { _ in PackedLane(tables: 1, spaces: [1], links: 2) },
      learningRate: 0.01, optimizer: .init())
    let one = try makeEngine(graph(), limits: limits).step(
      batch(lanes: 1), learningRate: 0.01, optimizer: .init())
    #expect(four == one)
  }

  /// The same bits for any limits: nothing of one space lies in the place of another's.
  @Test func limitsChangeNoBit() throws {
    func losses(_ limits: Limits) throws -> [Double] {
      let engine = try makeEngine(graph(), limits: limits, lanes: 2)
      return try (0..<3).map { _ in
        try engine.step(batch(lanes: 2), learningRate: 0.01, optimizer: .init()).lossSum
      }
    }
    let wide = Limits(
      rows: 500, segment: 12, given: [Limits.Rows(rows: 300, segment: 9, tables: 1)])
    #expect(try losses(limits) == losses(wide))
  }

  @Test(arguments: [1, 2, 4]) func ranksAndThreadsChangeNoBit(ranks: Int) throws {
    func states(threads: Int, ranks: Int) throws -> [[[Float]]] {
      try ThreadCommunicator.run(size: ranks) { ranks in
        let engine = try makeEngine(
          graph(), limits: limits, lanes: 4, threads: threads, ranks: ranks)
        for _ in 0..<3 {
          _ = try engine.step(batch(lanes: 4), learningRate: 0.01, optimizer: .init())
        }
        return state(engine.parameters)
      }
    }
    let expected = try states(threads: 1, ranks: 1)[0]
    for found in try states(threads: 3, ranks: ranks) { #expect(found == expected) }
  }

  @Test func flopsFollowTheRowsOfEachSpace() {
    let plan = Plan(graph(), limits: limits)
    let (few, many) = (
      plan.forwardFLOPs(sentence: 10, given: [0]), plan.forwardFLOPs(sentence: 10, given: [3])
    )
    let perWordRow = plan.operations.filter { $0.space.id == 1 }
      .reduce(0) { $0 + $1.flops(position: 5.5) }
    #expect(perWordRow > 0)
    #expect(abs(many - few - 30 * perWordRow) < 1e-6 * many)
  }
}

@Suite struct RowLinkKernelTests {
  /// Against loops over single elements, odd sizes included.
  @Test(arguments: [1, 3, 16, 17, 33]) func twins(C: Int) {
    let rows: [Int32] = [2, -1, 0, 2, 2, -1, 4]
    let x = (0..<5 * C).map { Float($0 * $0 % 11) - 5 }
    let g = (0..<rows.count * C).map { Float($0 * 7 % 13) - 6 }
    for adding in [false, true] {
      var y = (0..<rows.count * C).map { Float($0 % 3) }
      var sums = (0..<5 * C).map { Float($0 % 5) }
      var (slowY, slowSums) = (
        adding ? y : y.map { _ in Float(0) }, adding ? sums : sums.map { _ in Float(0) }
      )
      for (r, row) in rows.enumerated() where row >= 0 {
        for c in 0..<C {
          slowY[r * C + c] += x[Int(row) * C + c]
          slowSums[Int(row) * C + c] += g[r * C + c]
        }
      }
      var ySpan = y.mutableSpan
      gather(into: &ySpan, x.span, rows.span, C: C, adding: adding)
      var sumSpan = sums.mutableSpan
      scatterSum(into: &sumSpan, g.span, rows.span, C: C, adding: adding)
      #expect(y == slowY)
      #expect(sums == slowSums)
    }
  }
}
