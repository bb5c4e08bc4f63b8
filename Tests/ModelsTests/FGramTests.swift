import Engine
import Kernels
import Models
import NGrams
import Parallel
import Support
import Testing

/// A small model with f-grams; the f-gram model has one layer less than the trunk and other heads.
func fGramModel(
  _ kind: any Trunk.Type = GPT2.self, width: Int = 16, heads: Int = 2, longest: Int = 4,
  vocabulary: Int = 14, tied: Bool = false, positions: Bool = true,
  output: FGrams.Output = .scaledNorm, outputs: [any Output] = [],
  tables reduction: OverEncoding.Reduction? = nil
) throws -> ModelConfiguration {
  let trunk = makeTrunk(
    kind, TrunkSize(layers: 2, width: width, heads: heads, context: 40), isSmooth: true)
  let fGrams = FGrams(
    vocabulary: vocabulary, longest: longest, layers: 1, heads: heads / 2, positions: positions,
    output: output, on: trunk)
  let tables = try reduction.map { reduction in
    OverEncodedFGrams(
      fGrams: fGrams,
      overEncoding: OverEncoding(
        layout: try OverEncodingLayout(
          vocabulary: vocabulary, order: 3, slices: 2, rows: 30, width: width, moduli: .coprime),
        reduction: reduction, deviation: 0.3))
  }
  return try ModelConfiguration(
    input: tables ?? fGrams, trunk: trunk,
    outputs: [NextToken(labels: vocabulary, isTied: tied)] + outputs)
}

private let lengths = [5, 17, 1, 20]

private func engine(
  _ model: ModelConfiguration, lanes: Int = 2, threads: Int = 1, precision: Precision = .float32,
  ranks: any Communicator = LocalCommunicator()
) -> TrainingEngine {
  TrainingEngine(
    model, seed: 5, lanes: lanes, laneCapacity: 200, threads: threads, precision: precision,
    ranks: ranks)
}

@Suite struct FGramTests {
  @Test(arguments: allTrunks.indices, FGrams.Output.allCases)
  func gradients(trunk: Int, output: FGrams.Output) throws {
    let kind = allTrunks[trunk]
    let model = try fGramModel(kind, tied: output != .norm, output: output)
    let engine = engine(model)
    let batch = makeLanes(model, lengths: lengths, lanes: 2)
    #expect(batch[1].spaces[0].rows > 20 && batch[1].links[0].contains(RowLink.none))
    try expectGradients(
      of: engine, batch, spread: spread(of: kind), step: kind == OLMoE.self ? 6e-4 : 1.5e-3)
  }

  /// Beside tables of n-grams, whose terms and the f-gram's row are scaled apart.
  @Test(arguments: allTrunks.indices, OverEncoding.Reduction.allCases)
  func gradientsBesideTables(trunk: Int, reduction: OverEncoding.Reduction) throws {
    let kind = allTrunks[trunk]
    let model = try fGramModel(kind, tied: reduction == .mean, tables: reduction)
    let batch = makeLanes(model, lengths: lengths, lanes: 2)
    #expect(batch[0].tables == 6 && batch[1].links[0].contains(RowLink.none))
    try expectGradients(
      of: engine(model), batch, spread: spread(of: kind), step: kind == OLMoE.self ? 6e-4 : 1.5e-3)
  }

  /// With tables of zeros the embedding is that of f-grams alone, and with f-grams of no token that of tables.
  @Test func eachPartIsItsOwn() throws {
    let both = try fGramModel(OLMo2.self, tables: .sum)
    let parameters = both.makeParameters(moments: false)
    parameters.initialize(seed: 3)
    let lanes = makeLanes(both, lengths: [17, 1, 30, 40], lanes: 1)
    func scores(
      _ model: ModelConfiguration, _ store: ParameterStore, _ lane: PackedLane
    ) -> [Float] {
      ScoringEngine(model, parameters: store, laneCapacity: 100, threads: 1)
        .logProbabilities([lane])[0]
    }
    func part(_ input: any Input, tables: Bool, _ row: (Int, Int) -> Int32) throws -> [Float] {
      let model = try ModelConfiguration(input: input, trunk: both.trunk, outputs: both.outputs)
      let store = model.makeParameters(moments: false)
      both.share(parameters, with: store)
      if tables {
        for (own, source) in zip(store.tables, parameters.tables) {
          _ = own.weights.update(fromContentsOf: source.weights)
        }
      }
      var lane = model.makeLane()
      for segment in 0..<lanes[0].segments {
        for n in lanes[0].segmentOffsets[segment]..<lanes[0].segmentOffsets[segment + 1] {
          lane.appendRow(label: lanes[0].labels[n]) { row(n, $0) }
        }
        lane.endSegment()
      }
      return scores(model, store, lane)
    }
    let (input, width) = (try #require(both.input as? OverEncodedFGrams), lanes[0].tables)
    // No f-gram is found.
    var plain = both.makeLane()
    for segment in 0..<lanes[0].segments {
      for n in lanes[0].segmentOffsets[segment]..<lanes[0].segmentOffsets[segment + 1] {
        plain.appendRow(label: 0) { $0 == 1 ? 1 : lanes[0].inputs[n * width + $0] }
      }
      plain.endSegment()
    }
    let tablesAlone = try part(input.overEncoding, tables: true) { n, column in
      lanes[0].inputs[n * width + (column == 0 ? 0 : column + 1)]
    }
    #expect(distance(scores(both, parameters, plain), tablesAlone) < 1e-5)
    for table in parameters.tables {
      table.weights.update(repeating: 0)
    }
    let fGramsAlone = try part(input.fGrams, tables: false) { n, column in
      lanes[0].inputs[n * width + column]
    }
    #expect(distance(scores(both, parameters, lanes[0]), fGramsAlone) < 1e-5)
    #expect(distance(fGramsAlone, tablesAlone) > 1e-2)
  }

  /// Rows of widths that no vector divides, and products by the library.
  @Test(arguments: [(20, 4, GPT2.self), (272, 2, OLMo2.self)] as [(Int, Int, any Trunk.Type)])
  func gradientsOfOtherWidths(width: Int, heads: Int, kind: any Trunk.Type) throws {
    let model = try fGramModel(kind, width: width, heads: heads, output: .norm)
    try expectGradients(
      of: engine(model), makeLanes(model, lengths: lengths, lanes: 2),
      spread: width > 100 ? 0.05 : 0.15, step: 1.5e-3)
  }

  @Test func furtherHeadsReadItsRows() throws {
    for head in [
      MultiTokenChain(labels: 14, weights: [0.5]), MultiToken(labels: 14, weights: [0.5]),
      OverDecoding(labels: 14, weights: [0.5], rank: 5),
    ] as [any Output] {
      let model = try fGramModel(outputs: [head])
      try expectGradients(
        of: engine(model), makeLanes(model, lengths: lengths, lanes: 2), spread: 0.15, step: 1.5e-3)
    }
  }

  /// The embedding by its definition: of every position alone, by the f-gram model as a model of its own.
  @Test(arguments: [GPT2.self, OLMo2.self] as [any Trunk.Type])
  func runsOnceForAllPositions(kind: any Trunk.Type) throws {
    let model = try fGramModel(kind, longest: 3, vocabulary: 2)
    let store = model.makeParameters(moments: false)
    store.initialize(seed: 2)
    let lane = makeLanes(model, lengths: [40], lanes: 1)[0]
    // Of two tokens there are twelve f-grams.
    #expect(lane.links[0].count { $0 != RowLink.none } > lane.spaces[0].segmentOffsets.count + 4)
    let expected = ScoringEngine(model, parameters: store, laneCapacity: 100, threads: 1)
      .logProbabilities([lane])[0]
    // The same with every f-gram apart, as often as it occurs.
    var apart = PackedLane(tables: 2, spaces: [1], links: 1)
    for row in 0..<lane.rows {
      let length = min(Int(lane.inputs[2 * row + 1]), row + 1)
      apart.appendRow(label: lane.labels[row]) { lane.inputs[2 * row + $0] }
      guard length > 1 else {
        apart.links[0].append(RowLink.none)
        continue
      }
      for t in row + 1 - length...row { apart.spaces[0].appendRow { _ in lane.inputs[2 * t] } }
      apart.spaces[0].endSegment()
      apart.links[0].append(Int32(apart.spaces[0].rows - 1))
    }
    apart.endSegment()
    #expect(apart.spaces[0].rows > lane.spaces[0].rows + 20)
    let found = ScoringEngine(model, parameters: store, laneCapacity: 100, threads: 1)
      .logProbabilities([apart])[0]
    #expect(found == expected)
  }

  // MARK: - Bits

  private func weights(
    _ model: ModelConfiguration, lanes: Int, threads: Int = 1, precision: Precision = .float32,
    ranks: any Communicator = LocalCommunicator()
  ) throws -> [Float] {
    let engine = engine(
      model, lanes: lanes, threads: threads, precision: precision, ranks: ranks)
    for step in 0..<4 {
      _ = try engine.step(
        makeLanes(
          model, lengths: [19, 1, 33, 16, 17, 2, 40, 15, 7], lanes: lanes, seed: UInt64(step)),
        learningRate: 1e-2, optimizer: .init())
    }
    return engine.parameters.layout.slots.flatMap { engine.parameters.values($0) }
  }

  @Test(arguments: allTrunks.indices, Precision.allCases.filter(\.isAvailable))
  func threadsAndRanksChangeNoBit(trunk: Int, precision: Precision) throws {
    for model in [
      try fGramModel(allTrunks[trunk], width: 32, tied: true),
      try fGramModel(allTrunks[trunk], width: 32, tables: .normalizedSum),
    ] {
      try expectTheSameBits(model, precision)
    }
  }

  private func expectTheSameBits(_ model: ModelConfiguration, _ precision: Precision) throws {
    for lanes in [1, 4] {
      let expected = try weights(model, lanes: lanes, precision: precision)
      let isFinite = expected.allSatisfy(\.isFinite)
      #expect(isFinite)
      for threads in [2, 4] {
        #expect(
          try weights(model, lanes: lanes, threads: threads, precision: precision) == expected)
      }
      if lanes == 1 { continue }
      let found = try ThreadCommunicator.run(size: 2) {
        try weights(model, lanes: lanes, precision: precision, ranks: $0)
      }
      #expect(found == [expected, expected])
    }
  }

  /// The row of an f-gram does not depend on which others run beside it, nor on how many.
  @Test(arguments: allTrunks.indices, [16, 20, 272])
  func companyChangesNoBitOfARow(trunk: Int, width: Int) throws {
    let model = try fGramModel(allTrunks[trunk], width: width, heads: 2)
    let store = model.makeParameters(moments: false)
    store.initialize(seed: 3)
    var stream = RandomStream(seed: 1, name: "f-grams")
    let fGrams = (0..<37).map { i in (0..<(2 + i % 3)).map { _ in Int32(stream.below(14)) } }
    func rows(_ fGrams: [[Int32]], capacity: Int, threads: Int = 1) -> [[Float]] {
      let engine = FGramEngine(model, parameters: store, capacity: capacity, threads: threads)
      let flat = engine.rows(of: fGrams)
      return fGrams.indices.map { Array(flat[$0 * width..<($0 + 1) * width]) }
    }
    let expected = rows(fGrams, capacity: 100)
    let isFinite = expected.joined().allSatisfy(\.isFinite)
    #expect(isFinite && Set(expected).count == Set(fGrams).count)
    for capacity in [1, 2, 7, 16] {
      #expect(rows(fGrams, capacity: capacity, threads: 3) == expected)
    }
    #expect(rows(fGrams.reversed(), capacity: 100) == expected.reversed())
    #expect(rows([], capacity: 4).isEmpty)
  }

  /// Logits by rows of a store have the bits of those by the model, and generation agrees.
  @Test(
    arguments: allTrunks.indices,
    [(16, true, nil), (272, false, nil), (16, false, OverEncoding.Reduction.mean)])
  func storesChangeNoBit(
    trunk: Int, size: (width: Int, tied: Bool, tables: OverEncoding.Reduction?)
  ) throws {
    let model = try fGramModel(
      allTrunks[trunk], width: size.width, vocabulary: 5, tied: size.tied, tables: size.tables)
    let columns = model.inputColumns
    let parameters = model.makeParameters(moments: false)
    parameters.initialize(seed: 3)
    let lanes = makeLanes(model, lengths: [17, 1, 30, 40], lanes: 2)
    let expected = ScoringEngine(model, parameters: parameters, laneCapacity: 100, threads: 2)
      .logProbabilities(lanes)
    // All runs of 2 to 4 tokens, from the last to the first.
    let fGrams =
      (2...4).flatMap { length in
        (0..<(0..<length).reduce(1) { size, _ in 5 * size }).map { number in
          (0..<length).map { place in
            Int32((0..<place).reduce(number) { rest, _ in rest / 5 } % 5)
          }
        }
      }.reversed() as [[Int32]]
    let stored = model.stored(rows: fGrams.count)
    let store = stored.makeStoredParameters()
    model.fill(store, from: parameters, fGrams: fGrams, threads: 2)
    #expect(store.layout.parameterCount == stored.parameterCount)
    let looked = lanes.map { lane in
      var result = stored.makeLane()
      for segment in 0..<lane.segments {
        let rows = lane.segmentOffsets[segment]..<lane.segmentOffsets[segment + 1]
        for row in rows {
          let length = min(Int(lane.inputs[columns * row + 1]), row + 1 - rows.lowerBound)
          let run = (row + 1 - max(length, 1)...row).map { lane.inputs[columns * $0] }
          let id = length < 2 ? 0 : 1 + (fGrams.firstIndex(of: run) ?? -1)
          result.appendRow(label: lane.labels[row]) {
            $0 == 1 ? Int32(id) : lane.inputs[columns * row + $0]
          }
        }
        result.endSegment()
      }
      return result
    }
    let found = ScoringEngine(stored, parameters: store, laneCapacity: 100, threads: 2)
      .logProbabilities(looked)
    #expect(found == expected)
    let V = model.labels
    let engine = DecodingEngine(stored, parameters: store, capacity: 3)
    engine.reset(sequences: 1)
    for row in 0..<looked[0].segmentOffsets[1] {
      let inputs = Array(looked[0].inputs[columns * row..<columns * (row + 1)])
      engine.step(inputs: inputs, tables: columns) { rows in
        for v in 0..<V { #expect(abs(rows[v] - expected[0][row * V + v]) < 1e-4) }
      }
    }
  }

  // MARK: - What it is

  @Test func namesStartsAndCounts() throws {
    let names = { (model: ModelConfiguration) in model.layout.slots.map(\.name) }
    let gpt2 = try fGramModel()
    #expect(
      names(gpt2).prefix(4) == [
        "transformer.wte.weight", "transformer.wpe.weight", "fgrams.wpe.weight",
        "fgrams.h.0.ln_1.weight",
      ])
    #expect(gpt2.layout.slot(named: "fgrams.wpe.weight")?.shape == [4, 16])
    #expect(gpt2.layout.slot(named: "fgrams.ln_f.weight")?.initializer == .constant(0.02))
    #expect(try !names(fGramModel(output: .none)).contains("fgrams.ln_f.weight"))
    let olmo2 = try fGramModel(OLMo2.self, output: .norm)
    #expect(olmo2.layout.slot(named: "fgrams.wpe.weight")?.shape == [4, 16])
    #expect(olmo2.layout.slot(named: "fgrams.norm.weight")?.initializer == .ones)
    #expect(
      try !names(fGramModel(OLMo2.self, positions: false)).contains("fgrams.wpe.weight"))
    #expect(gpt2.inputColumns == 2 && gpt2.input.columnRows == [14, 5])
  }

  /// Closed forms against the graph, for so many rows of f-grams a position.
  @Test(arguments: allTrunks.indices, FGrams.Output.allCases)
  func closedForms(trunk: Int, output: FGrams.Output) throws {
    let kinds: [(positions: Bool, tables: OverEncoding.Reduction?)] =
      [(true, nil), (true, .sum)] + (allTrunks[trunk] == GPT2.self ? [] : [(false, nil)])
    for (positions, tables) in kinds {
      let model = try fGramModel(
        allTrunks[trunk], positions: positions, output: output, tables: tables)
      let plan = model.plan(.training, rows: 100)
      #expect(plan.layout.parameterCount == model.parameterCount)
      let attention = { (space: RowSpace, position: Double) in
        plan.operations.filter { $0.name.contains("attention") && $0.space == space }
          .reduce(0) { $0 + $1.flops(position: position) }
      }
      let perRow =
        model.forwardFLOPs(perTokenAt: 17, fGramRows: 1)
        - model.forwardFLOPs(perTokenAt: 17, fGramRows: 0)
      let apart = plan.operations.filter { $0.space != .positions }
      let products = apart.flatMap(\.factors).reduce(0) { $0 + $1.count }
      let space = try #require(apart.first).space
      if allTrunks[trunk] != OLMoE.self {
        #expect(perRow == 2 * Double(products) + attention(space, 2.5))
      }
      let saved = { (isApart: Bool) in
        Set(plan.operations.flatMap(\.saved) + plan.losses.map(\.tensor))
          .filter { ($0.space != .positions) == isApart }.reduce(0) { $0 + $1.columns }
      }
      #expect(model.activationBytes(fGramRows: 0) == 4 * saved(false))
      #expect(model.activationBytes(fGramRows: 2) == 4 * (saved(false) + 2 * saved(true)))
    }
  }

  // MARK: - Configuration

  private func configuration(_ fGrams: String, _ architecture: String = "olmo2") throws
    -> ModelConfiguration
  {
    let text = """
      {architecture: \(architecture), layers: 3, width: 16, heads: 2, context: 10, deviation: 0.5,
       inputs: [{order: 1, rows: 9}], labels: 9, fGrams: {\(fGrams)}}
      """
    var reader = try ConfigReader(ConfigValue.parse(yaml: text, source: "model"), source: "model")
    let result = try ModelConfiguration(reader: &reader)
    try reader.finish()
    return result
  }

  @Test func readsTablesBesideIt() throws {
    let both = try configuration(
      "longest: 3, layers: 1}, overEncoding: {order: 2, slices: 1, rows: 7")
    #expect(both.fGrams?.longest == 3 && both.overEncoding?.layout.rows == 7)
    #expect(both.input.columnRows.prefix(2) == [9, 4] && both.inputColumns == 3)
    #expect(try both != configuration("longest: 3, layers: 1"))
    #expect(both.stored(rows: 5).input.columnRows.prefix(2) == [9, 6])
  }

  @Test func readsItsKeys() throws {
    let plain = try #require(try configuration("longest: 5").fGrams)
    #expect(
      plain.model.size == TrunkSize(layers: 3, width: 16, heads: 2, context: 5, deviation: 0.5))
    #expect(plain.positions && plain.output == .none && plain.longest == 5)
    #expect(plain.model.prefix == "fgrams")
    let other = try configuration(
      "longest: 2, layers: 7, heads: 4, positions: false, output: none")
    #expect(other.fGrams?.model.size.layers == 7 && other.fGrams?.model.size.heads == 4)
    #expect(other.fGrams?.positions == false && other.fGrams?.output == FGrams.Output.none)
    #expect(
      try other == configuration("longest: 2, layers: 7, heads: 4, positions: false, output: none"))
    #expect(
      try other != configuration("longest: 2, layers: 6, heads: 4, positions: false, output: none"))
  }

  @Test(arguments: [
    ("longest: 1", "longest: expected an integer in 2...8"), ("longest: 9", "longest"),
    ("layers: 2", "longest"), ("longest: 3, layers: 0", "layers"),
    ("longest: 3, heads: 3", "heads: expected a number that divides 16 columns"),
    ("longest: 3, heads: 16", "expected an even number of columns a head"),
    ("longest: 3, output: sum", "output"), ("longest: 3, width: 8", "width: unknown key"),
    ("longest: 3}, overEncoding: {order: 2, slices: 1, rows: 7, token: false", "token: true"),
    ("longest: 3}, overEncoding: {order: 2, slices: 1, rows: 7, columns: 0", "columns"),
  ])
  func rejects(members: String, named: String) throws {
    let error = #expect(throws: UserError.self) { try configuration(members) }
    #expect(error?.description.contains(named) == true, "\(error?.description ?? "")")
  }

  @Test func learnedPositionsStay() throws {
    let error = #expect(throws: UserError.self) {
      try configuration("longest: 3, positions: false", "gpt2")
    }
    #expect(error?.description.contains("fGrams.positions: expected true") == true)
  }
}
