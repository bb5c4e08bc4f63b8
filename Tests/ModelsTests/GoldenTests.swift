import Engine
import Foundation
import Kernels
import Models
import NGrams
import Support
import Testing

/// A fixture of Tests/Peers/golden.py.
struct Golden: CustomTestStringConvertible {
  let name: String
  let configuration: ModelConfiguration
  let sentences: [(inputs: [[Int32]], labels: [Int32])]
  let losses: [Double]
  /// Of each step, by the name of the loss.
  let furtherLosses: [String: [Double]]
  let norms: [Double]
  let learningRates: [Double]
  /// Of each step the losses of routers, with all sentences in one lane; empty where there are none.
  let balances, routerZ: [Double]
  /// How the tables of over-encoding are updated.
  let tableOptimizer: TableOptimizer
  /// The sentences of each step.
  let batches: [[Int]]
  let arrays: [String: [Float]]

  var testDescription: String { name }

  init(_ name: String) throws {
    self.name = name
    let url = try #require(
      Bundle.module.url(forResource: name, withExtension: "golden", subdirectory: "Fixtures"))
    let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
    var header = try ConfigReader(
      ConfigValue.parse(yaml: String(lines[0]), source: name), source: name)
    var model = try header.object("model")
    configuration = try ModelConfiguration(reader: &model)
    try model.finish()
    sentences = try header.objects("sentences").map { reader in
      var sentence = reader
      guard case .array(let tables)? = sentence.value("inputs") else {
        throw UserError("\(name): the inputs of a sentence are no list")
      }
      let inputs = tables.map { column in
        guard case .array(let ids) = column else { return [Int32]() }
        return ids.compactMap { id -> Int32? in
          guard case .integer(let id) = id else { return nil }
          return Int32(id)
        }
      }
      return (inputs, try sentence.ints("labels").map(Int32.init))
    }
    losses = try header.doubles("losses")
    if var further = try header.optionalObject("furtherLosses") {
      furtherLosses = try Dictionary(
        uniqueKeysWithValues: (configuration.furtherHeads?.labelsAhead ?? []).map {
          ("ahead\($0)", try further.doubles("ahead\($0)"))
        })
      try further.finish()
    } else {
      furtherLosses = [:]
    }
    norms = try header.doubles("norms")
    learningRates = try header.doubles("learningRates")
    balances = try header.doubles("balance", default: [])
    routerZ = try header.doubles("routerZ", default: [])
    if var tables = try header.optionalObject("tables") {
      tableOptimizer = TableOptimizer(
        learningRateMultiplier: try tables.double("learningRateMultiplier"),
        weightDecay: try tables.double("weightDecay"))
    } else {
      tableOptimizer = TableOptimizer()
    }
    if case .array(let lists)? = header.value("batches") {
      batches = lists.map { list in
        guard case .array(let sentences) = list else { return [] }
        return sentences.compactMap { if case .integer(let i) = $0 { i } else { nil } }
      }
    } else {
      batches = Array(repeating: Array(sentences.indices), count: learningRates.count)
    }
    var arrays: [String: [Float]] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: " ")
      let data = try #require(Data(base64Encoded: String(parts[1])))
      arrays[String(parts[0])] = data.withUnsafeBytes { bytes in
        (0..<bytes.count / 4).map {
          Float(
            bitPattern: UInt32(
              littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
        }
      }
    }
    self.arrays = arrays
  }

  func array(_ kind: String, _ name: String) throws -> [Float] {
    try #require(arrays[kind + ":" + name], "the fixture has no \(kind) of \(name)")
  }

  func load(into store: ParameterStore) throws {
    for slot in store.layout.slots {
      let values = try array("weight", slot.name)
      #expect(values.count == slot.count)
      store.withMutableFloats(slot, of: .weights) { _ = $0.update(from: values) }
    }
    for table in store.tables {
      let values = try array("weight", table.slot.name)
      #expect(values.count == table.slot.count)
      _ = table.weights.update(from: values)
    }
  }

  /// The sentences of one step in order, cut into lanes, with the labels of all heads.
  func lanes(_ count: Int, step: Int = 0) -> [PackedLane] {
    lanes(count, step: step, ahead: Array(configuration.labelsAhead.dropFirst()))
  }

  /// The same with the labels of the next token alone, as scoring takes them.
  func scoredLanes(_ count: Int) -> [PackedLane] { lanes(count, step: 0, ahead: []) }

  private func lanes(_ count: Int, step: Int, ahead: [Int]) -> [PackedLane] {
    var lanes = (0..<count).map { _ in
      PackedLane(
        tables: configuration.inputColumns, ahead: ahead,
        longestMatch: configuration.input.textColumns.longestMatch)
    }
    let batch = batches[step]
    for (i, sentence) in batch.enumerated() {
      lanes[i * count / batch.count].append(
        inputs: sentences[sentence].inputs, labels: sentences[sentence].labels)
    }
    return lanes
  }
}

/// All weights of a table, caught up with the steps that its rows missed.
func values(of table: TableStore, in store: ParameterStore) -> [Float] {
  (0..<table.parts).flatMap { part in
    let count = table.rows(ofPart: part).count * table.slot.width
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      let all = UnsafeMutableBufferPointer(start: buffer.baseAddress, count: count)
      table.export(part: part, into: all, store.tableHistory)
      initialized = count
    }
  }
}

/// The gradient of a whole table, zero where no row was used.
private func gradient(ofTable index: Int, of engine: TrainingEngine) -> [Float] {
  dense(engine.tableGradient(index), of: engine.parameters.layout.tables[index])
}

/// A whole table of some of its rows, zero elsewhere.
func dense(_ gradient: (rows: [Int32], values: [Float]), of slot: TableSlot) -> [Float] {
  let (rows, values) = gradient
  var dense = [Float](repeating: 0, count: slot.count)
  for (i, row) in rows.enumerated() {
    for c in 0..<slot.width { dense[Int(row) * slot.width + c] = values[i * slot.width + c] }
  }
  return dense
}

/// Largest |a − b| over largest |b|.
func distance(_ a: [Float], _ b: [Float]) -> Double {
  let scale = b.reduce(0) { max($0, abs(Double($1))) }
  let error = zip(a, b).reduce(0) { max($0, abs(Double($1.0) - Double($1.1))) }
  return a.count == b.count ? error / max(scale, 1e-12) : .infinity
}

/// Both sides round to 24 bits. A sum of n terms errs by up to n·2⁻²⁴ of their size, n is at most 64
/// columns or 62 rows here, and 12 such sums follow each other in the model and again in its
/// gradient: 2·12·64·2⁻²⁴ ≈ 1e-4 of the largest element.
let tolerance = 2.0 * 12 * 64 / Double(1 << 24)

/// GPT-2, OLMo 2 and OLMoE: tied with one table, untied with several, over-encoded with orders up to n and
/// k slices (`…-oe-n-k`), with every kind of further heads, with f-grams.
let fixtures =
  [
    "baseline", "joint", "olmo2", "olmo2-joint", "gpt2-oe-3-2", "gpt2-oe-2-1", "olmo2-oe-3-2",
    "olmo2-oe-2-1", "olmoe", "olmoe-joint", "olmoe-oe-3-2", "gpt2-fgrams", "gpt2-fgrams-none",
    "olmo2-fgrams", "olmo2-fgrams-none",
  ] + headFixtures

/// Those with further heads: over-decoding, MTP, MTP-DS, and MTP-DS over an over-encoded input (`…-ot`).
let headFixtures = ["gpt2", "olmo2"].flatMap { trunk in
  ["od", "od-rank", "mtp", "mtp-own", "mtpds", "mtpds-paper", "ot"].map { "\(trunk)-\($0)" }
}

@Suite struct GoldenTests {
  @Test(arguments: fixtures)
  func scoresAgree(fixture: String) throws {
    let golden = try Golden(fixture)
    let store = golden.configuration.makeParameters(moments: false)
    try golden.load(into: store)
    let engine = ScoringEngine(
      golden.configuration, parameters: store, laneCapacity: 100, threads: 2)
    let expected = try #require(golden.arrays["logProbabilities"])
    for lanes in [1, 3] {
      let rows = engine.logProbabilities(golden.scoredLanes(lanes)).flatMap { $0 }
      #expect(distance(rows, expected) < tolerance)
      let labels = golden.sentences.flatMap(\.labels)
      let picked = labels.enumerated().map {
        rows[$0.offset * golden.configuration.labels + Int($0.element)]
      }
      #expect(engine.labelLogProbabilities(golden.scoredLanes(lanes)).flatMap { $0 } == picked)
    }
  }

  @Test(arguments: fixtures, [1, 2, 4])
  func gradientsAgree(fixture: String, lanes: Int) throws {
    try expectGradients(Golden(fixture), lanes: lanes)
  }

  private func expectGradients(_ golden: Golden, lanes: Int) throws {
    let engine = TrainingEngine(
      golden.configuration, seed: 0, lanes: lanes, laneCapacity: 100, threads: 2)
    try golden.load(into: engine.parameters)
    let statistics = try engine.computeGradients(golden.lanes(lanes))
    #expect(abs(statistics.meanLoss - golden.losses[0]) < tolerance * golden.losses[0])
    #expect(abs(statistics.gradientNorm - golden.norms[0]) < tolerance * golden.norms[0])
    expectFurtherLosses(of: engine, golden, step: 0)
    for slot in engine.parameters.layout.slots {
      let error = distance(engine.gradient(of: slot), try golden.array("gradient", slot.name))
      #expect(error < tolerance, "gradient of \(slot.name): \(error)")
    }
    for (i, table) in engine.parameters.layout.tables.enumerated() {
      let error = distance(
        gradient(ofTable: i, of: engine), try golden.array("gradient", table.name))
      #expect(error < tolerance, "gradient of \(table.name): \(error)")
    }
  }

  /// Rounding the factors of each product errs by 2⁻⁹ of each term.
  @Test(
    .enabled(if: Precision.bfloat16.isAvailable),
    arguments: [
      "baseline", "joint", "olmo2", "olmo2-od", "gpt2-mtp", "gpt2-fgrams", "olmo2-fgrams",
    ],
    [1, 4])
  func roundedGradientsAgree(fixture: String, lanes: Int) throws {
    let golden = try Golden(fixture)
    let engine = TrainingEngine(
      golden.configuration, seed: 0, lanes: lanes, laneCapacity: 100, threads: 2,
      precision: .bfloat16)
    try golden.load(into: engine.parameters)
    let statistics = try engine.computeGradients(golden.lanes(lanes))
    #expect(abs(statistics.meanLoss - golden.losses[0]) < 0x1p-9 * golden.losses[0])
    #expect(abs(statistics.gradientNorm - golden.norms[0]) < 0x1p-7 * golden.norms[0])
    for slot in engine.parameters.layout.slots {
      // The key biases, which softmax cancels, have no gradient but rounding.
      let C = slot.name.hasSuffix("c_attn.bias") ? golden.configuration.width : 0
      var values = engine.gradient(of: slot)
      var expected = try golden.array("gradient", slot.name)
      values.replaceSubrange(C..<2 * C, with: [])
      expected.replaceSubrange(C..<2 * C, with: [])
      let error = distance(values, expected)
      #expect(error < 0x1p-5, "gradient of \(slot.name): \(error)")
    }
    for (i, rate) in golden.learningRates.enumerated() {
      let statistics = try engine.step(golden.lanes(lanes), learningRate: rate, optimizer: .init())
      // Behind the first step the weights differ too.
      let bound = (i == 0 ? 0x1p-7 : 0x1p-6) * golden.losses[i]
      #expect(abs(statistics.meanLoss - golden.losses[i]) < bound, "step \(i)")
    }
  }

  /// Ten steps of AdamW with warm-up, cosine, decay and clipping. Where a gradient is nothing but
  /// rounding, AdamW still moves by the full learning rate: the key biases, which softmax cancels,
  /// are therefore left out, and the others may drift by ten roundings of the direction. The tables of
  /// over-encoding are dense in the fixture: rows that a step does not use move and decay there too.
  @Test(arguments: fixtures, [1, 4])
  func tenStepsAgree(fixture: String, lanes: Int) throws {
    try expectTenSteps(Golden(fixture), lanes: lanes)
  }

  private func expectTenSteps(_ golden: Golden, lanes: Int) throws {
    let engine = TrainingEngine(
      golden.configuration, seed: 0, lanes: lanes, laneCapacity: 100, threads: 2)
    try golden.load(into: engine.parameters)
    for (i, rate) in golden.learningRates.enumerated() {
      let statistics = try engine.step(
        golden.lanes(lanes, step: i), learningRate: rate, optimizer: .init(),
        tableOptimizer: golden.tableOptimizer)
      #expect(
        abs(statistics.meanLoss - golden.losses[i]) < 2 * tolerance * golden.losses[i], "step \(i)")
      #expect(
        abs(statistics.gradientNorm - golden.norms[i]) < 10 * tolerance * golden.norms[i],
        "step \(i)")
      expectFurtherLosses(of: engine, golden, step: i)
      for (name, values) in [("balance", golden.balances), ("router-z", golden.routerZ)]
      where lanes == 1 && !values.isEmpty {
        let number = try #require(engine.plan.losses.firstIndex { $0.name == name })
        let mean = engine.lossSum(number).mean
        #expect(abs(mean - values[i]) < 10 * tolerance * values[i], "step \(i), \(name)")
      }
    }
    let C = golden.configuration.width
    for slot in engine.parameters.layout.slots {
      var values = engine.parameters.values(slot)
      var expected = try golden.array("final", slot.name)
      if slot.name.hasSuffix("c_attn.bias") {
        values.replaceSubrange(C..<2 * C, with: [])
        expected.replaceSubrange(C..<2 * C, with: [])
      }
      let error = distance(values, expected)
      #expect(error < 10 * tolerance, "\(slot.name): \(error)")
    }
    for table in engine.parameters.tables {
      let error = distance(
        values(of: table, in: engine.parameters), try golden.array("final", table.slot.name))
      #expect(error < 10 * tolerance, "\(table.slot.name): \(error)")
    }
  }

  private func expectFurtherLosses(of engine: TrainingEngine, _ golden: Golden, step: Int) {
    let further = engine.plan.losses.dropFirst().filter { $0.name.hasPrefix("ahead") }
    #expect(Set(further.map(\.name)) == Set(golden.furtherLosses.keys))
    for (i, loss) in further.enumerated() {
      let expected = golden.furtherLosses[loss.name]?[step] ?? .nan
      #expect(
        abs(engine.lossSum(i + 1).mean - expected) <= 2 * tolerance * expected,
        "step \(step), \(loss.name)")
    }
  }

  /// The losses of routers and what they add to every gradient, all sentences being one lane.
  @Test func routerLossesAgree() throws {
    let golden = try Golden("olmoe-losses")
    #expect(golden.balances.count == 10 && golden.balances.allSatisfy { $0 > 1 })
    try expectGradients(golden, lanes: 1)
    try expectTenSteps(golden, lanes: 1)
  }

  /// The rows that Algorithm 1 looks up are those of the index map.
  @Test(arguments: fixtures.filter { $0.contains("-oe-") })
  func rowsAgree(fixture: String) throws {
    let golden = try Golden(fixture)
    let layout = try #require(golden.configuration.overEncoding?.layout)
    var history = OverEncodingHistory(OverEncodingMapper(layout))
    for sentence in golden.sentences {
      history.reset()
      for (t, token) in sentence.inputs[0].enumerated() {
        history.push(UInt32(token))
        for i in layout.embedders.indices {
          #expect(sentence.inputs[1 + i][t] == Int32(history.row(of: i)))
        }
      }
    }
  }

  /// Another sentence in the same lane changes no bit of a sentence's log-probabilities.
  @Test(arguments: [16, 20, 64], Architecture.allCases)
  func packingLeaksNothing(width: Int, architecture: Architecture) throws {
    let configuration = try smallConfiguration(architecture, width: width)
    let store = configuration.makeParameters(moments: false)
    store.initialize(seed: 1)
    let engine = ScoringEngine(configuration, parameters: store, laneCapacity: 200, threads: 1)
    let lengths = [17, 16, 1, 31]
    let before = makeLanes(configuration, lengths: lengths, lanes: 1, seed: 1)[0]
    let other = makeLanes(configuration, lengths: lengths, lanes: 1, seed: 2)[0]
    let scores = engine.logProbabilities([before])[0]
    for changed in 0..<lengths.count {
      var lane = PackedLane(tables: configuration.inputs.count)
      for segment in 0..<lengths.count {
        let source = segment == changed ? other : before
        for row in before.segmentOffsets[segment]..<before.segmentOffsets[segment + 1] {
          lane.appendRow(label: 0) { source.inputs[row * source.tables + $0] }
        }
        lane.endSegment()
      }
      let after = engine.logProbabilities([lane])[0]
      for segment in 0..<lengths.count {
        let V = configuration.labels
        let rows = before.segmentOffsets[segment] * V..<before.segmentOffsets[segment + 1] * V
        #expect((scores[rows] == after[rows]) == (segment != changed))
      }
    }
  }
}
