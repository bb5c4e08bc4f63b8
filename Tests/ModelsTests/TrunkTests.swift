import Engine
import Kernels
import Models
import Support
import Testing

/// Every trunk of the product, and one that is none of its.
let allTrunks: [any Trunk.Type] = Architecture.allCases.map(\.trunk) + [ForeignTrunk.self]

/// A trunk from outside of Sources is as good as one of the house.
@Suite struct ForeignTrunkTests {
  private func model(
    width: Int = 20, heads: Int = 5, tied: Bool = false
  ) throws -> ModelConfiguration {
    try ModelConfiguration(
      input: TableSum(
        tied
          ? [InputTable(order: 1, rows: 14)]
          : [InputTable(order: 1, rows: 5), InputTable(order: 3, rows: 41)]),
      trunk: ForeignTrunk(TrunkSize(layers: 2, width: width, heads: heads, context: 40)),
      labels: 14, tied: tied)
  }

  @Test(arguments: [(16, 2, false), (20, 5, true)])
  func gradients(width: Int, heads: Int, tied: Bool) throws {
    let model = try model(width: width, heads: heads, tied: tied)
    let engine = TrainingEngine(model, seed: 5, lanes: 2, laneCapacity: 200, threads: 1)
    try expectGradients(
      of: engine, makeLanes(model, lengths: [5, 17, 1, 20], lanes: 2), spread: 0.15)
  }

  @Test func itLearns() throws {
    let model = try model()
    let engine = TrainingEngine(model, seed: 5, lanes: 2, laneCapacity: 200, threads: 2)
    let batch = makeLanes(model, lengths: [5, 17, 1, 20], lanes: 2)
    let losses = try (0..<30).map { _ in
      try engine.step(batch, learningRate: 1e-2, optimizer: .init()).meanLoss
    }
    #expect(losses[29] < 0.5 * losses[0], "\(losses)")
  }

  @Test(arguments: [(16, 2), (20, 5)])
  func decodingAgreesWithScoring(width: Int, heads: Int) throws {
    try expectDecodingAgrees(model(width: width, heads: heads))
  }

  @Test func itsNamesAreItsOwn() throws {
    let names = try model().layout.slots.map(\.name)
    #expect(
      names.prefix(3) == [
        "foreign.tokens.weight", "foreign.tokens_3.weight", "foreign.0.norm.weight",
      ])
    #expect(names.suffix(2) == ["foreign.last.weight", "lm_head.weight"])
  }

  @Test func modelsAreEqualInAllTheirParts() throws {
    #expect(try model() == model())
    #expect(try model() != model(heads: 4))
    #expect(try model() != model(tied: true))
    let size = TrunkSize(layers: 2, width: 20, heads: 5, context: 40)
    let other = try ModelConfiguration(input: model().input, trunk: GPT2(size), labels: 14)
    #expect(try model() != other)
    var settings = ForeignTrunk.Settings()
    settings.expansion = 2
    let narrow = try ModelConfiguration(
      input: model().input, trunk: ForeignTrunk(size, settings: settings), labels: 14)
    #expect(try model() != narrow)
  }
}

/// So is an input.
@Suite struct ForeignInputTests {
  @Test(arguments: allTrunks.indices, [false, true])
  func gradients(trunk: Int, tied: Bool) throws {
    let kind = allTrunks[trunk]
    let model = try ModelConfiguration(
      input: ForeignInput(vocabulary: 14, columns: 6),
      trunk: makeTrunk(
        kind, TrunkSize(layers: 2, width: 16, heads: 2, context: 40), isSmooth: true), labels: 14,
      tied: tied)
    let names = model.layout.slots.map(\.name)
    #expect(names.contains("\(kind.prefix).narrow.weight"))
    #expect(names.contains("\(kind.prefix).\(kind.tokenTable).weight") == tied)
    let engine = TrainingEngine(model, seed: 5, lanes: 2, laneCapacity: 200, threads: 1)
    try expectGradients(
      of: engine, makeLanes(model, lengths: [5, 17, 1, 20], lanes: 2),
      spread: spread(of: kind), step: 8e-4)
    expectDecodingAgrees(model)
  }
}

/// And an output.
@Suite struct ForeignOutputTests {
  private func model(_ kind: any Trunk.Type, weight: Double = 0.3) throws -> ModelConfiguration {
    try ModelConfiguration(
      input: TableSum([InputTable(order: 1, rows: 14)]),
      trunk: makeTrunk(
        kind, TrunkSize(layers: 2, width: 16, heads: 2, context: 40), isSmooth: true),
      outputs: [NextToken(labels: 14, isTied: true), ForeignOutput(labels: 9, weight: weight)])
  }

  @Test(arguments: allTrunks.indices)
  func gradients(trunk: Int) throws {
    let kind = allTrunks[trunk]
    let model = try model(kind)
    #expect(model.labelColumns == 2)
    let engine = TrainingEngine(model, seed: 5, lanes: 2, laneCapacity: 200, threads: 1)
    let ofRouters = kind == OLMoE.self ? ["balance", "router-z"] : []
    #expect(engine.plan.losses.map(\.name) == ["next", "other label"] + ofRouters)
    let batch = makeLanes(model, lengths: [5, 17, 1, 20], lanes: 2)
    try expectGradients(
      of: engine, batch, spread: spread(of: kind), step: 1.5e-3)
    // Every third row of a sentence has no second label.
    #expect([0, 1].map { engine.lossSum($0).rows } == [43, 43 - 1 - 5 - 6])
  }

  /// What does not train does without the second head, and takes the weights of what does.
  @Test(arguments: allTrunks.indices)
  func onlyTrainingHasTheHead(trunk: Int) throws {
    let model = try model(allTrunks[trunk])
    let name = "other_label.weight"
    #expect(model.layout.slot(named: name) != nil)
    #expect(model.plan(.scoring, rows: 100).layout.slot(named: name) == nil)
    expectDecodingAgrees(model)
  }

  /// With weight 0 the other parameters move as they do without the head.
  @Test func aWeightOfZeroMovesNothing() throws {
    let model = try model(GPT2.self, weight: 0)
    let plain = try ModelConfiguration(
      input: model.input, trunk: model.trunk, outputs: [NextToken(labels: 14, isTied: true)])
    let gradients = try [model, plain].map { model in
      let engine = TrainingEngine(model, seed: 5, lanes: 2, laneCapacity: 200, threads: 1)
      _ = try engine.computeGradients(makeLanes(model, lengths: [5, 17, 1, 20], lanes: 2))
      return plain.layout.slots.map { slot in
        engine.parameters.layout.slot(named: slot.name).map { engine.gradient(of: $0) }
      }
    }
    #expect(gradients[0] == gradients[1])
  }
}

/// A trunk is a value: a second one, of another size, computes the rows that are added to the first
/// one's embedding, as the f-gram model of SCONE does.
@Suite struct TwoTrunksTests {
  private func plan(_ kind: any Trunk.Type, _ mode: GraphMode) -> Plan {
    var g = GraphBuilder(mode: mode)
    let outer = makeTrunk(
      kind, TrunkSize(layers: 2, width: 16, heads: 2, context: 40), isSmooth: true)
    let inner = makeTrunk(
      kind, TrunkSize(layers: 1, width: 24, heads: 3, context: 40), prefix: "fgrams",
      isSmooth: true)
    let tokens = [InputTable(order: 1, rows: 5)]
    let (base, _) = outer.embed(TableSum(tokens), declaring: tokens, in: &g)
    let (rows, _) = inner.embed(TableSum(tokens), declaring: tokens, in: &g)
    let x = g.linear(
      inner(rows, in: &g), to: 16, named: "fgrams.projection", deviation: 0.02, residual: base)
    let hidden = outer.blocks(x, in: &g)
    let next = NextToken(labels: 14)
    next(
      ModelRows(
        trunk: outer, next: next, embedding: x, hidden: hidden,
        normed: outer.norm(hidden, named: nil, in: &g)),
      labelColumn: 0, in: &g)
    return Plan(g, limits: Limits(rows: 200, segment: 40))
  }

  @Test(arguments: allTrunks.indices)
  func namesDoNotClash(trunk: Int) {
    let kind = allTrunks[trunk]
    for mode in [GraphMode.training, .scoring, .decoding(context: 40)] {
      let names = plan(kind, mode).layout.slots.map(\.name)
      #expect(Set(names).count == names.count)
      let inner = names.filter { $0.hasPrefix("fgrams.") }
      let outer = names.filter { $0.hasPrefix(kind.prefix + ".") }
      #expect(inner.count + outer.count == names.count - 1 && names.last == "lm_head.weight")
      // Two layers in one, one in the other.
      #expect(inner.count > 4 && outer.count > inner.count)
    }
  }

  @Test(arguments: allTrunks.indices)
  func gradients(trunk: Int) throws {
    let plan = plan(allTrunks[trunk], .training)
    let parameters = ParameterStore(layout: plan.layout, moments: true)
    parameters.initialize(seed: 4)
    let engine = TrainingEngine(plan: plan, parameters: parameters, lanes: 2, threads: 1)
    let shape = try ModelConfiguration(
      input: TableSum([InputTable(order: 1, rows: 5)]),
      trunk: GPT2(TrunkSize(layers: 1, width: 16, heads: 2, context: 40)), labels: 14)
    try expectGradients(
      of: engine, makeLanes(shape, lengths: [5, 17, 1, 20], lanes: 2),
      spread: spread(of: allTrunks[trunk]), step: 1.5e-3)
  }
}

@Suite struct ClosedFormTests {
  private static let size = TrunkSize(layers: 3, width: 24, heads: 3, context: 40)

  private static var trunks: [any Trunk] {
    allTrunks.map { $0.init(size) } + [
      OLMo2(size, settings: OLMo2.Settings(hiddenWidth: 33)),
      OLMoE(size, settings: OLMoE.Settings(experts: 7, topK: 3, expertWidth: 9)),
      GPT2(TrunkSize(layers: 1, width: 24, heads: 1, context: 7)),
    ]
  }

  private static func inputs() throws -> [any Input] {
    let tokens = InputTable(order: 1, rows: 14)
    return [
      TableSum([tokens]), TableSum([InputTable(order: 3, rows: 41), tokens]),
      ForeignInput(vocabulary: 14, columns: 6),
    ]
      + [
        try overEncoded(width: 24), try overEncoded(width: 24, token: false),
        try overEncoded(width: 24, order: 2, slices: 1, columns: 7),
        try overEncoded(width: 24, normalization: .rms),
      ].map(\.input)
  }

  /// Every trunk with every input and every output against the graph that it traces.
  @Test func everyModelAgainstItsGraph() throws {
    var models = 0
    for trunk in Self.trunks {
      for input in try Self.inputs() {
        for tied in [false, true] where !tied || input.tables.count == 1 {
          let next = NextToken(labels: 14, isTied: tied)
          for others in Self.others {
            try expectClosedForms(
              ModelConfiguration(input: input, trunk: trunk, outputs: [next] + others))
            models += 1
          }
        }
      }
    }
    #expect(models == 7 * 13 * 8)
  }

  /// What can stand behind the next token.
  private static let others: [[any Output]] = [
    [], [ForeignOutput(labels: 9, weight: 0.5)],
    [OverDecoding(labels: 14, weights: [1, 1, 1])],
    [OverDecoding(labels: 14, weights: [0.5], rank: 5)],
    [MultiToken(labels: 14, weights: [0.5, 0])],
    [MultiToken(labels: 14, weights: [0.5, 1], norm: .own)],
    [MultiTokenChain(labels: 14, weights: [0.5, 1, 1])],
    [
      MultiTokenChain(
        labels: 14, weights: [0.5], order: .hiddenFirst, hidden: .beforeNorm, norm: .shared)
    ],
  ]

  private func expectClosedForms(_ model: ModelConfiguration) {
    let name = "\(model.trunk) \(model.input) \(model.outputs)"
    let plan = model.plan(.training, rows: 100)
    #expect(plan.layout.parameterCount == model.parameterCount, "\(name)")
    #expect(
      plan.layout.tables.reduce(0) { $0 + $1.count } == model.tableParameterCount, "\(name)")
    #expect(
      plan.layout.slots.reduce(0) { $0 + $1.count } == model.denseParameterCount, "\(name)")

    // A shared factor counts in each product.
    let factors = factorsOfARow(model, plan)
    #expect(2 * Double(factors) == model.productFLOPs, "\(name)")
    let idle =
      plan.operations.flatMap(\.factors).reduce(0) { $0 + $1.count } + routers(plan) - factors
    #expect(model.activeParameterCount == model.parameterCount - idle, "\(name)")
    let length = 17
    let attention = plan.operations.filter { $0.name.contains("attention") }
      .reduce(0) { $0 + $1.flops(position: Double(length + 1) / 2) }
    #expect(
      attention + 2 * Double(factors) == model.forwardFLOPs(perTokenAt: length), "\(name)")
    #expect(
      model.trainingFLOPs(perTokenAt: length) == 3 * model.forwardFLOPs(perTokenAt: length))

    // Of the parts that run one after another the largest, but for the losses, which all stay.
    let losses = plan.losses.map(\.tensor)
    func saved(_ operations: some Sequence<any Operation>, but other: Set<Tensor>) -> Int {
      Set(operations.flatMap(\.saved)).subtracting(other).reduce(0) { $0 + $1.columns }
    }
    let postponed = Set(plan.postponed.flatMap(\.self))
    let always = plan.operations.indices.filter { !postponed.contains($0) }
      .map { plan.operations[$0] }
    let kept = Set(always.flatMap(\.saved)).union(losses)
    let saved =
      kept.reduce(0) { $0 + $1.columns }
      + (plan.postponed.map { saved(plan.operations[$0], but: kept) }.max() ?? 0)
    #expect(4 * saved == model.activationBytes, "\(name)")
    #expect(CPUProgram(plan).arenaCount >= saved * 100)

    let caches = model.plan(.decoding(context: 40), rows: 100).operations
      .filter { $0.name == "cached attention" }
    #expect(
      caches.reduce(0) { $0 + 8 * $1.outputs[0].columns } == model.cacheBytes, "\(name)")
  }

  /// Weights of products that a row meets: of experts, those that it goes to.
  private func factorsOfARow(_ model: ModelConfiguration, _ plan: Plan) -> Int {
    plan.operations.reduce(routers(plan)) { sum, operation in
      let count = operation.factors.reduce(0) { $0 + $1.count }
      guard let trunk = model.trunk as? OLMoE, operation.name.contains("experts") else {
        return sum + count
      }
      return sum + count / trunk.settings.experts * trunk.settings.topK
    }
  }

  /// Weights of routers, which are never rounded.
  private func routers(_ plan: Plan) -> Int {
    plan.operations.filter { $0.name.contains("router of") }.flatMap(\.parameters)
      .reduce(0) { $0 + $1.count }
  }

  @Test func namedModels() throws {
    let large = try ModelConfiguration(
      input: TableSum([InputTable(order: 1, rows: 5)]),
      trunk: GPT2(TrunkSize(layers: 12, width: 768, heads: 12, context: 768)), labels: 5)
    #expect(
      large.parameterCount == (5 + 768 + 5) * 768 + 12 * (12 * 768 * 768 + 13 * 768) + 1_536)
    // The released 7B model, as transformers counts it.
    let released = try ModelConfiguration(
      input: TableSum([InputTable(order: 1, rows: 100_352)]),
      trunk: OLMo2(
        TrunkSize(layers: 32, width: 4096, heads: 32, context: 4096),
        settings: OLMo2.Settings(hiddenWidth: 11_008)),
      labels: 100_352)
    #expect(released.parameterCount == 7_298_617_344)
    // OLMoE-1B-7B-0924, as transformers counts it, and what a row meets of it.
    let mixture = try ModelConfiguration(
      input: TableSum([InputTable(order: 1, rows: 50_304)]),
      trunk: OLMoE(TrunkSize(layers: 16, width: 2048, heads: 16, context: 4096)), labels: 50_304)
    #expect(mixture.parameterCount == 6_919_161_856)
    #expect(mixture.activeParameterCount == 6_919_161_856 - 16 * 56 * 3 * 2048 * 1024)
  }

  @Test(arguments: [(64, 176), (128, 352), (48, 128), (1, 16), (4096, 10_928)])
  func hiddenWidthOfOLMo2(width: Int, hidden: Int) {
    let size = TrunkSize(layers: 1, width: width, heads: 1, context: 4)
    #expect(OLMo2(size).hiddenWidth == hidden)
    #expect(OLMo2(size, settings: OLMo2.Settings(hiddenWidth: 33)).hiddenWidth == 33)
  }

  @Test(arguments: [(64, 32), (128, 64), (48, 32), (1, 16), (2048, 1024)])
  func expertWidthOfOLMoE(width: Int, expert: Int) {
    let size = TrunkSize(layers: 1, width: width, heads: 1, context: 4)
    #expect(OLMoE(size).expertWidth == expert)
    #expect(
      OLMoE(size, settings: OLMoE.Settings(experts: 2, topK: 1, expertWidth: 33)).expertWidth == 33)
  }

  @Test(arguments: Architecture.allCases)
  func costsOfThePlan(architecture: Architecture) throws {
    let configuration = try smallConfiguration(architecture, width: 64, heads: 4)
    let plan = configuration.plan(.training, rows: 200)
    let closed = configuration.forwardFLOPs(perTokenAt: 30) * 30
    // The plan counts norms, activations and softmax as well.
    #expect(plan.forwardFLOPs(sentence: 30) > closed)
    #expect(plan.forwardFLOPs(sentence: 30) < 1.15 * closed)
    #expect(plan.description.contains("causal attention"))
    let scoring = configuration.plan(.scoring, rows: 200)
    #expect(CPUProgram(scoring).arenaCount < CPUProgram(plan).arenaCount / 2)
  }
}
