import Engine
import Kernels
import Testing

/// Parts of a graph that run forward right before they run backward.
@Suite struct PostponedTests {
  /// A row that three heads of some layers each read, with a loss each.
  private func graph(postponed: Bool, heads: Int = 3) -> GraphBuilder {
    var g = GraphBuilder(mode: .training)
    let table = g.parameter("table", [7, 20], .normal(0.5))
    let x = g.linear(
      g.embeddingSum(tables: [table], positions: nil, columns: 20), to: 20, named: "f",
      deviation: 0.3)
    g.addLoss("next", g.labelHead(x, weight: table, labels: 7))
    for head in 0..<heads {
      func trace(_ g: inout GraphBuilder) {
        let hidden = g.linear(
          g.layerNorm(x, named: "n", isShared: true), to: 60, named: "up\(head)", deviation: 0.3)
        let y = g.linear(
          hidden, activation: .gelu, to: 20, named: "down\(head)", deviation: 0.3, residual: x)
        g.addLoss("head \(head)", g.labelHead(y, weight: table, labels: 7), weight: 0.5)
      }
      if postponed { g.postpone(trace) } else { trace(&g) }
    }
    return g
  }

  private func batch(lanes: Int, step: Int = 0) -> [PackedLane] {
    (0..<lanes).map { lane in
      var result = PackedLane(tables: 1)
      for t in 0..<(5 + 7 * ((lane + step) % 3)) {
        result.appendRow(label: Int32((t * t + lane + step) % 7)) { _ in Int32((t + step) % 7) }
      }
      result.endSegment()
      return result
    }
  }

  /// Postponing changes when, not what: every bit of ten steps is the same, also where two lanes share a
  /// gradient.
  @Test(arguments: [1, 2, 4], [false, true])
  func itChangesNoBit(threads: Int, sharesPairs: Bool) throws {
    let limits = Limits(rows: 40, segment: 40)
    let engines = try [false, true].map {
      try makeEngine(
        graph(postponed: $0), limits: limits, lanes: 4, threads: threads,
        sharesPairs: sharesPairs)
    }
    for step in 0..<10 {
      let statistics = try engines.map {
        try $0.step(batch(lanes: 4, step: step), learningRate: 1e-2, optimizer: .init())
      }
      #expect(statistics[0] == statistics[1])
      for loss in 0..<4 { #expect(engines[0].lossSum(loss) == engines[1].lossSum(loss)) }
    }
    #expect(state(engines[0].parameters) == state(engines[1].parameters))
  }

  @Test func gradients() throws {
    try checkGradients(
      makeEngine(graph(postponed: true), limits: Limits(rows: 40, segment: 40)), batch(lanes: 1))
  }

  /// What parts keep takes the room of one; a loss each, and the gradient of the row that they all read,
  /// stay.
  @Test func roomIsThatOfOnePart() throws {
    func columns(_ heads: Int, _ postponed: Bool) throws -> Int {
      let plan = try Plan(
        checking: graph(postponed: postponed, heads: heads), limits: Limits(rows: 160, segment: 40))
      let program = CPUProgram(plan)
      let none = CPUProgram(
        try Plan(
          checking: graph(postponed: postponed, heads: heads),
          limits: Limits(rows: 0, segment: 40)))
      return (program.arenaCount - none.arenaCount) / 160
    }
    let one = try columns(1, true)
    #expect(try columns(2, true) <= one + 20 + 1)
    #expect(try columns(8, true) <= one + 20 + 7)
    #expect(try columns(8, false) > one + 7 * 60)
  }

  @Test func theOrderOfPasses() throws {
    let plan = try Plan(
      checking: graph(postponed: true, heads: 2), limits: Limits(rows: 8, segment: 8))
    let passes = plan.schedule.map { ($0.isBackward ? -1 : 1) * ($0.operation + 1) }
    #expect(
      passes == [1, 2, 3, 8, 9, 10, 11, -11, -10, -9, -8, 4, 5, 6, 7, -7, -6, -5, -4, -3, -2, -1])
    var scoring = GraphBuilder(mode: .scoring)
    let table = scoring.parameter("table", [7, 20], .normal(0.5))
    scoring.postpone { g in
      let x = g.embeddingSum(tables: [table], positions: nil, columns: 20)
      g.addLoss("next", g.labelHead(x, weight: table, labels: 7))
    }
    let forward = try Plan(checking: scoring, limits: Limits(rows: 8, segment: 8))
    #expect(forward.schedule.map(\.operation) == [0, 1])
    #expect(forward.schedule.allSatisfy { !$0.isBackward })
  }

  @Test func nothingOutsideReadsAPostponedPart() throws {
    var g = GraphBuilder(mode: .training)
    let table = g.parameter("table", [7, 20], .normal(0.5))
    var inner: Tensor?
    g.postpone { g in
      let x = g.embeddingSum(tables: [table], positions: nil, columns: 20)
      inner = x
      g.addLoss("next", g.labelHead(x, weight: table, labels: 7))
    }
    g.addLoss("other", g.labelHead(try #require(inner), weight: table, labels: 7))
    let error = #expect(throws: PlanError.self) {
      try Plan(checking: g, limits: Limits(rows: 8, segment: 8))
    }
    #expect(error?.description.contains("postponed") == true, "\(error?.description ?? "")")
  }
}
