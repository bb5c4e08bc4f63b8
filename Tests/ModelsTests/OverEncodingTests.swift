import Engine
import Foundation
import Kernels
import Models
import NGrams
import Support
import Testing

func overEncoded(
  _ architecture: Architecture = .gpt2, width: Int = 16, heads: Int = 2, order: Int = 3,
  slices: Int = 2, rows: Int = 50,
  vocabulary: Int = 14, tied: Bool = false, token: Bool = true,
  reduction: OverEncoding.Reduction = .mean,
  normalization: OverEncoding.Normalization = .none, deviation: Double = 0.02, columns: Int? = nil
) throws -> ModelConfiguration {
  let layout = try OverEncodingLayout(
    vocabulary: vocabulary, order: order, slices: slices, rows: rows, width: width,
    moduli: .coprime, columns: columns)
  return try ModelConfiguration(
    input: OverEncoding(
      layout: layout, reduction: reduction, normalization: normalization, token: token,
      deviation: deviation),
    trunk: makeTrunk(
      architecture.trunk, TrunkSize(layers: 2, width: width, heads: heads, context: 40)),
    labels: vocabulary, tied: tied)
}

private let lengths = [19, 1, 33, 16, 17, 2, 40, 15, 7]

private func engine(
  _ configuration: ModelConfiguration, lanes: Int = 4, threads: Int = 1,
  moments: TableMoments = .float32
) -> TrainingEngine {
  TrainingEngine(
    configuration, seed: 3, lanes: lanes, laneCapacity: 300, threads: threads,
    tableMoments: moments)
}

/// All weights of a store, tables brought up to date.
private func weights(_ store: ParameterStore) -> [Float] {
  return store.layout.slots.flatMap { store.values($0) } + store.tables.flatMap(tableWeights)

  func tableWeights(_ table: TableStore) -> [Float] {
    (0..<table.parts).flatMap { part in
      var values = [Float](
        repeating: .nan, count: table.rows(ofPart: part).count * table.slot.width)
      values.withUnsafeMutableBufferPointer {
        table.export(part: part, into: $0, store.tableHistory)
      }
      return values
    }
  }
}

@Suite struct OverEncodingTests {
  @Test func namesAndCounts() throws {
    let configuration = try overEncoded()
    let layout = configuration.layout
    #expect(layout.parameterCount == configuration.parameterCount)
    #expect(layout.tables.map(\.name) == (0..<4).map { "transformer.oe_embedders.\($0).weight" })
    #expect(layout.tables.map(\.width) == [4, 4, 4, 4])
    #expect(layout.slot(named: "transformer.oe_proj.weight")?.shape == [16, 16])
    #expect(configuration.inputColumns == 5)
    for other in [
      try overEncoded(tied: true), try overEncoded(token: false),
      try overEncoded(tied: true, token: false), try overEncoded(order: 2, slices: 1, columns: 7),
      try overEncoded(normalization: .rms), try overEncoded(.olmo2, normalization: .rms),
      try overEncoded(.olmoe),
    ] {
      #expect(other.layout.parameterCount == other.parameterCount)
    }
    let plan = configuration.plan(.training, rows: 100)
    let closed = configuration.forwardFLOPs(perTokenAt: 30) * 30
    #expect(plan.forwardFLOPs(sentence: 30) > closed)
    #expect(plan.forwardFLOPs(sentence: 30) < 1.4 * closed)
    let plain = try ModelConfiguration(
      input: TableSum(configuration.inputs), trunk: configuration.trunk, labels: 14)
    let extra = configuration.forwardFLOPs(perTokenAt: 9) - plain.forwardFLOPs(perTokenAt: 9)
    #expect(extra == 2 * 16 * 16)
  }

  /// The embedding by Algorithm 1 in Double, against a model without layers in between: the gradient
  /// of the projections is linear in it.
  @Test(arguments: OverEncoding.Reduction.allCases, [true, false])
  func embeddingIsAlgorithmOne(reduction: OverEncoding.Reduction, token: Bool) throws {
    let configuration = try overEncoded(
      token: token, reduction: reduction, deviation: 0.5)
    let encoding = try #require(configuration.overEncoding)
    var g = GraphBuilder(mode: .scoring)
    let wte = token ? g.parameter("wte", [14, 16], .normal(0.5)) : nil
    let wpe = g.parameter("wpe", [40, 16], .normal(0.5))
    let x = g.overEncoding(
      tables: encoding.layout.embedders.map { ($0.modulus, $0.width) }, tokens: wte,
      positions: wpe, columns: 16, scale: encoding.scale, tableScale: encoding.tableScale,
      deviation: 0.5, projectionDeviation: 0.5, named: "t")
    let head = g.parameter("head", [14, 16], .normal(0.5))
    g.addLoss("next", g.labelHead(x, weight: head, labels: 14))
    let plan = Plan(g, limits: Limits(rows: 100, segment: 40))
    let store = ParameterStore(layout: plan.layout, moments: false)
    store.initialize(seed: 6)
    let lane = makeLanes(configuration, lengths: [7, 1, 20], lanes: 1)[0]
    let found = ScoringEngine(plan: plan, parameters: store, labels: 14, threads: 1)
      .logProbabilities([lane])[0]
    func values(_ name: String) -> [Double] {
      store.layout.slot(named: name).map { store.values($0).map(Double.init) } ?? []
    }
    let (e, p, w, h) = (values("wte"), values("wpe"), values("t.oe_proj.weight"), values("head"))
    var position = 0
    for n in 0..<lane.rows {
      if lane.segmentOffsets.contains(n) { position = 0 }
      let ids = lane.inputs[n * 5..<n * 5 + 5].map(Int.init)
      var row = (0..<16).map { token ? e[ids[0] * 16 + $0] : 0 }
      for (i, table) in store.tables.enumerated() {
        for j in 0..<4 {
          let value = Double(table.weights[ids[i + 1] * 4 + j])
          let scale = reduction == .normalizedSum ? 0.5 : 1
          for c in 0..<16 { row[c] += scale * value * w[(4 * i + j) * 16 + c] }
        }
      }
      if reduction == .mean { row = row.map { $0 / (token ? 5 : 4) } }
      for c in 0..<16 { row[c] += p[position * 16 + c] }
      let logits = (0..<14).map { v in (0..<16).reduce(0) { $0 + row[$1] * h[v * 16 + $1] } }
      let total = log(logits.reduce(0) { $0 + exp($1) })
      for v in 0..<14 { #expect(abs(Double(found[n * 14 + v]) - (logits[v] - total)) < 2e-5) }
      position += 1
    }
  }

  @Test(
    arguments: [
      (16, false, true, .mean, .none), (24, true, true, .normalizedSum, .rms),
      (20, false, false, .normalizedSum, .none), (64, true, false, .sum, .rms),
    ] as [(Int, Bool, Bool, OverEncoding.Reduction, OverEncoding.Normalization)])
  func finiteDifferences(
    width: Int, tied: Bool, token: Bool, reduction: OverEncoding.Reduction,
    normalization: OverEncoding.Normalization
  ) throws {
    let configuration = try overEncoded(
      width: width, rows: 30, tied: tied, token: token, reduction: reduction,
      normalization: normalization, deviation: 0.3)
    let engine = engine(configuration, lanes: 2)
    let store = engine.parameters
    for slot in store.layout.slots {
      var stream = RandomStream(seed: 9, name: slot.name)
      store.withMutableFloats(slot, of: .weights) { floats in
        for i in floats.indices { floats[i] += Float(0.15 * stream.normal()) }
      }
    }
    let batch = makeLanes(configuration, lengths: [5, 17, 1, 20], lanes: 2)
    _ = try engine.computeGradients(batch)
    for (t, table) in store.tables.enumerated() {
      let (rows, gradient) = engine.tableGradient(t)
      let w = table.slot.width
      let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      let original = Array(table.weights)
      let h = 5e-3
      func loss(_ sign: Double) throws -> Double {
        for (u, row) in rows.enumerated() {
          for i in 0..<w {
            table.weights[Int(row) * w + i] =
              original[Int(row) * w + i] + Float(sign * h * Double(gradient[u * w + i]) / norm)
          }
        }
        return try engine.computeGradients(batch).meanLoss
      }
      let slope = (try loss(1) - loss(-1)) / (2 * h)
      for i in original.indices { table.weights[i] = original[i] }
      #expect(
        abs(slope - norm) < 2e-2 * norm + 2e-4, "table \(t): slope \(slope), |gradient| \(norm)")
      #expect(Array(rows) == Array(rows.sorted()) && rows.count > 5)
    }
    _ = try engine.computeGradients(batch)
    for name in ["transformer.oe_proj.weight", "transformer.wpe.weight"]
      + (normalization == .rms ? ["transformer.oe_norm.weight"] : [])
    {
      let slot = try #require(store.layout.slot(named: name))
      let gradient = engine.gradient(of: slot)
      let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      let original = store.values(slot)
      let h = 5e-3
      func loss(_ sign: Double) throws -> Double {
        store.withMutableFloats(slot, of: .weights) { floats in
          for i in floats.indices {
            floats[i] = original[i] + Float(sign * h * Double(gradient[i]) / norm)
          }
        }
        return try engine.computeGradients(batch).meanLoss
      }
      let slope = (try loss(1) - loss(-1)) / (2 * h)
      store.withMutableFloats(slot, of: .weights) { floats in
        for i in floats.indices { floats[i] = original[i] }
      }
      #expect(abs(slope - norm) < 2e-2 * norm + 2e-4, "\(name): \(slope), |gradient| \(norm)")
    }
  }

  /// A run against dense AdamW on whole tables, fed with the engine's own row gradients: equal bits.
  @Test func trainingIsDenseAdamW() throws {
    let configuration = try overEncoded(rows: 300)
    let engine = engine(configuration, threads: 2)
    let store = engine.parameters
    var p = store.tables.map { Array($0.weights) }
    var m = p.map { [Float](repeating: 0, count: $0.count) }
    var v = m
    let optimizer = OptimizerConstants(gradientClip: 0.5)
    for step in 1...120 {
      let batch = makeLanes(
        configuration, lengths: lengths, lanes: 4, seed: UInt64(step % 7 * step))
      let rate = 1e-2 * Double(step % 50) / 50
      let statistics = try engine.step(
        batch, learningRate: rate, optimizer: optimizer,
        tableOptimizer: TableOptimizer(learningRateMultiplier: 3, weightDecay: 0.1))
      let scalars = AdamWScalars(
        step: step, learningRate: 3 * rate, beta1: 0.9, beta2: 0.98, epsilon: 1e-8,
        weightDecay: 0.1, gradientScale: min(1, 0.5 / (statistics.gradientNorm + 1e-6)))
      for (t, table) in store.tables.enumerated() {
        let (rows, gradient) = engine.tableGradient(t)
        var dense = [Float](repeating: 0, count: p[t].count)
        let w = table.slot.width
        for (u, row) in rows.enumerated() {
          for i in 0..<w { dense[Int(row) * w + i] = gradient[u * w + i] }
        }
        var pSpan = p[t].mutableSpan
        var mSpan = m[t].mutableSpan
        var vSpan = v[t].mutableSpan
        adamW(&pSpan, m: &mSpan, v: &vSpan, dense.span, scalars)
      }
    }
    let flat = store.layout.slots.flatMap { store.values($0) }
    #expect(weights(store) == flat + p.flatMap(\.self))
  }

  @Test(arguments: TableMoments.allCases, [1, 8])
  func threadsChangeNoBit(moments: TableMoments, lanes: Int) throws {
    let configuration = try overEncoded(width: 64, heads: 4, rows: 400)
    var expected: ([Float], [StepStatistics]) = ([], [])
    for threads in [1, 2, 3, 4] {
      let engine = engine(configuration, lanes: lanes, threads: threads, moments: moments)
      var statistics: [StepStatistics] = []
      for step in 0..<5 {
        let batch = makeLanes(configuration, lengths: lengths, lanes: lanes, seed: UInt64(step))
        statistics.append(try engine.step(batch, learningRate: 1e-2, optimizer: .init()))
      }
      let result = (weights(engine.parameters), statistics)
      if threads == 1 { expected = result }
      #expect(result.0 == expected.0 && result.1 == expected.1, "\(threads) threads")
      let isFinite = result.0.allSatisfy(\.isFinite)
      #expect(isFinite)
    }
  }

  /// The same ids again and again are learned by heart.
  @Test func learns() throws {
    let configuration = try overEncoded(rows: 400)
    let engine = engine(configuration)
    let batch = makeLanes(configuration, lengths: lengths, lanes: 4)
    var losses: [Double] = []
    for _ in 0..<60 {
      losses.append(
        try engine.step(
          batch, learningRate: 1e-2, optimizer: .init(),
          tableOptimizer: TableOptimizer(learningRateMultiplier: 4)
        ).meanLoss)
    }
    #expect(abs(losses[0] - log(14)) < 0.2)
    #expect(losses[59] < 0.5 * losses[0])
  }

  @Test func initializationDoesNotDependOnThreads() throws {
    let configuration = try overEncoded(rows: 3000)
    let (one, two) = (
      configuration.makeParameters(moments: false), configuration.makeParameters(moments: true)
    )
    one.initialize(seed: 8)
    two.initialize(seed: 8, threads: 3)
    for (a, b) in zip(one.tables, two.tables) { #expect(Array(a.weights) == Array(b.weights)) }
    #expect(one.tables[0].weights[0] != one.tables[1].weights[0])
  }

  @Test(arguments: Architecture.allCases)
  func decodingAgreesWithScoring(architecture: Architecture) throws {
    let configuration = try overEncoded(architecture, rows: 300, deviation: 0.4)
    let store = configuration.makeParameters(moments: false)
    store.initialize(seed: 2)
    let lane = makeLanes(configuration, lengths: [20], lanes: 1)[0]
    let expected = ScoringEngine(configuration, parameters: store, laneCapacity: 100, threads: 1)
      .logProbabilities([lane])[0]
    for sequences in [1, 8, 64] {
      let engine = DecodingEngine(configuration, parameters: store, capacity: sequences)
      engine.reset(sequences: sequences)
      for row in 0..<20 {
        let ids = lane.inputs[row * 5..<row * 5 + 5]
        engine.step(inputs: (0..<sequences).flatMap { _ in ids }, tables: 5) { found in
          for i in found.indices {
            #expect(abs(found[i] - expected[row * 14 + i % 14]) < 2e-5)
          }
        }
      }
    }
  }

  @Test func theNormIsOverAllParameters() throws {
    let configuration = try overEncoded()
    let engine = engine(configuration)
    let norm = try engine.computeGradients(makeLanes(configuration, lengths: lengths, lanes: 4))
      .gradientNorm
    let dense = engine.parameters.layout.slots.flatMap { engine.gradient(of: $0) }
    let rows = engine.parameters.tables.indices.flatMap { engine.tableGradient($0).values }
    let total = (dense + rows).reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    #expect(abs(norm - total) < 1e-9 * total)
    #expect(rows.contains { $0 != 0 })
  }

  @Test func nonFiniteRowsAreNamedAndNothingMoves() throws {
    let configuration = try overEncoded()
    let engine = engine(configuration)
    let batch = makeLanes(configuration, lengths: lengths, lanes: 4)
    _ = try engine.step(batch, learningRate: 0.01, optimizer: .init())
    let row = Int(engine.tableGradient(2).rows[0])
    let table = engine.parameters.tables[2]
    table.weights[row * 4] = .nan
    let before = Array(table.weights).map(\.bitPattern)
    let error = #expect(throws: NonFiniteError.self) {
      try engine.step(batch, learningRate: 0.01, optimizer: .init())
    }
    #expect(
      error?.tensor.contains("gradient of") == true || error?.tensor.contains("weight") == true)
    #expect(Array(table.weights).map(\.bitPattern) == before)
    #expect(engine.step == 1 && engine.parameters.tableHistory.count == 1)
  }

  // MARK: - Configuration

  private func configuration(_ overEncoding: String) throws -> ModelConfiguration {
    let text = """
      architecture: gpt2
      layers: 1
      width: 16
      heads: 2
      context: 10
      inputs: [{order: 1, rows: 9}]
      labels: 9
      overEncoding: {\(overEncoding)}
      """
    var reader = try ConfigReader(ConfigValue.parse(yaml: text, source: "model"), source: "model")
    let result = try ModelConfiguration(reader: &reader)
    try reader.finish()
    return result
  }

  @Test func readsItsKeys() throws {
    let plain = try configuration("order: 2, slices: 1, rows: 100")
    #expect(plain.overEncoding?.reduction == .mean && plain.overEncoding?.deviation == 0.02)
    #expect(plain.overEncoding?.projectionDeviation == 0.25 && plain.overEncoding?.scale == 0.5)
    let normalized = try configuration("order: 2, slices: 1, rows: 100, normalization: rms")
    #expect(normalized.overEncoding?.projectionDeviation == 0.25 * 0.02)
    let full = try configuration(
      "order: 3, slices: 2, rows: 100, moduli: paper, reduction: sum, token: false,"
        + " deviation: 0.5, projectionDeviation: 0.125")
    #expect(full.overEncoding?.scale == 1 && full.overEncoding?.token == false)
    #expect(full.overEncoding?.layout.embedders.map(\.modulus) == [100, 102, 104, 106])
    #expect(full.overEncoding?.projectionDeviation == 0.125)
    #expect(full.overEncoding?.tableScale == 1 && full.overEncoding?.lookBack == .document)
    let even = try configuration(
      "order: 3, slices: 2, rows: 100, reduction: normalizedSum, lookBack: window")
    #expect(even.overEncoding?.scale == 1 && even.overEncoding?.tableScale == 0.5)
    #expect(even.overEncoding?.lookBack == .window)
  }

  @Test(arguments: [
    ("order: 2, slices: 1, rows: 0", "rows"),
    ("order: 3, slices: 3, rows: 100", "shared equally"),
    ("order: 2, slices: 1, rows: 100, row: 5", "unknown key"),
    ("order: 2, slices: 2, rows: 100, moduli: equal", "same order and modulus"),
    ("order: 2, slices: 1, rows: 100, reduction: max", "reduction"),
    ("order: 2, slices: 1, rows: 100, lookBack: never", "lookBack"),
    ("order: 2, slices: 1, rows: 100, normalization: layer", "normalization"),
    ("order: 2, slices: 1, rows: 100, deviation: -1", "deviation"),
  ])
  func rejects(members: String, named: String) throws {
    let error = #expect(throws: UserError.self) { try configuration(members) }
    #expect(error?.description.contains(named) == true, "\(error?.description ?? "")")
  }
}
