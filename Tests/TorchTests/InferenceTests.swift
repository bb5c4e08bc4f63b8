import Engine
import Models
import Support
import Testing
import Torch

/// Scores and continuations by libtorch are the CPU engine's, to rounding.
@Suite(.enabled(if: torch != nil, needsTorch), .serialized)
struct InferenceTests {
  private func lanes(_ model: ModelConfiguration, lengths: [Int], seed: UInt64) -> [PackedLane] {
    var stream = RandomStream(seed: seed, name: "lanes")
    return lengths.chunked(into: 3).map { lengths in
      var lane = model.makeLane()
      for length in lengths {
        for _ in 0..<length {
          let ids = model.input.columnRows.map { Int32(stream.below(UInt32($0))) }
          lane.appendRow(label: Int32(stream.below(UInt32(model.labels)))) { ids[$0] }
        }
        lane.endSegment()
      }
      return lane
    }
  }

  private func weights(_ model: ModelConfiguration) -> ParameterStore {
    let store = model.makeParameters(moments: false)
    store.initialize(seed: 11)
    return store
  }

  @Test(arguments: models.map(\.0))
  func scoresAgree(name: String) throws {
    let model = try model(try #require(models.first { $0.0 == name }).1)
    let store = weights(model)
    let cpu = ScoringEngine(model, parameters: store, laneCapacity: 60, threads: 1)
    let plan = model.plan(.scoring, rows: 60)
    let weights = try DeviceWeights(plan, like: store, #require(torch))
    let device = try DeviceScoringEngine(plan, weights)
    try weights.load(store)
    let lanes = lanes(model, lengths: Array(1...19) + [7, 7, 7, 19, 19], seed: 2)
    let (labels, all) = (cpu.labelLogProbabilities(lanes), cpu.logProbabilities(lanes))
    for (i, lane) in lanes.enumerated() {
      let found = try device.labelLogProbabilities(lane)
      #expect(found.count == lane.rows)
      #expect(zip(found, labels[i]).allSatisfy { abs($0 - $1) < 2e-5 }, "\(name), lane \(i)")
      let rows = try device.logProbabilities(lane)
      #expect(rows.count == all[i].count)
      #expect(zip(rows, all[i]).allSatisfy { abs($0 - $1) < 2e-5 }, "\(name), lane \(i)")
      // Twice the same bits.
      #expect(try device.logProbabilities(lane) == rows)
    }
    #expect(try device.labelLogProbabilities(model.makeLane()).isEmpty)
  }

  /// Sequences of all lengths begin and end beside one another, in places that others had.
  @Test(arguments: models.map(\.0).filter { !$0.contains("f-grams") })
  func continuationsAgree(name: String) throws {
    let model = try model(try #require(models.first { $0.0 == name }).1)
    let store = weights(model)
    let cpu = DecodingEngine(model, parameters: store, capacity: 5, beginnings: 0)
    let plan = model.plan(.decoding(context: model.context), rows: 5)
    let weights = try DeviceWeights(plan, like: store, #require(torch))
    let device = try DeviceDecodingEngine(plan, weights)
    try weights.load(store)
    var stream = RandomStream(seed: 3, name: "steps")
    let columns = model.input.columnRows
    cpu.reset(sequences: 3)
    device.reset(sequences: 3)
    for step in 0..<40 {
      let ids = (0..<cpu.live).flatMap { _ in columns.map { Int32(stream.below(UInt32($0))) } }
      let expected = cpu.step(inputs: ids, tables: columns.count) { Array($0) }
      let found = try device.step(inputs: ids, tables: columns.count)
      #expect(found.count == expected.count && device.live == cpu.live)
      #expect(
        zip(found, expected).allSatisfy { abs($0 - $1) < 2e-5 }, "\(name), step \(step)")
      let full = cpu.nextPositions.map { Int($0) == model.context }
      let isLive = full.map { !$0 && stream.below(6) > 0 }
      cpu.retain { isLive[$0] }
      device.retain { isLive[$0] }
      let more = min(5 - cpu.live, step == 20 ? 5 : Int(stream.below(3)))
      cpu.begin(sequences: more)
      device.begin(sequences: more)
    }
  }
}

extension Array {
  fileprivate func chunked(into size: Int) -> [[Element]] {
    stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
  }
}
