import Benchmark
import Checkpoints
import Engine
import Foundation
import Models
import NGrams
import Planning
import Support
import Testing
import Tokenization

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

  /// But for the router, a token costs what it costs in the dense model beside it.
  @Test func theMixtureIsAsLargeAsTheDenseModel() throws {
    let (mixture, dense) = try (
      NamedModel.moe.sizes.workload().model, NamedModel.moeDense.sizes.workload().model
    )
    #expect(mixture.parameterCount == 7_622_912 && dense.parameterCount == 2_887_936)
    #expect(mixture.activeParameterCount - dense.parameterCount == 4 * 256 * 16)
    #expect(mixture.productFLOPs - dense.productFLOPs == 2 * 4 * 256 * 16)
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

@Suite struct OverEncodedSentencesTests {
  /// Row t of a table of order n is (Σ_{j<n} x_{t−j}·7ʲ) mod M, tokens before the sentence being 0.
  @Test func rowsAreThoseOfTheDefinition() throws {
    let layout = try OverEncodingLayout(
      vocabulary: 7, order: 3, slices: 2, rows: 100, width: 8, moduli: .coprime)
    let sentences = Sentences([[1, 6, 3, 5], [2, 4]])
    let lane = sentences.lanes(
      from: 0, batch: 2, lanes: 1, mapper: OverEncodingMapper(layout))[0]
    let columns = 1 + layout.embedders.count
    #expect(lane.tables == columns && lane.labels == [6, 3, 5, 4])
    for (row, window) in [[1], [6, 1], [3, 6, 1], [2]].enumerated() {
      #expect(lane.inputs[row * columns] == Int32(window[0]))
      for (e, embedder) in layout.embedders.enumerated() {
        let sum = window.prefix(embedder.order).reversed().reduce(0) { $0 * 7 + $1 }
        #expect(lane.inputs[row * columns + 1 + e] == Int32(sum % embedder.modulus))
      }
    }
  }

  @Test func overEncodedModelHasItsTables() throws {
    var sizes = NamedModel.d256OverEncoded.sizes
    #expect(sizes.overEncoding?.rows == 1_000_000)
    (sizes.batch, sizes.length, sizes.lanes, sizes.labels) = (2, 6, 1, 7)
    (sizes.layers, sizes.width, sizes.heads) = (1, 8, 2)
    sizes.overEncoding = (order: 3, slices: 2, rows: 100)
    let workload = try sizes.workload()
    let sentences = Sentences.random(count: 2, length: 6, vocabulary: 7, seed: 3)
    let bench = try TrainingBench(workload, sentences: sentences, learningRate: 1e-2, threads: 1)
    let first = try bench.step().loss
    for _ in 0..<30 { _ = try bench.step() }
    #expect(try bench.step().loss < first / 2)
  }
}

@Suite struct ScalingTests {
  /// Every curve varies one size, and the plan expects more time for more work.
  @Test func curvesVaryOneSize() throws {
    let rates = Rates { _, _, _ in 1e11 }
    let curves = try ScalingBench.curves(threads: 2)
    #expect(
      Set(curves.map(\.varied)) == [
        "width", "layers", "length", "batch", "lanes", "model", "threads",
      ])
    for name in ["width", "layers", "batch", "lanes"] {
      let planned = curves.filter { $0.varied == name }.map { curve in
        rates.stepSeconds(
          curve.workload.model, rows: Double(curve.workload.rows),
          length: Double(curve.workload.length), lanes: curve.workload.lanes, precision: .float32)
      }
      #expect(planned == planned.sorted() && planned.count > 3)
    }
    for curve in curves where curve.varied == "length" {
      #expect(curve.workload.rows == 4096)
    }
  }

  /// What results/bench/scaling.csv measured, at the product rates that were calibrated beside each
  /// step: the plan is near every one of them.
  @Test func stepsTakeWhatWasMeasured() throws {
    let path =
      URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path + "/results/bench/scaling.csv"
    let lines = String(decoding: try FileBytes.read(path), as: UTF8.self).split(separator: "\n")
    let rows = lines.map { $0.split(separator: ",").map(String.init) }
    let columns = try #require(rows.first)
    #expect(columns == ScalingBench.csv([])[0])
    var compared = 0
    for (varied, workload, threads) in try ScalingBench.curves(threads: 2) {
      let sizes = [
        workload.model.width, workload.model.layers, workload.length, workload.batch,
        workload.lanes, threads,
      ]
      let name = [varied] + sizes.map(String.init) + [Precision.float32.rawValue]
      let row = try #require(rows.first { Array($0.prefix(name.count)) == name }, "\(name)")
      let (rate, measured) = (try #require(Double(row[8])), try #require(Double(row[10])))
      let planned = Rates { _, _, _ in rate * 1e9 }.stepSeconds(
        workload.model, rows: Double(workload.rows), length: Double(workload.length),
        lanes: workload.lanes, precision: .float32)
      #expect(abs(planned * 1e3 / measured - 1) < 0.25, "\(name): \(planned)")
      compared += 1
    }
    #expect(compared == rows.count { $0.contains(Precision.float32.rawValue) })
  }

  @Test func measuresAndTabulates() throws {
    let workload = try smallWorkload()
    let point = try ScalingBench.measure(
      "width", workload, threads: 2, rates: Rates { _, _, _ in 1e11 }, seconds: 0)
    #expect(point.seconds > 0 && point.planned > 0 && point.threads == 2)
    let csv = ScalingBench.csv([point])
    #expect(csv.count == 2 && csv[0].count == csv[1].count)
    #expect(csv[1].prefix(8) == ["width", "8", "4", "9", "3", "2", "2", "float32"])
    let flops = workload.model.trainingFLOPs(perTokenAt: workload.length) * Double(workload.rows)
    #expect(point.ceilingShare == flops / (point.seconds * 2 * 1e11))
    #expect(point.busyShare == point.threadSeconds / (point.seconds * 2))
  }
}

@Suite struct GenerationBenchTests {
  /// Sentences have the given lengths, no marks, and are the same whoever generates them.
  @Test func sentencesHaveTheGivenLengths() throws {
    let workload = try smallWorkload()
    let sentences = Sentences([[0, 2, 3, 1], [0, 1], [0, 2, 2, 2, 2, 2, 2, 2, 2, 1], [0, 2, 1]])
    func ids(side: Int, threads: Int) throws -> [[Int32]] {
      let bench = try GenerationBench(
        workload, sentences: sentences, weights: nil, batch: side, threads: threads)
      let first = try bench.run().ids
      #expect(try bench.run().ids == first)
      #expect(bench.uniforms().map(\.count) == [3, 1, 9, 2])
      return first
    }
    let alone = try ids(side: 1, threads: 1)
    #expect(alone.map(\.count) == [2, 0, 8, 1])
    #expect(alone.joined().allSatisfy { $0 >= 2 && $0 < 7 })
    #expect(try ids(side: 3, threads: 1) == alone)
    #expect(try ids(side: 2, threads: 2) == alone)
  }

  @Test func refusesWhatDoesNotFit() throws {
    let workload = try smallWorkload()
    #expect(throws: UserError.self) {
      try GenerationBench(
        workload, sentences: Sentences([[Int32](repeating: 2, count: 12)]), weights: nil, batch: 1,
        threads: 1)
    }
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

  /// Threads beyond the lanes help with them, and change no bit.
  @Test(
    arguments: [NamedModel.d128, .moe, .d256OverEncoded], Precision.allCases.filter(\.isAvailable))
  func threadsWithoutLanesHelp(name: NamedModel, precision: Precision) throws {
    var sizes = name.sizes
    (sizes.layers, sizes.batch, sizes.length, sizes.lanes) = (1, 3, 200, 2)
    if sizes.overEncoding != nil { sizes.overEncoding = (order: 2, slices: 2, rows: 5000) }
    let workload = try sizes.workload(precision: precision)
    let sentences = Sentences.random(
      count: 9, length: 200, vocabulary: workload.model.labels, seed: 3)
    func train(threads: Int) throws -> (state: [[UInt32]], helping: Double) {
      let bench = try TrainingBench(workload, sentences: sentences, threads: threads)
      for _ in 0..<3 { _ = try bench.step() }
      let parameters = bench.engine.parameters
      return (
        parameters.layout.slots.map { parameters.values($0).map(\.bitPattern) },
        bench.engine.helpTimes.helping
      )
    }
    let alone = try train(threads: 1)
    #expect(alone.helping == 0)
    for threads in [3, 5] {
      let found = try train(threads: threads)
      #expect(found.state == alone.state, "\(threads) threads")
      #expect(found.helping > 0)
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
