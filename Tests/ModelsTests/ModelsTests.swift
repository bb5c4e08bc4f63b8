import Engine
import Kernels
import Models
import Support
import Testing

/// A batch of sentences of unequal length, dealt to lanes in turn.
///
/// - Parameter labelColumns: as many as training has unless given. Every third row has no further
///   labels, unless they are those of further heads, which follow from the first.
func makeLanes(
  _ configuration: ModelConfiguration, lengths: [Int], lanes: Int, seed: UInt64 = 1,
  labelColumns: Int? = nil
) -> [PackedLane] {
  let labelColumns = labelColumns ?? configuration.labelColumns
  let follow = labelColumns > 1 && configuration.furtherHeads != nil
  var result = (0..<lanes).map { _ in
    PackedLane(
      tables: configuration.inputColumns, labelColumns: labelColumns,
      ahead: follow ? Array(configuration.labelsAhead.dropFirst()) : [],
      longestMatch: configuration.input.textColumns.longestMatch)
  }
  for (i, length) in lengths.enumerated() {
    var stream = RandomStream(seed: seed, name: "sentence", index: UInt64(i))
    for t in 0..<length {
      result[i % lanes].appendRow(label: Int32(stream.below(UInt32(configuration.labels)))) {
        Int32(stream.below(UInt32(configuration.input.columnRows[$0])))
      }
      for column in 1..<(follow ? 1 : labelColumns) {
        result[i % lanes].appendLabel(
          t % 3 == 2 ? PackedLane.noLabel : Int32((i + t * t) % 9), column: column)
      }
    }
    result[i % lanes].endSegment()
  }
  return result
}

/// A trunk of few experts, where it has any.
///
/// - Parameter isSmooth: whether every row goes to every expert. Which experts a row goes to changes by
///   jumps, that differences of the loss must not meet.
func makeTrunk(
  _ kind: any Trunk.Type, _ size: TrunkSize, prefix: String? = nil, isSmooth: Bool = false
) -> any Trunk {
  if kind == OLMoE.self {
    return OLMoE(
      size, settings: OLMoE.Settings(experts: isSmooth ? 3 : 5, topK: isSmooth ? 3 : 2),
      prefix: prefix ?? OLMoE.prefix)
  }
  return prefix.map { kind.init(size, prefix: $0) } ?? kind.init(size)
}

/// See `expectGradients`.
func spread(of kind: any Trunk.Type) -> Double {
  kind == OLMo2.self || kind == OLMoE.self ? 0.5 : 0.15
}

func smallConfiguration(
  _ architecture: Architecture = .gpt2, width: Int = 16, heads: Int = 2, layers: Int = 2,
  labels: Int = 14, tied: Bool = false, isSmooth: Bool = false
) throws -> ModelConfiguration {
  let inputs =
    tied
    ? [InputTable(order: 1, rows: labels)]
    : [InputTable(order: 1, rows: 5), InputTable(order: 3, rows: 41)]
  return try ModelConfiguration(
    input: TableSum(inputs),
    trunk: makeTrunk(
      architecture.trunk, TrunkSize(layers: layers, width: width, heads: heads, context: 40),
      isSmooth: isSmooth),
    labels: labels, tied: tied)
}

@Suite struct TrainingBitsTests {
  private func weights(
    threads: Int, lanes: Int, configuration: ModelConfiguration, precision: Precision = .float32
  ) throws -> ([Float], [StepStatistics]) {
    let engine = TrainingEngine(
      configuration, seed: 3, lanes: lanes, laneCapacity: 300, threads: threads,
      precision: precision)
    let lengths = [19, 1, 33, 16, 17, 2, 40, 15, 7]
    var statistics: [StepStatistics] = []
    for step in 0..<4 {
      let batch = makeLanes(configuration, lengths: lengths, lanes: lanes, seed: UInt64(step))
      statistics.append(try engine.step(batch, learningRate: 1e-2, optimizer: .init()))
    }
    return (
      engine.parameters.layout.slots.flatMap { engine.parameters.values($0) }, statistics
    )
  }

  @Test(arguments: [(1, 16), (2, 24), (8, 16), (16, 64)], Architecture.allCases)
  func threadsChangeNoBit(sizes: (lanes: Int, width: Int), architecture: Architecture) throws {
    let (lanes, width) = sizes
    let configuration = try smallConfiguration(architecture, width: width)
    let one = try weights(threads: 1, lanes: lanes, configuration: configuration)
    for threads in [2, 3, 4] {
      let many = try weights(threads: threads, lanes: lanes, configuration: configuration)
      #expect(one.0 == many.0)
      #expect(one.1 == many.1)
    }
    let isFinite = one.0.allSatisfy { $0.isFinite }
    #expect(isFinite)
  }

  /// The sentences of 33 and 40 rows also have their attention rounded.
  @Test(
    .enabled(if: Precision.bfloat16.isAvailable), arguments: [(1, 16), (2, 24), (8, 32), (16, 64)],
    Architecture.allCases)
  func threadsChangeNoBitOfRoundedProducts(
    sizes: (lanes: Int, width: Int), architecture: Architecture
  ) throws {
    let (lanes, width) = sizes
    let configuration = try smallConfiguration(architecture, width: width)
    let one = try weights(
      threads: 1, lanes: lanes, configuration: configuration, precision: .bfloat16)
    for threads in [1, 2, 3, 4] {
      let many = try weights(
        threads: threads, lanes: lanes, configuration: configuration, precision: .bfloat16)
      #expect(one.0 == many.0)
      #expect(one.1 == many.1)
    }
    let single = try weights(threads: 1, lanes: lanes, configuration: configuration)
    #expect(one.0 != single.0)
    let loss = try #require(one.1.last).meanLoss
    #expect(abs(loss - (single.1.last?.meanLoss ?? 0)) < 0x1p-6 * loss)
  }
}

@Suite struct GradientTests {
  @Test(
    arguments: [(16, 2, false), (8, 1, true), (20, 5, false), (64, 4, true)], Architecture.allCases)
  func finiteDifferences(
    model: (width: Int, heads: Int, tied: Bool), architecture: Architecture
  ) throws {
    let configuration = try smallConfiguration(
      architecture, width: model.width, heads: model.heads, tied: model.tied, isSmooth: true)
    try expectGradients(
      of: TrainingEngine(configuration, seed: 5, lanes: 2, laneCapacity: 200, threads: 1),
      makeLanes(configuration, lengths: [5, 17, 1, 20], lanes: 2),
      spread: spread(of: architecture.trunk), step: architecture == .olmoe ? 1e-3 : 2.5e-3)
  }
}

/// Central differences of the trained loss in the direction of each parameter's gradient, against that
/// gradient.
///
/// - Parameters:
///   - spread: deviation of what is added to the weights, so that they are larger than at
///     initialisation and no gradient is lost in rounding; larger still where a norm follows each
///     product and bends the loss the more, the smaller the product.
///   - h: length of the step, the smaller the more the loss bends.
func expectGradients(
  of engine: TrainingEngine, _ batch: [PackedLane], spread: Double, step h: Double = 2.5e-3
) throws {
  let store = engine.parameters
  for slot in store.layout.slots {
    var stream = RandomStream(seed: 9, name: slot.name)
    store.withMutableFloats(slot, of: .weights) { floats in
      for i in floats.indices { floats[i] += Float(spread * stream.normal()) }
    }
  }
  _ = try engine.computeGradients(batch)
  for slot in store.layout.slots {
    let gradient = engine.gradient(of: slot)
    let norm = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    let original = store.values(slot)
    // Along its own gradient the loss changes fastest: slope = |g|.
    func loss(_ sign: Double) throws -> Double {
      store.withMutableFloats(slot, of: .weights) { floats in
        for i in floats.indices {
          floats[i] = original[i] + Float(sign * h * Double(gradient[i]) / max(norm, 1e-12))
        }
      }
      _ = try engine.computeGradients(batch)
      return engine.plan.losses.enumerated().reduce(0) {
        $0 + $1.element.weight * engine.lossSum($1.offset).mean
      }
    }
    let slope = (try loss(1) - loss(-1)) / (2 * h)
    store.withMutableFloats(slot, of: .weights) { floats in
      for i in floats.indices { floats[i] = original[i] }
    }
    #expect(
      abs(slope - norm) < 2e-2 * norm + 2e-4, "\(slot.name): slope \(slope), |gradient| \(norm)")
  }
}
