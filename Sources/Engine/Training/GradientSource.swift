import Kernels
import Parallel

/// Lanes on the CPU: forward and backward passes of each, on one worker.
// Unchecked: each worker has its own executor; losses are written by lane.
final class GradientSource: @unchecked Sendable {
  let program: CPUProgram
  /// Rows of the batch that count, by loss; of the batch that was prepared last.
  private(set) var countedRows: [Int]
  /// Of the workers that run lanes.
  private let executors: [Executor]
  private let packed: PackedFactors
  private let weights: UnsafePointer<Float>
  private let counted: [CountedRows]
  private var scales: [Float]
  /// (lanes, losses): sums in nats.
  private let losses: UnsafeMutableBufferPointer<Double>

  /// - Parameters:
  ///   - lanes: of all ranks together.
  ///   - workers: of `pool`, those that run lanes; the others help with them.
  init(
    _ program: CPUProgram, parameters: ParameterStore, lanes: Int, workers: Int, pool: WorkerPool
  ) {
    self.program = program
    weights = UnsafePointer(parameters.weights.base)
    let scratch = HelperScratch(program, workers: pool.threads)
    executors = (0..<workers).map {
      Executor(
        program, store: parameters.layout,
        helpers: pool.threads == 1 ? nil : LaneHelpers(pool, worker: $0, scratch: scratch))
    }
    packed = PackedFactors(program.factors)
    let count = program.plan.losses.count
    counted = program.plan.losses.map { CountedRows($0, program.plan) }
    countedRows = Array(repeating: 0, count: count)
    scales = Array(repeating: 0, count: count)
    losses = .allocate(capacity: max(lanes * count, 1))
    losses.initialize(repeating: 0)
  }

  deinit { losses.deallocate() }

  /// Bytes of activations and packed weights at capacity.
  var bytes: Int { executors.reduce(packed.bytes) { $0 + $1.arenaBytes } }

  /// Packs the weights as they are and weighs the losses by the rows of the whole batch.
  func prepare(_ batch: [PackedLane], _ pool: WorkerPool) {
    packed.fill(from: weights, pool)
    for (number, loss) in program.plan.losses.enumerated() {
      countedRows[number] = batch.reduce(0) { $0 + counted[number].count(in: $1) }
      scales[number] = Float(loss.weight) / Float(max(countedRows[number], 1))
    }
  }

  /// Runs a lane and leaves its losses.
  func run(
    _ lane: Int, of batch: [PackedLane], on worker: Int, staged: TableView?,
    into gradients: some GradientTarget
  ) {
    let count = countedRows.count
    executors[worker].train(
      batch[lane], Executor.Weights(base: weights, packed: packed.base), staged: staged,
      lossScales: scales, into: gradients,
      losses: UnsafeMutableBufferPointer(rebasing: losses[lane * count..<(lane + 1) * count]))
  }

  /// Sums the losses of all lanes as a binary tree, each rank having run the lanes of its part, and
  /// leaves them with lane 0.
  func sumLosses(lanes: Int, _ ranks: any Communicator) throws {
    let count = countedRows.count
    if ranks.size > 1 {
      let bytes = lanes / ranks.size * count * MemoryLayout<Double>.stride
      try ranks.allGather(
        UnsafeMutableRawBufferPointer(losses),
        parts: (0..<ranks.size).map { $0 * bytes..<($0 + 1) * bytes })
    }
    var distance = 1
    while distance < lanes {
      for lane in stride(from: 0, to: lanes, by: 2 * distance) {
        for number in 0..<count {
          losses[lane * count + number] += losses[(lane + distance) * count + number]
        }
      }
      distance *= 2
    }
  }

  /// One loss of the batch that was run last, after `sumLosses`.
  func loss(_ number: Int) -> LossSum {
    LossSum(sum: losses[number], rows: countedRows[number])
  }

  /// The first loss that is not finite.
  var firstBadLoss: String? {
    program.plan.losses.indices.first { !losses[$0].isFinite }
      .map { "loss \(program.plan.losses[$0].name)" }
  }

  func setProfiling(_ isOn: Bool) {
    for executor in executors {
      executor.profile =
        isOn ? OperationProfile(operations: program.plan.operations.count) : nil
    }
  }

  func addProfiles(to profile: inout StepProfile) {
    for case let part? in executors.map(\.profile) { profile.add(part) }
  }
}

/// Which rows of a lane count in a loss.
private enum CountedRows {
  /// Those with a label in a column.
  case labelled(column: Int)
  /// So many for each position.
  case positions(Int)
  /// So many for each row of a space that the lane brings, by its number among those.
  case given(Int, Int)

  init(_ loss: Loss, _ plan: Plan) {
    let producer = plan.operations.first { $0.outputs.contains(loss.tensor) }
    if let column = producer?.countedLabels {
      self = .labelled(column: column)
      return
    }
    var (space, factor) = (loss.tensor.space, 1)
    while space != .positions {
      switch plan.spaces[space.id - 1] {
      case .multiple(let parent, let count): (space, factor) = (parent, factor * count)
      case .given:
        self = .given(plan.spaces[..<(space.id - 1)].count { $0 == .given }, factor)
        return
      }
    }
    self = .positions(factor)
  }

  func count(in lane: borrowing PackedLane) -> Int {
    switch self {
    case .labelled(let column): lane.labelledRows(column: column)
    case .positions(let factor): factor * lane.rows
    case .given(let space, let factor): factor * lane.spaces[space].rows
    }
  }
}
