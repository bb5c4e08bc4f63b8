import Engine
import Kernels
import Parallel
import Support
import Testing

/// Two layers of experts behind one another, every output of their routers read.
///
/// - Parameter deviation: of routers: large, so that no difference of weights changes a choice.
private func graph(
  _ mode: GraphMode = .training, experts E: Int = 5, chosen k: Int = 2, normalizes: Bool = false,
  C: Int = 16, F: Int = 12, balance: Double = 0.3, z: Double = 0.05, deviation: Double = 3
) -> GraphBuilder {
  var g = GraphBuilder(mode: mode)
  let table = g.parameter("table", [7, C], .normal(0.7))
  var x = g.embeddingSum(tables: [table], positions: nil, columns: C)
  var routings: [Routing] = []
  for layer in 0..<2 {
    let y = g.layerNorm(x, named: "\(layer).norm")
    let routing = g.router(
      y, experts: E, chosen: k, normalizes: normalizes, named: "\(layer).gate",
      deviation: deviation)
    x = g.experts(
      y, routing, hidden: F, named: "\(layer).experts", deviation: 0.4, residual: x)
    routings.append(routing)
  }
  if mode == .training {
    g.addTrunkLoss("balance", g.balanceLoss(routings), weight: balance)
    g.addTrunkLoss("router-z", g.routerZLoss(routings), weight: z)
  }
  g.addLoss("next", g.labelHead(x, weight: g.parameter("head", [7, C], .normal(0.5)), labels: 7))
  return g
}

private func batch(lanes: Int, step: Int = 0) -> [PackedLane] {
  var result = (0..<lanes).map { _ in PackedLane(tables: 1) }
  for i in 0..<11 {
    let lane = (i * i + step) % lanes
    for t in 0..<(1 + (5 * i + step) % 9) {
      result[lane].appendRow(label: Int32((t * t + i + step) % 7)) { _ in Int32((3 * t + i) % 7) }
    }
    result[lane].endSegment()
  }
  return result
}

private let limits = Limits(rows: 128, segment: 12)

@Suite struct ExpertTests {
  @Test(arguments: [(5, 2, false), (5, 2, true), (3, 3, false), (1, 1, false), (6, 4, true)])
  func gradients(E: Int, k: Int, normalizes: Bool) throws {
    let engine = try makeEngine(
      graph(experts: E, chosen: k, normalizes: normalizes), limits: limits, lanes: 2)
    try checkGradients(engine, batch(lanes: 2))
    #expect(engine.plan.losses.map(\.name) == ["next", "balance", "router-z"])
    let rows = batch(lanes: 2).reduce(0) { $0 + $1.rows }
    #expect((0..<3).map { engine.lossSum($0).rows } == [rows, rows, rows])
  }

  /// Of equal probabilities the first k are chosen: balance is 1 whatever the counts, and the gradients of
  /// the others are 0.
  @Test func anEvenRouter() throws {
    let engine = try makeEngine(graph(experts: 4, chosen: 2), limits: limits)
    for slot in engine.parameters.layout.slots where slot.name.hasSuffix("gate.weight") {
      engine.parameters.withMutableFloats(slot, of: .weights) { $0.update(repeating: 0) }
    }
    _ = try engine.computeGradients(batch(lanes: 1))
    #expect(engine.lossSum(1).mean == 1)
    // Experts 2 and 3 have no rows.
    for slot in engine.parameters.layout.slots where slot.name.contains("experts.") {
      let isChosen = slot.name.contains("experts.0.") || slot.name.contains("experts.1.")
      #expect(engine.gradient(of: slot).contains { $0 != 0 } == isChosen, "\(slot.name)")
    }
    // What a former step left in the gradient of an expert without rows is gone.
    let gate = try #require(engine.parameters.layout.slot(named: "0.gate.weight"))
    engine.parameters.withMutableFloats(gate, of: .weights) { floats in
      for i in floats.indices { floats[i] = Float(i % 4 == 3 ? 1 : 0) * Float(i % 3 - 1) }
    }
    _ = try engine.computeGradients(batch(lanes: 1))
    engine.parameters.withMutableFloats(gate, of: .weights) { $0.update(repeating: 0) }
    _ = try engine.computeGradients(batch(lanes: 1))
    let idle = try #require(engine.parameters.layout.slot(named: "0.experts.3.down_proj.weight"))
    #expect(engine.gradient(of: idle).allSatisfy { $0 == 0 })
  }

  /// With one expert of many chosen and no normalization the router learns from the next-token loss;
  /// normalized, its weight is 1 whatever the logits, and it does not.
  @Test func oneOfManyTeachesTheRouter() throws {
    for normalizes in [false, true] {
      let engine = try makeEngine(
        graph(chosen: 1, normalizes: normalizes, balance: 0, z: 0), limits: limits)
      _ = try engine.computeGradients(batch(lanes: 1))
      let gate = try #require(engine.parameters.layout.slot(named: "0.gate.weight"))
      let largest = engine.gradient(of: gate).reduce(0) { max($0, abs($1)) }
      #expect(normalizes ? largest < 1e-7 : largest > 1e-3, "\(largest)")
    }
  }

  /// The routers' losses with weight 0 change no other gradient, and what they say does not depend on
  /// their weights.
  @Test func weightsOfZeroMeasureAlone() throws {
    let engines = try [(0.0, 0.0), (0.5, 0.1)].map { balance, z in
      let engine = try makeEngine(graph(balance: balance, z: z), limits: limits)
      _ = try engine.computeGradients(batch(lanes: 1))
      return engine
    }
    for number in 0..<3 { #expect(engines[0].lossSum(number) == engines[1].lossSum(number)) }
    #expect(engines[0].lossSum(1).mean >= 1)
    let gate = try #require(engines[0].parameters.layout.slot(named: "1.gate.weight"))
    let head = try #require(engines[0].parameters.layout.slot(named: "head"))
    #expect(engines[0].gradient(of: gate) != engines[1].gradient(of: gate))
    #expect(engines[0].gradient(of: head) == engines[1].gradient(of: head))
  }

  private func train(
    lanes: Int, threads: Int, ranks: Int, sharesPairs: Bool, precision: Precision = .float32
  ) throws -> [[[Float]]] {
    try ThreadCommunicator.run(size: ranks) { ranks in
      let engine = try makeEngine(
        graph(experts: 6, chosen: 3),
        limits: Limits(rows: 128, segment: 12, precision: precision), lanes: lanes,
        threads: threads, ranks: ranks, sharesPairs: sharesPairs)
      var told: [Float] = []
      for step in 0..<5 {
        let statistics = try engine.step(
          batch(lanes: lanes, step: step), learningRate: 1e-2, optimizer: .init())
        told.append(Float(statistics.gradientNorm))
        told += (0..<3).map { Float(engine.lossSum($0).sum) }
      }
      return state(engine.parameters) + [told]
    }
  }

  /// Threads, ranks and shared gradients change no bit, of weights and of all losses.
  @Test(arguments: [Precision.float32, .bfloat16])
  func theSameBits(precision: Precision) throws {
    if !precision.isAvailable { return }
    for lanes in [2, 8] {
      let one = try train(
        lanes: lanes, threads: 1, ranks: 1, sharesPairs: false, precision: precision)[0]
      for (threads, ranks, sharesPairs) in [
        (2, 1, false), (4, 1, true), (1, 1, true), (1, 2, false), (2, 2, true), (2, 4, false),
      ] where ranks <= lanes {
        for state in try train(
          lanes: lanes, threads: threads, ranks: ranks, sharesPairs: sharesPairs,
          precision: precision)
        {
          #expect(state == one, "\(lanes) lanes, \(threads) threads, \(ranks) ranks")
        }
      }
    }
  }

  /// What scores has no losses of routers, and reads the weights of what trains.
  @Test func scoringLeavesTheLossesOut() throws {
    #expect(graph(.scoring).losses.map(\.name) == ["next"])
    let trained = try makeEngine(graph(), limits: limits)
    let found = ScoringEngine(
      plan: Plan(graph(.scoring), limits: limits), parameters: trained.parameters, labels: 7,
      threads: 1
    ).labelLogProbabilities(batch(lanes: 1))[0]
    let loss = try trained.computeGradients(batch(lanes: 1)).meanLoss
    let mean = found.reduce(0) { $0 - Double($1) } / Double(found.count)
    #expect(abs(mean - loss) < 1e-5)
  }

  /// A router whose outputs nobody reads, or reads in part, cannot be trained.
  @Test func everyOutputOfARouterIsRead() {
    var g = GraphBuilder(mode: .training)
    let x = g.embeddingSum(
      tables: [g.parameter("t", [7, 16], .ones)], positions: nil, columns: 16)
    let routing = g.router(
      x, experts: 4, chosen: 2, normalizes: false, named: "gate", deviation: 0.1)
    let y = g.experts(x, routing, hidden: 8, named: "e", deviation: 0.1, residual: x)
    g.addLoss("next", g.labelHead(y, weight: g.parameter("h", [7, 16], .ones), labels: 7))
    #expect(throws: PlanError.self) { try Plan(checking: g, limits: limits) }
  }
}
