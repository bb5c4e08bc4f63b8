import Engine
import Kernels
import Models
import Parallel
import Support
import Testing

/// Every kind of further heads, with the options that change its graph.
func furtherHeads(labels: Int = 14) -> [any FurtherHeads] {
  [
    OverDecoding(labels: labels, weights: [0.5, 0.25]),
    OverDecoding(labels: labels, weights: [0.5], rank: 5),
    MultiToken(labels: labels, weights: [0.5, 1]),
    MultiToken(labels: labels, weights: [0.5], norm: .own),
    MultiTokenChain(labels: labels, weights: [0.5, 1, 0.3]),
    MultiTokenChain(
      labels: labels, weights: [0.5, 0.2], order: .hiddenFirst, hidden: .beforeNorm, norm: .shared),
  ]
}

/// A model with further heads, over the token or over-encoded.
func furtherModel(
  _ kind: any Trunk.Type, _ heads: any Output, isOverEncoded: Bool = false, tied: Bool = false,
  width: Int = 16, attentionHeads: Int = 2, isSmooth: Bool = false
) throws -> ModelConfiguration {
  try ModelConfiguration(
    input: isOverEncoded
      ? overEncoded(width: width, rows: 30).input : TableSum([InputTable(order: 1, rows: 14)]),
    trunk: makeTrunk(
      kind, TrunkSize(layers: 1, width: width, heads: attentionHeads, context: 40),
      isSmooth: isSmooth),
    outputs: [NextToken(labels: 14, isTied: tied), heads])
}

@Suite struct FurtherHeadsTests {
  private let lengths = [5, 17, 1, 20, 2, 3]

  @Test(arguments: allTrunks.indices, furtherHeads().indices)
  func gradients(trunk: Int, heads: Int) throws {
    let kind = allTrunks[trunk]
    let model = try furtherModel(
      kind, furtherHeads()[heads], isOverEncoded: heads % 2 == 0, tied: heads % 3 == 2,
      isSmooth: true)
    let engine = TrainingEngine(model, seed: 5, lanes: 2, laneCapacity: 200, threads: 1)
    try expectGradients(
      of: engine, makeLanes(model, lengths: lengths, lanes: 2),
      spread: spread(of: kind), step: kind == OLMoE.self ? 8e-4 : 1.5e-3)
  }

  /// A label i ahead is there for all but the last i − 1 rows of a sentence.
  @Test(arguments: furtherHeads().indices)
  func rowsThatCount(heads: Int) throws {
    let heads = furtherHeads()[heads]
    let model = try furtherModel(GPT2.self, heads)
    #expect(model.labelsAhead == [1] + heads.labelsAhead)
    let engine = TrainingEngine(model, seed: 5, lanes: 2, laneCapacity: 200, threads: 1)
    #expect(
      engine.plan.losses.map(\.name) == ["next"] + heads.labelsAhead.map { "ahead\($0)" })
    _ = try engine.computeGradients(makeLanes(model, lengths: lengths, lanes: 2))
    for (i, ahead) in model.labelsAhead.enumerated() {
      #expect(
        engine.lossSum(i).rows == lengths.reduce(0) { $0 + max(0, $1 - ahead + 1) })
    }
  }

  /// Same bits for any number of threads and ranks, in both precisions.
  @Test(arguments: furtherHeads().indices, [GPT2.self, OLMo2.self, OLMoE.self] as [any Trunk.Type])
  func threadsAndRanksChangeNoBit(heads: Int, kind: any Trunk.Type) throws {
    let model = try furtherModel(
      kind, furtherHeads()[heads], isOverEncoded: heads % 2 == 1, width: 32)
    let lengths = [19, 1, 33, 16, 17, 2, 40, 15, 7]
    @Sendable func train(
      _ threads: Int, _ precision: Precision, _ ranks: any Communicator
    ) throws -> ParameterStore {
      let engine = TrainingEngine(
        model, seed: 3, lanes: 4, laneCapacity: 300, threads: threads, precision: precision,
        ranks: ranks)
      for step in 0..<3 {
        _ = try engine.step(
          makeLanes(model, lengths: lengths, lanes: 4, seed: UInt64(step)), learningRate: 1e-2,
          optimizer: .init())
      }
      return engine.parameters
    }
    // Of ranks each has all dense weights and a part of the rows of tables.
    func weights(_ threads: Int, _ precision: Precision, ranks: Int = 1) throws -> [[Float]] {
      let stores = try ThreadCommunicator.run(size: ranks) { try train(threads, precision, $0) }
      let tables = stores[0].tables.indices.flatMap { t in
        (0..<stores[0].tables[t].slot.rows).flatMap { row in
          let (table, width) = (stores[row % ranks].tables[t], stores[0].tables[t].slot.width)
          return table.weights[(row / ranks * width)..<((row / ranks + 1) * width)]
        }
      }
      return stores.map { store in store.layout.slots.flatMap { store.values($0) } + tables }
    }
    for precision in [Precision.float32, .bfloat16] where precision.isAvailable {
      let one = try weights(1, precision)[0]
      let isFinite = one.allSatisfy { $0.isFinite }
      #expect(isFinite)
      for threads in [2, 4] { #expect(try weights(threads, precision) == [one]) }
      for ranks in [2, 4] {
        for rank in try weights(2, precision, ranks: ranks) { #expect(rank == one) }
      }
    }
  }

  /// Nothing of one sentence reaches the losses of another: they are what they are alone.
  @Test(arguments: furtherHeads().indices, [false, true])
  func sentencesDoNotSeeEachOther(heads: Int, isOverEncoded: Bool) throws {
    let model = try furtherModel(
      OLMo2.self, furtherHeads()[heads], isOverEncoded: isOverEncoded)
    let engine = TrainingEngine(model, seed: 5, lanes: 1, laneCapacity: 200, threads: 1)
    func lossSums(_ sentences: [Int]) throws -> [Double] {
      var lane = PackedLane(
        tables: model.inputColumns, ahead: Array(model.labelsAhead.dropFirst()))
      for sentence in sentences {
        for t in 0..<lengths[sentence] {
          lane.appendRow(label: Int32((t * t + sentence) % 14)) {
            Int32((3 * t + 5 * sentence + $0) % 14)
          }
        }
        lane.endSegment()
      }
      _ = try engine.computeGradients([lane])
      return engine.plan.losses.indices.map { engine.lossSum($0).sum }
    }
    let alone = try lengths.indices.map { try lossSums([$0]) }
    for order in [[0, 1, 2, 3, 4, 5], [5, 3, 4, 1, 0, 2]] {
      for (loss, sum) in try lossSums(order).enumerated() {
        let expected = alone.reduce(0) { $0 + $1[loss] }
        #expect(abs(sum - expected) < 1e-5 * max(1, expected))
      }
    }
  }

  /// With weights of zero everything else moves as it does without the heads.
  @Test(arguments: furtherHeads().indices)
  func weightsOfZeroMoveNothing(heads: Int) throws {
    let heads: any Output =
      switch furtherHeads()[heads] {
      case let kind as OverDecoding: OverDecoding(labels: 14, weights: [0], rank: kind.rank)
      case let kind as MultiToken: MultiToken(labels: 14, weights: [0], norm: kind.norm)
      default: MultiTokenChain(labels: 14, weights: [0])
      }
    let model = try furtherModel(GPT2.self, heads)
    let plain = model.scored
    let gradients = try [model, plain].map { model in
      let engine = TrainingEngine(model, seed: 5, lanes: 2, laneCapacity: 200, threads: 1)
      _ = try engine.computeGradients(makeLanes(model, lengths: lengths, lanes: 2))
      return plain.layout.slots.map { slot in
        engine.parameters.layout.slot(named: slot.name).map { engine.gradient(of: $0) }
      }
    }
    #expect(gradients[0] == gradients[1])
  }

  /// What does not train does without the heads, and takes the weights of what does.
  @Test(arguments: furtherHeads().indices)
  func onlyTrainingHasTheHeads(heads: Int) throws {
    let model = try furtherModel(GPT2.self, furtherHeads()[heads], tied: heads % 2 == 0)
    let own = Set(model.layout.slots.map(\.name)).subtracting(model.scored.layout.slots.map(\.name))
    #expect(!own.isEmpty)
    #expect(own.allSatisfy { $0.hasPrefix("over_decoding.") || $0.hasPrefix("mtp") })
    #expect(model.plan(.scoring, rows: 50).layout == model.scored.plan(.scoring, rows: 50).layout)
    expectDecodingAgrees(model)
  }

  /// Planned bytes of a lane: heads side by side take the room of one, the gradient of the row that they
  /// all read, and a loss each; a chain of heads is as deep as it is long.
  @Test func memoryDoesNotGrowWithHeadsSideBySide() throws {
    let rows = 512
    func columns(_ heads: (any Output)?) throws -> Double {
      let model = try ModelConfiguration(
        input: TableSum([InputTable(order: 1, rows: 4096)]),
        trunk: OLMo2(TrunkSize(layers: 4, width: 64, heads: 4, context: 128)),
        outputs: [NextToken(labels: 4096)] + (heads.map { [$0] } ?? []))
      return Double(CPUProgram(model.plan(.training, rows: rows)).arenaCount) / Double(rows)
    }
    func weights(_ n: Int) -> [Double] { Array(repeating: 1, count: n - 1) }
    let plain = try columns(nil)
    for n in [2, 4, 8] {
      // The tables of over-decoding leave a loss.
      #expect(
        try columns(OverDecoding(labels: 4096, weights: weights(n))) <= plain + Double(n - 1))
      let ranked = try columns(OverDecoding(labels: 4096, weights: weights(n), rank: 32))
      #expect(ranked <= plain + Double(32 + n - 1))
    }
    let block = try columns(MultiToken(labels: 4096, weights: weights(2)))
    for n in [4, 8] {
      let more = try columns(MultiToken(labels: 4096, weights: weights(n)))
      #expect(more <= block + Double(64 + n - 2))
    }
    let chain = try [2, 4, 8].map {
      try columns(MultiTokenChain(labels: 4096, weights: weights($0)))
    }
    let depth = (chain[2] - chain[1]) / 4
    #expect(abs((chain[1] - chain[0]) / 2 - depth) < 0.1 * depth)
    // What the backward pass reads, and the gradient of a row; far from the 4,096 logits of a row.
    let trunk = OLMo2(TrunkSize(layers: 4, width: 64, heads: 4, context: 128))
    let saved = MultiTokenChain(labels: 4096, weights: [1]).savedColumns(on: trunk)
    #expect(depth <= Double(saved + 2 * 64), "\(depth) for \(saved)")
  }

  // MARK: - Configuration

  private func configuration(_ heads: String, context: Int = 10) throws -> ModelConfiguration {
    let text =
      "{architecture: olmo2, layers: 1, width: 16, heads: 2, context: \(context), "
      + "inputs: [{order: 1, rows: 9}], labels: 9, \(heads)}"
    var reader = try ConfigReader(ConfigValue.parse(yaml: text, source: "model"), source: "model")
    let result = try ModelConfiguration(reader: &reader)
    try reader.finish()
    return result
  }

  @Test func keys() throws {
    let od = try configuration("overDecoding: {heads: 3, weights: [0.5, 1], rank: 4}")
    #expect(
      od.furtherHeads as? OverDecoding == OverDecoding(labels: 9, weights: [0.5, 1], rank: 4))
    let mtp = try configuration("mtp: {heads: 2, weights: [1]}")
    #expect(mtp.furtherHeads as? MultiToken == MultiToken(labels: 9, weights: [1]))
    let chain = try configuration(
      "mtpDS: {heads: 2, weights: [0.1], order: hiddenFirst, hidden: beforeNorm, norm: shared}")
    #expect(
      chain.furtherHeads as? MultiTokenChain
        == MultiTokenChain(
          labels: 9, weights: [0.1], order: .hiddenFirst, hidden: .beforeNorm, norm: .shared))
    #expect(try configuration("tied: false").furtherHeads == nil)
    #expect(od != mtp)
  }

  @Test(arguments: [
    ("overDecoding: {heads: 3, weights: [1]}", "weights"),
    ("overDecoding: {heads: 2, weights: [1, 1]}", "weights"),
    ("mtp: {heads: 2, weights: [-1]}", "weights"),
    ("mtp: {heads: 1, weights: []}", "heads"),
    ("mtp: {heads: 11, weights: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]}", "context"),
    ("mtp: {heads: 2, weights: [1], rank: 3}", "rank"),
    ("mtp: {heads: 2, weights: [1], norm: none}", "norm"),
    ("mtpDS: {heads: 2, weights: [1], order: last}", "order"),
    ("mtpDS: {heads: 2, weights: [1], hidden: both}", "hidden"),
    ("mtpDS: {weights: [1]}", "heads"),
    ("overDecoding: {heads: 2, weights: [1], rank: 17}", "rank"),
    ("overDecoding: {heads: 2, weights: [1]}, mtp: {heads: 2, weights: [1]}", "one kind"),
  ])
  func whatIsRefused(heads: String, named: String) {
    let error = #expect(throws: UserError.self) { try configuration(heads) }
    #expect(error?.description.contains(named) == true, "\(error?.description ?? "")")
  }

  /// As far as the context reaches.
  @Test func theFurthestHead() throws {
    let weights = Array(repeating: "1", count: 9).joined(separator: ", ")
    let model = try configuration("mtp: {heads: 10, weights: [\(weights)]}")
    #expect(model.furtherHeads?.furthest == 10)
  }
}
