import Engine
import Models
import Support
import Testing
import Torch

private let gpt2 =
  "{architecture: gpt2, layers: 2, width: 24, heads: 3, context: 19, deviation: 0.3"
private let olmo2 =
  "{architecture: olmo2, layers: 2, width: 24, heads: 3, context: 19, deviation: 0.3"
private let olmoe =
  "{architecture: olmoe, layers: 2, width: 24, heads: 3, context: 19, deviation: 0.3"
private let encoded =
  ", overEncoding: {order: 3, slices: 2, rows: 37, deviation: 0.3}"
private let experts = ", experts: 5, topK: 2, expertWidth: 16"

/// Models by the keys of their configurations, every operation of a trunk, an input and the head among them.
let models: [(String, String)] = [
  ("gpt2", gpt2 + ", labels: 11, inputs: [{order: 1, rows: 11}]}"),
  ("gpt2 tied", gpt2 + ", tied: true, labels: 11, inputs: [{order: 1, rows: 11}]}"),
  (
    "gpt2 of three tables",
    gpt2
      + ", labels: 30, inputs: [{order: 1, rows: 11}, {order: 2, rows: 90}, {order: 3, rows: 200}]}"
  ),
  ("gpt2 over-encoded", gpt2 + encoded + ", labels: 11, inputs: [{order: 1, rows: 11}]}"),
  ("olmo2", olmo2 + ", labels: 11, inputs: [{order: 1, rows: 11}]}"),
  ("olmo2 over-encoded", olmo2 + encoded + ", labels: 11, inputs: [{order: 1, rows: 11}]}"),
  (
    "olmoe",
    olmoe + experts + ", balanceLoss: 0.5, zLoss: 0.3"
      + ", labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
  (
    "olmoe, weights of sum 1",
    olmoe + experts + ", normalizeTopK: true"
      + ", labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
  (
    "gpt2 of two heads",
    gpt2 + ", overDecoding: {heads: 3, weights: [0.5, 0.2], rank: 8}"
      + ", labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
  (
    "olmo2 of a chain of heads",
    olmo2 + ", mtpDS: {heads: 3, weights: [0.5, 0.2]}"
      + ", labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
  (
    "gpt2 of heads side by side",
    gpt2 + ", mtp: {heads: 3, weights: [0.5, 0.2]}"
      + ", labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
  (
    "gpt2 with f-grams",
    gpt2
      + ", fGrams: {longest: 3, layers: 1, heads: 3}, labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
  (
    "olmo2 with f-grams, tied",
    olmo2 + ", tied: true, fGrams: {longest: 4, layers: 1, heads: 2, output: scaledNorm}"
      + ", labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
  (
    "olmo2 with f-grams and tables",
    olmo2 + ", fGrams: {longest: 3, layers: 1}"
      + ", overEncoding: {order: 2, slices: 2, rows: 37, reduction: mean}"
      + ", labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
  (
    "gpt2 over-encoded, normalized",
    gpt2
      + ", overEncoding: {order: 2, slices: 1, rows: 37, normalization: rms, reduction: normalizedSum}"
      + ", labels: 11, inputs: [{order: 1, rows: 11}]}"
  ),
]

@Suite(.enabled(if: torch != nil, needsTorch), .serialized)
struct ExecutorTests {
  /// Sentences of every length from 1 to the context, of one length alone, of two.
  private static let lengths = [
    Array(1...19), Array(repeating: 7, count: 6), [1], [19, 1], [8, 7, 8, 7, 3],
  ]

  @Test(arguments: models.map(\.0))
  func gradientsAgree(name: String) throws {
    let model = try model(try #require(models.first { $0.0 == name }).1)
    for (i, lengths) in Self.lengths.enumerated() {
      let lanes = randomLanes(model, 4, lengths: lengths, seed: UInt64(i))
      if lanes.allSatisfy({ $0.labelledRows() == 0 }) { continue }
      let pair = try Pair(model, lanes: 4, rows: 190, #require(torch))
      try pair.expectGradients(lanes, within: 1e-5, "\(name), \(lengths)")
    }
  }

  /// Attention by products and softmax, the twin of the operators that have it whole.
  @Test(arguments: ["gpt2", "olmo2 with f-grams, tied"])
  func attentionByProductsAgrees(name: String) throws {
    let model = try model(try #require(models.first { $0.0 == name }).1)
    for (i, lengths) in Self.lengths.enumerated() {
      let lanes = randomLanes(model, 4, lengths: lengths, seed: UInt64(i))
      if lanes.allSatisfy({ $0.labelledRows() == 0 }) { continue }
      let pair = try Pair(model, lanes: 4, rows: 190, attention: .products, #require(torch))
      try pair.expectGradients(lanes, within: 1e-5, "\(name), \(lengths)")
    }
  }

  @Test(arguments: models.map(\.0))
  func tenStepsAgree(name: String) throws {
    let model = try model(try #require(models.first { $0.0 == name }).1)
    let pair = try Pair(model, lanes: 2, rows: 190, #require(torch))
    for step in 1...10 {
      let lanes = randomLanes(model, 2, lengths: [5, 12, 19, 3, 3, 1], seed: UInt64(step))
      try pair.step(
        lanes, rate: 3e-3 / Double(step), clip: step == 4 ? 1e9 : 0.5, within: 1e-5, name)
    }
    try pair.expectWeights(within: 2e-4, name)
  }

  @Test(arguments: models.map(\.0))
  func roundedFactorsAgree(name: String) throws {
    let model = try model(try #require(models.first { $0.0 == name }).1)
    let lanes = randomLanes(model, 2, lengths: [5, 12, 19, 3, 3, 1], seed: 3)
    let library = try #require(torch)
    // The CPU in single precision: the device rounds results of products too.
    let exact = try Pair(model, lanes: 2, rows: 190, library)
    let rounded = try Pair(model, lanes: 2, rows: 190, library)
    let plan = model.plan(.training, rows: 190, precision: .bfloat16)
    let device = try DeviceTrainingEngine(
      plan: plan, parameters: rounded.device.parameters, lanes: 2, library, source: "test")
    let expected = try exact.cpu.computeGradients(lanes)
    let found = try device.computeGradients(lanes)
    #expect(abs(found.lossSum / expected.lossSum - 1) < 1e-2)
    #expect(abs(found.gradientNorm / expected.gradientNorm - 1) < 3e-2)
    for slot in plan.layout.slots {
      let d = distance(try device.gradient(of: slot), exact.cpu.gradient(of: slot))
      #expect(d > 0 && d < 0.1, "\(slot.name): \(d)")
    }
  }

  /// Central differences at an element of every slot.
  @Test(arguments: models.map(\.0))
  func gradientsAreDifferences(name: String) throws {
    let model = try model(try #require(models.first { $0.0 == name }).1)
    let engine = try Pair(model, lanes: 2, rows: 190, #require(torch)).device
    let lanes = randomLanes(model, 2, lengths: [5, 12, 3, 1], seed: 8)
    func objective() throws -> Double {
      try engine.loadParameters()
      _ = try engine.computeGradients(lanes)
      return engine.plan.losses.indices.reduce(0) {
        $0 + engine.plan.losses[$1].weight * engine.lossSum($1).mean
      }
    }
    _ = try objective()
    let store = engine.parameters
    let gradients = try store.layout.slots.map { try engine.gradient(of: $0) }
    let h = Float(0x1p-8)
    for (slot, gradient) in zip(store.layout.slots, gradients) {
      var stream = RandomStream(seed: 1, name: slot.name)
      let i = Int(stream.below(UInt32(slot.count)))
      let original = store.values(slot)[i]
      func at(_ value: Float) throws -> Double {
        store.withMutableFloats(slot, of: .weights) { $0[i] = value }
        return try objective()
      }
      let difference = try (at(original + h) - at(original - h)) / Double(2 * h)
      _ = try at(original)
      #expect(
        abs(difference - Double(gradient[i])) < 2e-3 + 2e-2 * abs(difference),
        "\(slot.name)[\(i)]: \(gradient[i]) for \(difference)")
    }
  }

  /// Rows that many steps went by: their replay is what the CPU's is.
  @Test(arguments: [0, 0.1], [TableMoments.float32, .bfloat16])
  func missedStepsAgree(decay: Double, moments: TableMoments) throws {
    let model = try model(try #require(models.first { $0.0 == "gpt2 over-encoded" }).1)
    let pair = try Pair(model, lanes: 1, rows: 40, moments: moments, #require(torch))
    for step in 1...360 {
      // Between the first steps and the last the batches use few rows.
      let seed = step < 4 || step > 355 ? UInt64(step) : 1000 + UInt64(step % 2)
      let lanes = randomLanes(model, 1, lengths: [step < 4 || step > 355 ? 12 : 1], seed: seed)
      if lanes[0].labelledRows() == 0 { continue }
      try pair.step(
        lanes, rate: 1e-3, decay: decay, within: moments == .float32 ? 1e-4 : 1e-2, "decay \(decay)"
      )
    }
    try pair.expectWeights(within: moments == .float32 ? 2e-3 : 2e-2, "decay \(decay)")
  }

  @Test func sameBitsTwiceAndAfterAnInterruption() throws {
    let model = try model(try #require(models.first { $0.0 == "gpt2 over-encoded" }).1)
    let library = try #require(torch)
    func run(interrupted: Int?) throws -> [[Float]] {
      var engine = try Pair(model, lanes: 2, rows: 190, library).device
      for step in 1...6 {
        if step == interrupted {
          try engine.saveParameters()
          let next = try Pair(model, lanes: 2, rows: 190, library).device
          copyState(from: engine.parameters, to: next.parameters)
          try next.loadParameters()
          next.step = engine.step
          engine = next
        }
        _ = try engine.step(
          randomLanes(model, 2, lengths: [5, 12, 19, 3], seed: UInt64(step)), learningRate: 1e-2,
          optimizer: OptimizerConstants(), tableOptimizer: TableOptimizer())
      }
      try engine.saveParameters()
      return engine.parameters.layout.slots.map { engine.parameters.values($0) }
        + engine.parameters.tables.map { exported($0, engine.parameters) }
    }
    let once = try run(interrupted: nil)
    #expect(try run(interrupted: nil) == once)
    #expect(try run(interrupted: 4) == once)
  }

  /// Tables in this machine's memory, with batches that are known beforehand and ones that are not, that
  /// share rows or none, and without gradients: the bits of tables on the device.
  @Test(arguments: [TableMoments.float32, .bfloat16], [1, 3])
  func tablesMayLieElsewhere(moments: TableMoments, threads: Int) throws {
    let model = try model(try #require(models.first { $0.0 == "gpt2 over-encoded" }).1)
    let library = try #require(torch)
    func run(_ memory: DeviceTablePlace, foresight: (Int) -> Int?) throws -> [[Float]] {
      let make = {
        try Pair(
          model, lanes: 2, rows: 190, moments: moments, tables: memory, threads: threads, library
        ).device
      }
      var engine = try make()
      #expect(engine.tableMemory == memory)
      let batch = { (step: Int) in
        randomLanes(
          model, 2, lengths: step % 5 == 0 ? [1] : [5, 12, 19, 3, step], seed: UInt64(step / 2))
      }
      for step in 1...12 {
        if step == 7 {
          try engine.saveParameters()
          let next = try make()
          copyState(from: engine.parameters, to: next.parameters)
          try next.loadParameters()
          next.step = engine.step
          engine = next
        }
        _ = try engine.step(
          batch(step), learningRate: 1e-2, optimizer: OptimizerConstants(),
          tableOptimizer: TableOptimizer(weightDecay: 0.1), ahead: { foresight(step).map(batch) })
      }
      try engine.saveParameters()
      return engine.parameters.layout.slots.map { engine.parameters.values($0) }
        + engine.parameters.tables.map { exported($0, engine.parameters) }
    }
    let expected = try run(.device) { _ in nil }
    #expect(try run(.host) { _ in nil } == expected)
    #expect(try run(.host) { $0 + 1 } == expected)
    #expect(try run(.device) { $0 + 1 } == expected)
    // Another batch comes than was announced.
    #expect(try run(.host) { $0 % 3 == 0 ? $0 + 5 : $0 + 1 } == expected)
  }

  private func copyState(from: ParameterStore, to: ParameterStore) {
    for slot in from.layout.slots {
      for array in ParameterArray.allCases {
        to.withMutableFloats(slot, of: array) { target in
          from.withFloats(slot, of: array) { source in
            for i in source.indices { target[i] = source[i] }
          }
        }
      }
    }
    for (a, b) in zip(from.tables, to.tables) {
      for i in a.weights.indices { b.weights[i] = a.weights[i] }
      b.firstMoment.copyMemory(from: UnsafeRawBufferPointer(a.firstMoment))
      b.secondMoment.copyMemory(from: UnsafeRawBufferPointer(a.secondMoment))
      for i in a.lastStep.indices { b.lastStep[i] = a.lastStep[i] }
    }
    to.restoreTableHistory(from.tableHistory)
  }

  @Test func numbersThatAreNoneStopBeforeAnyWeightChanges() throws {
    let model = try model(models[0].1)
    let engine = try Pair(model, lanes: 1, rows: 40, #require(torch)).device
    let slot = try #require(
      engine.parameters.layout.slots.first { $0.name.contains("c_fc.weight") })
    engine.parameters.withMutableFloats(slot, of: .weights) { $0[3] = .nan }
    try engine.loadParameters()
    let lanes = randomLanes(model, 1, lengths: [9], seed: 1)
    do {
      _ = try engine.step(
        lanes, learningRate: 1, optimizer: OptimizerConstants(), tableOptimizer: TableOptimizer())
      Issue.record("a step with NaN")
    } catch let error as NonFiniteError {
      #expect(error.tensor == "weight \(slot.name)" && error.step == 1)
    }
    let other = engine.parameters.layout.slots[0]
    let before = engine.parameters.values(other)
    try engine.saveParameters()
    #expect(engine.parameters.values(other) == before && engine.step == 0)
  }

  @Test func whatNoDeviceComputesIsRefused() throws {
    let encoded = try model(try #require(models.first { $0.0 == "gpt2 over-encoded" }).1)
    #expect(throws: UserError.self) {
      _ = try TorchProgram(encoded.plan(.training, rows: 9), moments: .rowwise)
    }
  }
}
