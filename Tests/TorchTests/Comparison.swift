import Engine
import Models
import Support
import Testing
import Torch

/// A model by the keys of a configuration.
func model(_ text: String) throws -> ModelConfiguration {
  var reader = try ConfigReader(ConfigValue.parse(yaml: text, source: "test"), source: "test")
  let model = try ModelConfiguration(reader: &reader)
  try reader.finish()
  return model
}

/// Sentences of such lengths dealt out to lanes; one label in ten is none.
func randomLanes(
  _ model: ModelConfiguration, _ count: Int, lengths: [Int], seed: UInt64
) -> [PackedLane] {
  var stream = RandomStream(seed: seed, name: "lanes")
  var lanes = (0..<count).map { _ in model.makeLane(isTraining: true) }
  for (i, length) in lengths.enumerated() {
    for _ in 0..<length {
      let ids = model.input.columnRows.map { Int32(stream.below(UInt32($0))) }
      let label = Int32(stream.below(UInt32(model.labels)))
      let isNone = stream.below(10) == 0
      lanes[i % count].appendRow(label: isNone ? PackedLane.noLabel : label) { ids[$0] }
    }
    lanes[i % count].endSegment()
  }
  return lanes
}

/// The largest difference, by the largest number, or by `floor` where all are smaller.
func distance(_ a: [Float], _ b: [Float], floor: Double = 1e-9) -> Double {
  let largest = b.reduce(Float(floor)) { max($0, abs($1)) }
  guard a.count == b.count else { return .infinity }
  return zip(a, b).reduce(0) { max($0, Double(abs($1.0 - $1.1) / largest)) }
}

/// Both executors of one model with the same weights.
struct Pair {
  let cpu: TrainingEngine
  let device: DeviceTrainingEngine

  init(
    _ model: ModelConfiguration, lanes: Int, rows: Int, precision: Precision = .float32,
    moments: TableMoments = .float32, seed: UInt64 = 5, attention: AttentionForm? = nil,
    tables: DeviceTablePlace? = nil, threads: Int = 1, _ library: TorchLibrary
  ) throws {
    let plan = model.plan(.training, rows: rows, precision: precision)
    func store() -> ParameterStore {
      let store = ParameterStore(layout: plan.layout, moments: true, tableMoments: moments)
      store.initialize(seed: seed)
      return store
    }
    cpu = TrainingEngine(plan: plan, parameters: store(), lanes: lanes, threads: 1)
    device = try DeviceTrainingEngine(
      plan: plan, parameters: store(), lanes: lanes, library, source: "test", attention: attention,
      tableMemory: tables, threads: threads)
  }

  func expectGradients(_ lanes: [PackedLane], within bound: Double, _ name: String) throws {
    let expected = try cpu.computeGradients(lanes)
    let found = try device.computeGradients(lanes)
    #expect(found.rows == expected.rows)
    #expect(abs(found.lossSum / expected.lossSum - 1) < bound, "\(name): loss")
    #expect(
      abs(found.gradientNorm / expected.gradientNorm - 1) < bound,
      "\(name): norm \(found.gradientNorm) for \(expected.gradientNorm)")
    for number in cpu.plan.losses.indices {
      let (a, b) = (device.lossSum(number), cpu.lossSum(number))
      #expect(a.rows == b.rows && abs(a.mean - b.mean) < bound * max(1, abs(b.mean)), "\(name)")
    }
    // Of one key alone softmax has no gradient but rounding.
    let floor = 1e-3 * expected.gradientNorm
    for slot in cpu.plan.layout.slots {
      let d = distance(try device.gradient(of: slot), cpu.gradient(of: slot), floor: floor)
      #expect(d < bound * 10, "\(name): gradient of \(slot.name), \(d)")
    }
    for table in cpu.plan.layout.tables.indices {
      let (a, b) = (try device.tableGradient(table), cpu.tableGradient(table))
      #expect(a.rows == b.rows)
      #expect(distance(a.values, b.values) < bound * 10, "\(name): table \(table)")
    }
  }

  /// A step of both; the losses agree.
  func step(
    _ lanes: [PackedLane], rate: Double, clip: Double = 1, decay: Double = 0.01,
    within bound: Double, _ name: String
  ) throws {
    let optimizer = OptimizerConstants(gradientClip: clip)
    let tables = TableOptimizer(learningRateMultiplier: 2, weightDecay: decay)
    let expected = try cpu.step(
      lanes, learningRate: rate, optimizer: optimizer, tableOptimizer: tables)
    let found = try device.step(
      lanes, learningRate: rate, optimizer: optimizer, tableOptimizer: tables)
    #expect(
      abs(found.meanLoss - expected.meanLoss) < bound * max(1, expected.meanLoss),
      "\(name): step \(cpu.step), loss \(found.meanLoss) for \(expected.meanLoss)")
  }

  /// All weights agree, tables brought to the last step included.
  func expectWeights(within bound: Double, _ name: String) throws {
    try device.saveParameters()
    for slot in cpu.plan.layout.slots {
      var (a, b) = (device.parameters.values(slot), cpu.parameters.values(slot))
      if slot.name.hasSuffix("c_attn.bias") {
        // The key biases, which softmax cancels, have no gradient but rounding.
        let C = slot.count / 3
        a.replaceSubrange(C..<2 * C, with: [])
        b.replaceSubrange(C..<2 * C, with: [])
      }
      let d = distance(a, b)
      #expect(d < bound, "\(name): \(slot.name), \(d)")
    }
    for (a, b) in zip(device.parameters.tables, cpu.parameters.tables) {
      let d = distance(exported(a, device.parameters), exported(b, cpu.parameters))
      #expect(d < bound, "\(name): \(a.slot.name), \(d)")
    }
  }
}

/// The rows of a table at the end of the last step.
func exported(_ table: TableStore, _ store: ParameterStore) -> [Float] {
  var values: [Float] = []
  for part in 0..<table.parts {
    var room = [Float](repeating: 0, count: table.rows(ofPart: part).count * table.slot.width)
    room.withUnsafeMutableBufferPointer { table.export(part: part, into: $0, store.tableHistory) }
    values += room
  }
  return values
}
