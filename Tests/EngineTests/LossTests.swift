import Engine
import Kernels
import Testing
import Support

/// The mean square of a row: a loss of its own kind, on every row.
private struct SquareLoss: CPUOperation {
  let input: Tensor
  let output: Tensor

  var name: String { "mean square" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [input] }
  func canAdd(toInput index: Int) -> Bool { true }
  func flops(position: Double) -> Double { Double(2 * input.columns) }

  func forward(_ w: borrowing Workspace) {
    let (x, y) = (w.value(input), w.value(output))
    for n in y.indices {
      let row = x[n * input.columns..<(n + 1) * input.columns]
      y[n] = row.reduce(0) { $0 + $1 * $1 } / Float(input.columns)
    }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let (x, dX) = (w.value(input), w.gradient(input))
    let factor = 2 * w.lossScale(of: output) / Float(input.columns)
    for i in x.indices { dX[i] = (accumulation.addsInput(0) ? dX[i] : 0) + factor * x[i] }
  }
}

/// Two heads on one hidden state, the second over labels of its own, and a penalty.
private func graph(
  second: Double?, penalty: Double? = nil, mode: GraphMode = .training
) -> GraphBuilder {
  var g = GraphBuilder(mode: mode)
  let table = g.parameter("table", [7, 16], .normal(0.5))
  let x = g.embeddingSum(tables: [table], positions: nil, columns: 16)
  let y = g.layerNorm(
    g.linear(g.layerNorm(x, named: "m"), to: 16, named: "f", deviation: 0.5, residual: x),
    named: "n")
  if let penalty {
    let output = g.tensor(columns: 1)
    g.append(SquareLoss(input: x, output: output))
    let next = g.labelHead(y, weight: g.parameter("head", [7, 16], .normal(0.5)), labels: 7)
    g.addLoss("next", next)
    g.addLoss("penalty", output, weight: penalty)
  } else {
    g.addLoss(
      "next", g.labelHead(y, weight: g.parameter("head", [7, 16], .normal(0.5)), labels: 7))
  }
  if let second {
    let head = g.parameter("second", [5, 16], .normal(0.5))
    g.addLoss("second", g.labelHead(y, weight: head, labels: 5, column: 1), weight: second)
  }
  return g
}

/// - Parameter second: the label of the second head at row t of sentence i.
private func batch(
  lanes: Int = 2, columns: Int, next: (Int, Int) -> Int32 = { Int32(($0 * $0 + $1) % 7) },
  second: (Int, Int) -> Int32 = { t, i in (t + i) % 3 == 0 ? -1 : Int32((t + i) % 5) }
) -> [PackedLane] {
  var result = (0..<lanes).map { _ in PackedLane(tables: 1, labelColumns: columns) }
  for (i, length) in [3, 12, 1, 7, 5].enumerated() {
    for t in 0..<length {
      result[i % lanes].appendRow(label: next(t, i)) { _ in Int32((3 * t + i) % 7) }
      if columns == 2 { result[i % lanes].appendLabel(second(t, i), column: 1) }
    }
    result[i % lanes].endSegment()
  }
  return result
}

private let limits = Limits(rows: 64, segment: 12)

@Suite struct LossTests {
  @Test func gradientsOfTwoHeadsAndAPenalty() throws {
    let engine = try makeEngine(graph(second: 0.3, penalty: 0.7), limits: limits, lanes: 2)
    try checkGradients(engine, batch(columns: 2))
    let rows = [
      28, 28, 28 - batch(columns: 2).reduce(0) { $0 + $1.rows - $1.labelledRows(column: 1) },
    ]
    #expect(engine.plan.losses.indices.map { engine.lossSum($0).rows } == rows)
  }

  /// A row without a label has no loss, no gradient and counts in no mean: the same step as without it.
  @Test(arguments: [Precision.float32, .bfloat16]) func rowsWithoutLabelsDoNotCount(
    precision: Precision
  ) throws {
    if !precision.isAvailable { return }
    let bounds = Limits(rows: 64, segment: 12, precision: precision)
    func run(_ next: @escaping (Int, Int) -> Int32) throws -> (StepStatistics, [Float]) {
      let engine = try makeEngine(graph(second: nil), limits: bounds, lanes: 2)
      let statistics = try engine.computeGradients(batch(columns: 1, next: next))
      let head = try #require(engine.parameters.layout.slot(named: "head"))
      return (statistics, engine.gradient(of: head))
    }
    // Sentence 1 has no labels at all; its words are in no gradient of the head.
    let (without, gradient) = try run { t, i in i == 1 ? PackedLane.noLabel : Int32((t * t + i) % 7)
    }
    #expect(without.rows == 16)
    let (with, other) = try run { t, i in Int32((t * t + i) % 7) }
    #expect(with.rows == 28)
    #expect(gradient != other)
    let (nothing, zero) = try run { _, _ in PackedLane.noLabel }
    #expect(nothing.rows == 0 && nothing.lossSum == 0 && nothing.gradientNorm == 0)
    #expect(zero.allSatisfy { $0 == 0 })
  }

  /// A second loss of weight 0 leaves the first one's bits, and the first is reported alone.
  @Test func theNextTokenLossIsReportedAlone() throws {
    let alone = try makeEngine(graph(second: nil), limits: limits, lanes: 2)
    let both = try makeEngine(graph(second: 0), limits: limits, lanes: 2)
    let first = try alone.computeGradients(batch(columns: 1))
    let second = try both.computeGradients(batch(columns: 2))
    #expect(first.nextToken == second.nextToken)
    #expect(both.lossSum(1).sum > 0)
    let head = try #require(both.parameters.layout.slot(named: "second"))
    #expect(both.gradient(of: head).allSatisfy { $0 == 0 })
  }

  /// Scoring needs no head that it does not use: the store of the trained model serves it.
  @Test func scoringLeavesOtherHeadsOut() throws {
    let trained = try makeEngine(graph(second: 1), limits: limits)
    let scoring = { (g: GraphBuilder) in
      ScoringEngine(
        plan: Plan(g, limits: limits), parameters: trained.parameters, labels: 7, threads: 1
      ).labelLogProbabilities(batch(lanes: 1, columns: 1))
    }
    var lean = GraphBuilder(mode: .scoring)
    // Declared in another order, so that nothing lies where it lay.
    let head = lean.parameter("head", [7, 16], .zeros)
    let table = lean.parameter("table", [7, 16], .zeros)
    let x = lean.embeddingSum(tables: [table], positions: nil, columns: 16)
    let y = lean.layerNorm(
      lean.linear(
        lean.layerNorm(x, named: "m"), to: 16, named: "f", deviation: 0.5, residual: x), named: "n")
    _ = lean.labelHead(y, weight: head, labels: 7)
    #expect(scoring(lean) == scoring(graph(second: nil, mode: .scoring)))
    #expect(scoring(lean)[0].contains { $0 < -0.1 })
  }
}
