import Contracts
import Foundation
import Models
import Support

/// What a stage run takes: seconds on one thread, memory with all its threads.
package struct Cost: Sendable, Equatable {
  /// Multiplications and additions of matrix products; 0 for stages that do none.
  package var flops = 0.0
  package var memoryBytes = 0.0
  package var diskBytes = 0.0
  package var seconds = 0.0
  /// Of a device, which stages that run side by side share, and its memory.
  package var deviceSeconds = 0.0
  package var deviceBytes = 0.0

  package init(
    flops: Double = 0, memoryBytes: Double = 0, diskBytes: Double = 0, seconds: Double = 0,
    deviceSeconds: Double = 0, deviceBytes: Double = 0
  ) {
    self.flops = flops
    self.memoryBytes = memoryBytes
    self.diskBytes = diskBytes
    self.seconds = seconds
    self.deviceSeconds = deviceSeconds
    self.deviceBytes = deviceBytes
  }

  /// Sums flops, disk and seconds; memory is the larger of both, since it is given back.
  package static func + (a: Cost, b: Cost) -> Cost {
    Cost(
      flops: a.flops + b.flops, memoryBytes: max(a.memoryBytes, b.memoryBytes),
      diskBytes: a.diskBytes + b.diskBytes, seconds: a.seconds + b.seconds,
      deviceSeconds: a.deviceSeconds + b.deviceSeconds,
      deviceBytes: max(a.deviceBytes, b.deviceBytes))
  }

  /// With so many threads at work on seconds that can be divided among them.
  package func seconds(threads: Int) -> Double { seconds / Double(threads) + deviceSeconds }
}

/// How fast one thread of this machine is: matrix products as calibrated just now, the other stages
/// as measured once (PERFORMANCE.md; they are minutes where training is hours).
package struct Rates: Sendable {
  /// FLOP/s of a matrix product of `rows` × `width` by `width` × 4 `width`.
  package let product: @Sendable (_ rows: Int, _ width: Int, _ precision: Precision) -> Double
  /// Shares of the product's rate that linear layers and the head reach, and attention.
  package var productShare = 0.9
  package var attentionShare = 0.82
  /// Thread-seconds for each row, layer and column of what is no product, in the three passes of a
  /// training step: norms, biases, GELU, rounding.
  package var floatSeconds = 1.4e-8
  /// The same for each parameter of a step: sum of the gradients, clipping, AdamW.
  package var updateSeconds = 3e-9
  /// The same for each layer of a lane: the calls themselves.
  package var operationSeconds = 3e-5
  /// The same for each column of the tables and each position of a step: the moves of a row, and 180
  /// skipped steps that are replayed; in proportion less where a row's gap is below `tableGap`.
  package var tableSeconds = 6.1e-8
  package var tableGap = 540.0
  /// The same for each generated row, beside its pass through the model: the cache, the draw.
  package var drawSeconds = 1.2e-6
  /// The same for each row of a grammar's sentences and each label: their probabilities in Double.
  package var labelSeconds = 2.4e-8
  /// The same for each scored token of text and each label, where only the loss is needed.
  package var lossSeconds = 5e-10
  /// Symbols or positions a second.
  package var sample = 60e6
  package var tokenize = 60e6
  package var map = 60e6
  /// Bytes of text a second.
  package var vocabulary = 60e6
  package var encode = 45e6
  package var requests = 20e6
  /// Tokens a second.
  package var mapText = 10e6
  /// Seconds to start a process and to open and close its files.
  package var startSeconds = 0.05
  /// Seconds that a device takes; nil, or a nil answer, where there is none to ask: then costs are as if
  /// this machine's CPU did the work.
  package var device: (@Sendable (DeviceWork) throws -> Double?)?
  /// Why a device is none to ask; nil where that is not known.
  package var deviceFault: (@Sendable (TorchDevice) -> String?)?

  package init(product: @escaping @Sendable (_ rows: Int, _ width: Int, Precision) -> Double) {
    self.product = product
  }
}

/// Costs of the nodes of a graph.
package struct CostModel {
  /// A stage that holds nothing: code, libraries and the shard on its way.
  package static let processBytes = 34e6
  /// Rows of C that the gradients of the block at work take for each position.
  private static let gradientRows = 8
  /// Of logits, their probabilities and gradients, that a device holds of a chunk of rows.
  private static let logitBytes = 12 * Double(1 << 26)

  package let graph: StageGraph
  package let rates: Rates
  /// Threads of each stage.
  package let threads: Int

  package init(_ graph: StageGraph, rates: Rates, threads: Int) {
    precondition(threads >= 1, "a stage has a thread")
    self.graph = graph
    self.rates = rates
    self.threads = threads
  }

  /// The sizes of a run that costs follow from.
  package struct RunSize: Sendable {
    package let parameters: Int
    /// Those that a row meets.
    package let activeParameters: Int
    package let steps: Int
    /// Sentences or windows.
    package let units: Int
    package let epochs: Double
    /// Predictions trained on.
    package let rows: Double
    package let snapshots: Int
    package let trainingFlops: Double
    package let forwardFlopsPerRow: Double
  }

  package func size(of run: Int) throws -> RunSize { try graph.path.size(of: run, in: self) }

  /// The cost of every node, in the order of the graph.
  package func costs() throws -> [Cost] {
    try graph.nodes.map { try graph.path.cost(of: $0, in: self) }
  }

  // MARK: - Parts that all kinds have in common

  /// A stage that shards pass through one at a time.
  func streaming(elements: Double, rate: Double, bytesPerElement: Double) -> Cost {
    Cost(
      memoryBytes: Self.processBytes, diskBytes: elements * bytesPerElement,
      seconds: rates.startSeconds + elements / rate)
  }

  var report: Cost { Cost(memoryBytes: Self.processBytes, diskBytes: 200e3, seconds: 0.5) }

  /// All but the tables of over-encoding. Weights and both moments once; a worker holds the activations
  /// of the lane at work and one gradient for every level of the tree of sums; the map set, of
  /// `dataBytes`, lies in memory.
  func training(
    _ size: RunSize, _ model: ModelConfiguration, _ training: TrainParameters.Training,
    dataBytes: Double, tables: TableMoments? = nil
  ) throws -> Cost {
    let lanes = Double(training.lanes)
    let stepRows = size.rows / Double(size.steps)
    let laneRows = stepRows / lanes
    let weights = 4 * Double(model.denseParameterCount)
    let length = size.rows / Double(size.units)
    let activations = Double(model.activationBytes + Self.gradientRows * 4 * model.width)
    if let device = training.device {
      let work = DeviceWork(
        .step(training.precision, tables, lanes: training.lanes), of: model, on: device,
        rows: stepRows, length: length)
      if let seconds = try rates.device?(work) {
        return Cost(
          flops: size.trainingFlops, memoryBytes: Self.processBytes + 3 * weights + dataBytes,
          diskBytes: Double(size.snapshots + 3) * weights, seconds: rates.startSeconds,
          deviceSeconds: Double(size.steps) * seconds,
          deviceBytes: 4.5 * weights + activations * stepRows + Self.logitBytes)
      }
    }
    let workers = min(Double(threads), lanes)
    let memory =
      Self.processBytes + weights * (3 + workers * (log2(lanes) + 1))
      + activations * laneRows * workers
      + dataBytes
    let step = rates.stepSeconds(
      model, rows: stepRows, length: length, lanes: training.lanes,
      precision: training.precision)
    return Cost(
      flops: size.trainingFlops, memoryBytes: memory,
      diskBytes: Double(size.snapshots + 3) * weights,
      seconds: rates.startSeconds + Double(size.steps) * step)
  }

  /// What a device takes to score rows and to generate `batch` sentences side by side; nil where there is
  /// none to ask.
  func deviceCost(
    of model: ModelConfiguration, on device: TorchDevice, scored: Double, generated: Double,
    batch: Int, length: Double
  ) throws -> Cost? {
    let passRows = Double(max(batch, 1024))
    let work = DeviceWork(
      .score, of: model.scored, on: device, rows: min(scored, passRows), length: length)
    guard let pass = try rates.device?(work) else { return nil }
    var seconds = pass * scored / Double(work.rows)
    if generated > 0 {
      let step = DeviceWork(
        .generate, of: model.scored, on: device, rows: Double(batch), length: length)
      guard let one = try rates.device?(step) else { return nil }
      seconds += one * generated / Double(batch)
    }
    return Cost(
      deviceSeconds: seconds,
      deviceBytes: 4 * Double(model.denseParameterCount) + Self.logitBytes / 3
        + Double(model.cacheBytes) * max(passRows, Double(batch) * Double(model.context)))
  }
}
