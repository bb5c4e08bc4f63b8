import Benchmark
import Checkpoints
import Engine
import Foundation
import Models
import Support
import Testing

private func smallWorkload(batch: Int = 3, length: Int = 9, lanes: Int = 2) throws -> Workload {
  var sizes = NamedModel.laptopSmall.sizes
  (sizes.batch, sizes.length, sizes.lanes, sizes.labels) = (batch, length, lanes, 7)
  return try sizes.workload()
}

private func temporaryPath(_ name: String) -> String {
  FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString)-\(name)").path()
}

@Suite struct WorkloadTests {
  /// Closed form: (V + T + V)·C + L·(12C² + 13C) + 2C.
  @Test(arguments: [
    (NamedModel.d128, 2_455_296), (.d768, 85_456_896), (.d256, 6_901_760),
    (.laptopLarge, 201_920), (.laptopSmall, 3_736),
  ])
  func namedModelsHaveTheirParameters(model: NamedModel, parameters: Int) throws {
    #expect(try model.sizes.workload().model.parameterCount == parameters)
  }

  @Test func refusesWhatDoesNotFit() throws {
    let model = try smallWorkload().model
    #expect(throws: UserError.self) { try Workload(model: model, batch: 0, length: 3, lanes: 1) }
    #expect(throws: UserError.self) { try Workload(model: model, batch: 4, length: 10, lanes: 1) }
    #expect(throws: UserError.self) { try Workload(model: model, batch: 4, length: 3, lanes: 3) }
    #expect(throws: UserError.self) { try Workload(model: model, batch: 4, length: 3, lanes: 8) }
  }
}

@Suite struct SentencesTests {
  @Test func survivesAFile() throws {
    let sentences = Sentences([[1, 2], [3, 4, 5], [6, 0, 1, 2]])
    let path = temporaryPath("tokens")
    try sentences.write(to: path)
    #expect(try Sentences(path: path) == sentences)
    #expect(sentences.longest == 3)
    #expect(abs(sentences.meanPosition - (1 + 3 + 6) / 6.0) < 1e-12)
    let bytes = try FileBytes.read(path)
    for damaged in [Array(bytes.dropLast(4)), Array(bytes.dropLast(1)), [], bytes + [0, 0, 0, 0]] {
      try AtomicFile.write(damaged, to: path)
      #expect(throws: UserError.self) { try Sentences(path: path) }
    }
  }

  @Test func batchesHoldTheirSentences() {
    let sentences = Sentences([[1, 2], [3, 4, 5], [6, 0, 1, 2]])
    let lanes = sentences.lanes(from: 2, batch: 2, lanes: 1)
    #expect(lanes.map(\.labels) == [[0, 1, 2, 2]])
    #expect(lanes.map(\.inputs) == [[6, 0, 1, 1]])
    #expect(lanes[0].segmentOffsets == [0, 3, 4])
  }
}

@Suite struct TrainingBenchTests {
  /// The losses are those of the engine on the same lanes, bit for bit, from a weight file.
  @Test(arguments: [1, 2])
  func lossesAreTheEngines(threads: Int) throws {
    let workload = try smallWorkload()
    let sentences = Sentences.random(count: 5, length: 9, vocabulary: 7, seed: 3)
    let weights = workload.model.makeParameters(moments: false)
    weights.initialize(seed: 11)
    let path = temporaryPath("weights")
    try ParameterFile.write(weights, arrays: [.weights], to: path)
    let bench = try TrainingBench(
      workload, sentences: sentences, weights: path, learningRate: 2e-3, threads: threads)
    let engine = TrainingEngine(
      workload.model, seed: 11, lanes: 2, laneCapacity: 27, threads: 1)
    for step in 0..<6 {
      let expected = try engine.step(
        sentences.lanes(from: 3 * step, batch: 3, lanes: 2), learningRate: 2e-3,
        optimizer: OptimizerConstants())
      let found = try bench.step()
      #expect(found.loss == expected.meanLoss)
      #expect(found.rows == 27)
    }
  }

  @Test func refusesForeignSentences() throws {
    let workload = try smallWorkload()
    for sentences in [[[0, 7]], [[-1, 0]], [[Int32](repeating: 0, count: 11)], []] {
      #expect(throws: UserError.self) {
        try TrainingBench(workload, sentences: Sentences(sentences), threads: 1)
      }
    }
  }

  /// Profiling changes no loss, counts its steps, and ends when it is switched off.
  @Test func profilesWithoutChangingBits() throws {
    let workload = try smallWorkload()
    let sentences = Sentences.random(count: 6, length: 9, vocabulary: 7, seed: 3)
    let plain = try TrainingBench(workload, sentences: sentences, threads: 2)
    let profiled = try TrainingBench(workload, sentences: sentences, threads: 2)
    #expect(profiled.engine.profile == nil)
    profiled.engine.setProfiling(true)
    for _ in 0..<3 { #expect(try plain.step().loss == profiled.step().loss) }
    let profile = try #require(profiled.engine.profile)
    #expect(profile.steps == 3)
    #expect(profile.forward.count == profiled.engine.plan.operations.count)
    #expect(profile.backward.allSatisfy { $0 > 0 })
    #expect(profile.lanes > 0 && profile.reduction > 0 && profile.optimizer > 0)
    profiled.engine.setProfiling(false)
    #expect(profiled.engine.profile == nil)
  }
}

@Suite struct StepTableTests {
  /// FLOPs are three forward passes of the plan; a line at the roofline has the share 1.
  @Test func countsWorkOnce() throws {
    let workload = try smallWorkload()
    let plan = workload.model.plan(.training, rows: 27)
    var profile = StepProfile(operations: plan.operations.count)
    profile.steps = 2
    for index in plan.operations.indices { profile.forward[index] = 4e-3 }
    let roofline = Roofline(product: 1e9, bandwidth: 1e9)
    let table = StepTable(
      plan: plan, profile: profile, rows: 27, position: 5, threads: 2, wallSeconds: 0.5,
      roofline: roofline)
    let work = table.lines.filter { $0.direction != "step" }
    let flops = work.reduce(0) { $0 + $1.flops }
    #expect(abs(flops / (3 * plan.forwardFLOPs(sentence: 9) * 3) - 1) < 1e-12)
    #expect(abs(table.productShare - flops / 0.5 / 1e9) < 1e-12)
    #expect(table.tokensPerSecond == 54)
    #expect(
      work.filter { $0.direction == "forward" }.reduce(0) { $0 + $1.calls }
        == plan.operations.count)
    let line = StepLine(
      work: "", direction: "forward", calls: 1, seconds: 2 * 3e-3, flops: 3e6, bytes: 1e6)
    #expect(abs(table.rooflineShare(line) - 1) < 1e-12)
    #expect(table.csv.allSatisfy { $0.count == table.csv[0].count })
    #expect(table.csv.count == table.lines.count + 1)
  }
}

@Suite struct CSVTests {
  @Test func quotesWhatNeedsIt() {
    #expect(CSV.text([["a", "b,c"], ["say \"x\"", ""]]) == "a,\"b,c\"\n\"say \"\"x\"\"\",\n")
    #expect(CSV.text([]) == "")
  }
}
