import Engine
import Testing

/// A residual block with a shared table: every rule of the planner at work.
private func graph(_ mode: GraphMode) -> GraphBuilder {
  var g = GraphBuilder(mode: mode)
  let table = g.parameter("table", [7, 16], .normal(0.5))
  let positions = g.parameter("positions", [12, 16], .normal(0.5))
  let x = g.embeddingSum(tables: [table], positions: positions, columns: 16)
  let qkv = g.linear(g.layerNorm(x, named: "n"), to: 48, named: "qkv", deviation: 0.3)
  let y = g.linear(
    g.attention(qkv: qkv, heads: 2), to: 16, named: "o", deviation: 0.3, residual: x)
  let z = g.linear(
    g.linear(
      g.layerNorm(y, named: "m"), to: 32, named: "f", deviation: 0.3, addsBiasLast: true),
    activation: .gelu, to: 16, named: "p", deviation: 0.3, residual: y)
  g.addLoss("next", g.labelHead(z, weight: table, labels: 7))
  return g
}

private func engine(lanes: Int = 2, threads: Int = 1) -> TrainingEngine {
  let plan = Plan(graph(.training), limits: Limits(rows: 64, segment: 12))
  let store = ParameterStore(layout: plan.layout, moments: true)
  store.initialize(seed: 4)
  return TrainingEngine(plan: plan, parameters: store, lanes: lanes, threads: threads)
}

private func batch(lanes: Int = 2, lengths: [Int] = [3, 12, 1, 7, 5]) -> [PackedLane] {
  var result = (0..<lanes).map { _ in PackedLane(tables: 1) }
  for (i, length) in lengths.enumerated() {
    for t in 0..<length {
      result[i % lanes].appendRow(label: Int32((t * t + i) % 7)) { _ in Int32((3 * t + i) % 7) }
    }
    result[i % lanes].endSegment()
  }
  return result
}

private func state(_ engine: TrainingEngine) -> [[Float]] {
  engine.parameters.layout.slots.flatMap { slot in
    ParameterArray.allCases.map { engine.parameters.values(slot, of: $0) }
  }
}

@Suite struct PlanTests {
  @Test func sharedTableIsAddedToOnce() {
    let plan = Plan(graph(.training), limits: Limits(rows: 64, segment: 12))
    let head = plan.accumulations[plan.operations.count - 1]
    let embedding = plan.accumulations[0]
    // The head comes first in the backward pass and overwrites; the embedding adds.
    #expect(!head.addsParameter(0))
    #expect(embedding.addsParameter(0))
    #expect(!embedding.addsParameter(1))
  }

  @Test func residualsPassTheirGradientInPlace() {
    let plan = Plan(graph(.training), limits: Limits(rows: 64, segment: 12))
    for (operation, accumulation) in zip(plan.operations, plan.accumulations)
    where operation.name == "linear + residual" {
      #expect(accumulation.sharesInput(1))
      #expect(!accumulation.sharesInput(0))
    }
    #expect(plan.accumulations[1].addsInput(0), "the norm adds to the residual's gradient")
  }

  @Test func capacityChangesNoBit() {
    var losses: [Double] = []
    for rows in [28, 29, 64, 1000] {
      let plan = Plan(graph(.training), limits: Limits(rows: rows, segment: 12))
      let store = ParameterStore(layout: plan.layout, moments: true)
      store.initialize(seed: 4)
      let engine = TrainingEngine(plan: plan, parameters: store, lanes: 1, threads: 1)
      for _ in 0..<3 {
        let loss = try? engine.step(batch(lanes: 1), learningRate: 0.01, optimizer: .init()).lossSum
        losses.append(loss ?? .nan)
      }
    }
    for i in losses.indices { #expect(losses[i] == losses[i % 3]) }
  }
}

@Suite struct TrainingEngineTests {
  @Test func restoredStateGoesOnBitForBit() throws {
    let (whole, first, second) = (engine(), engine(), engine())
    for _ in 0..<6 {
      _ = try whole.step(batch(), learningRate: 0.01, optimizer: .init())
    }
    for _ in 0..<3 {
      _ = try first.step(batch(), learningRate: 0.01, optimizer: .init())
    }
    for slot in first.parameters.layout.slots {
      for array in ParameterArray.allCases {
        let values = first.parameters.values(slot, of: array)
        second.parameters.withMutableFloats(slot, of: array) { floats in
          for i in floats.indices { floats[i] = values[i] }
        }
      }
    }
    second.step = first.step
    for _ in 0..<3 {
      _ = try second.step(batch(), learningRate: 0.01, optimizer: .init())
    }
    #expect(state(whole) == state(second))
  }

  @Test func emptyLanesAreWelcome() throws {
    let lanes = engine(lanes: 4)
    var sparse = batch(lanes: 1)
    sparse += [PackedLane(tables: 1), PackedLane(tables: 1), PackedLane(tables: 1)]
    let four = try lanes.step(sparse, learningRate: 0.01, optimizer: .init())
    let one = try engine(lanes: 1).step(batch(lanes: 1), learningRate: 0.01, optimizer: .init())
    #expect(four == one)
    #expect(four.rows == 28)
  }

  @Test func nonFiniteWeightsAreNamedAndNothingMoves() throws {
    let engine = engine()
    _ = try engine.step(batch(), learningRate: 0.01, optimizer: .init())
    let slot = try #require(engine.parameters.layout.slot(named: "f.weight"))
    engine.parameters.withMutableFloats(slot, of: .weights) { $0[5] = .infinity }
    let bias = try #require(engine.parameters.layout.slot(named: "p.bias"))
    let before = engine.parameters.values(bias)
    let error = #expect(throws: NonFiniteError.self) {
      try engine.step(batch(), learningRate: 0.01, optimizer: .init())
    }
    #expect(error?.description == "step 2: weight f.weight is not finite")
    #expect(engine.parameters.values(bias) == before)
    #expect(engine.step == 1)
  }
}
