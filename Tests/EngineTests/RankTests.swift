import Engine
import Kernels
import Parallel
import Testing

/// The mean of 200 vectors, each a parameter: more than any mask of a word's bits could name.
private struct ManyVectors: CPUOperation {
  let input: Tensor
  let parameters: [Parameter]
  let output: Tensor

  var name: String { "mean of \(parameters.count) vectors" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output] }
  var saved: [Tensor] { [] }
  func flops(position: Double) -> Double { Double(parameters.count) }

  func forward(_ w: borrowing Workspace) {
    let (x, y, C) = (w.value(input), w.value(output), input.columns)
    for i in y.indices {
      y[i] = x[i] + parameters.reduce(0) { $0 + w.weight($1)[i % C] } / Float(parameters.count)
    }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let (dY, dX, C) = (w.gradient(output), w.gradient(input), input.columns)
    for i in dX.indices { dX[i] = (accumulation.addsInput(0) ? dX[i] : 0) + dY[i] }
    for (k, parameter) in parameters.enumerated() {
      let dP = w.gradient(parameter)
      if !accumulation.addsParameter(k) { dP.update(repeating: 0) }
      for i in dY.indices { dP[i % C] += dY[i] / Float(parameters.count) }
    }
  }
}

/// Tables, a shared table, a residual, and 200 parameters of which every other one is used twice.
private func graph() -> GraphBuilder {
  var g = GraphBuilder(mode: .training)
  let table = g.parameter("table", [7, 16], .normal(0.5))
  var x = g.overEncoding(
    tables: [(rows: 50, width: 8), (rows: 31, width: 4)], tokens: table, positions: nil,
    columns: 16, scale: 0.5, deviation: 0.3, projectionDeviation: 0.3, named: "m")
  let vectors = (0..<200).map { g.parameter("v\($0)", [16], .normal(0.2)) }
  for used in [vectors, vectors.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)] {
    let y = g.tensor(columns: 16)
    g.append(ManyVectors(input: x, parameters: used, output: y))
    x = g.linear(
      g.layerNorm(y, named: "n\(used.count)"), to: 16, named: "f\(used.count)",
      deviation: 0.4, residual: y)
  }
  g.addLoss("next", g.labelHead(x, weight: table, labels: 7))
  return g
}

private func batch(lanes: Int, step: Int) -> [PackedLane] {
  var result = (0..<lanes).map { _ in PackedLane(tables: 3) }
  for i in 0..<13 {
    let lane = (i * i + step) % lanes
    for t in 0..<(1 + (5 * i + step) % 9) {
      result[lane].appendRow(label: Int32((t * t + i + step) % 7)) { column in
        column == 0
          ? Int32((3 * t + i) % 7) : Int32((t * 5 + i * step + column) % (column == 1 ? 50 : 31))
      }
    }
    result[lane].endSegment()
  }
  return result
}

/// All arrays after some steps, of every rank.
private func train(
  lanes: Int, threads: Int, ranks: Int, sharesPairs: Bool
) throws -> [[[Float]]] {
  try ThreadCommunicator.run(size: ranks) { ranks in
    let engine = try makeEngine(
      graph(), limits: Limits(rows: 128, segment: 12), lanes: lanes, threads: threads,
      ranks: ranks, sharesPairs: sharesPairs)
    var told: [Float] = []
    for step in 0..<5 {
      let statistics = try engine.step(
        batch(lanes: lanes, step: step), learningRate: 0.02, optimizer: .init(),
        tableOptimizer: TableOptimizer(learningRateMultiplier: 2, weightDecay: 0.01))
      told += [Float(statistics.lossSum), Float(statistics.gradientNorm)]
    }
    return state(engine.parameters) + [told]
  }
}

@Suite struct RankTests {
  @Test func gradientsOfTwoHundredParameters() throws {
    let engine = try makeEngine(graph(), limits: Limits(rows: 128, segment: 12), lanes: 2)
    try checkGradients(engine, batch(lanes: 2, step: 0))
  }

  /// One, two and four ranks of one to five threads, gradients shared by pairs or not: the same bits.
  @Test(arguments: [1, 2, 4, 8]) func everyBitDependsOnTheLanesAlone(lanes: Int) throws {
    let expected = try train(lanes: lanes, threads: 1, ranks: 1, sharesPairs: false)[0]
    for ranks in [1, 2, 4] where ranks <= lanes {
      for (threads, sharesPairs) in [(1, true), (2, false), (2, true), (3, true), (5, true)] {
        let found = try train(
          lanes: lanes, threads: threads, ranks: ranks, sharesPairs: sharesPairs)
        #expect(found.count == ranks)
        for state in found {
          #expect(
            state == expected,
            "\(lanes) lanes, \(ranks) ranks of \(threads) threads, pairs \(sharesPairs)")
        }
      }
    }
  }

  /// Pairs hold one gradient, and room for the largest operation, where each worker held its own.
  @Test func pairsHoldOneGradient() throws {
    func bytes(_ sharesPairs: Bool) throws -> Int {
      var g = GraphBuilder(mode: .training)
      let table = g.parameter("table", [7, 64], .normal(0.5))
      var x = g.embeddingSum(tables: [table], positions: nil, columns: 64)
      for i in 0..<8 { x = g.linear(x, to: 64, named: "f\(i)", deviation: 0.1) }
      g.addLoss("next", g.labelHead(x, weight: table, labels: 7))
      return try makeEngine(
        g, limits: Limits(rows: 16, segment: 16), lanes: 2, threads: 2, sharesPairs: sharesPairs
      ).workingBytes
    }
    let saved = try bytes(false) - bytes(true)
    let (gradient, room) = (4 * (8 * 64 * 65 + 7 * 64), 4 * (64 * 65 + 7 * 64))
    #expect(saved == gradient - 2 * room)
  }
}
