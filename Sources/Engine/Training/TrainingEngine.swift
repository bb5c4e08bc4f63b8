import Kernels
import Parallel
import Support

/// Data-parallel training over lanes, on the workers of one or several ranks.
///
/// The batch's gradient is that of Σ over losses of weight · (mean over all rows of the batch that
/// count). Every lane runs forward and backward on one worker (`GradientSource`); the lanes' gradients
/// are summed in a fixed order (`LaneSum`); then every rank makes the step for what it holds of the moments
/// (`AdamWUpdate`), and gets the others' weights. So every bit of the weights depends on the lanes, not on
/// the number of threads or ranks.
// Unchecked: the loops below give each worker its own part of the arrays.
package final class TrainingEngine: TrainingDevice, @unchecked Sendable {
  package let plan: Plan
  package let parameters: ParameterStore
  package let lanes: Int
  /// The ranks that share the lanes.
  package let ranks: any Communicator
  /// Steps done; the next one is `step + 1`. Restored by checkpoints.
  package var step = 0

  private let pool: WorkerPool
  private let source: GradientSource
  private let sum: LaneSum
  private let update: AdamWUpdate
  private let tables: (any TableStep)?
  private var phases: StepProfile?
  private var helpedBefore = 0.0

  /// - Parameters:
  ///   - lanes: lanes of a batch, a power of two.
  ///   - threads: workers; those beyond this rank's lanes help with them.
  ///   - ranks: a power of two of them, at most the lanes; each has all parameters, or its share of them.
  ///   - sharesPairs: whether two lanes fill one gradient; nil: where it is large. It changes no bit.
  package init(
    plan: Plan, parameters: ParameterStore, lanes: Int, threads: Int,
    ranks: any Communicator = LocalCommunicator(), sharesPairs: Bool? = nil
  ) {
    precondition(
      lanes > 0 && lanes & (lanes - 1) == 0, "lanes must be a power of two, got \(lanes)")
    precondition(
      ranks.size & (ranks.size - 1) == 0 && ranks.size <= lanes,
      "\(ranks.size) ranks for \(lanes) lanes")
    precondition(plan.isTraining && parameters.hasMoments, "training needs its plan and moments")
    precondition(plan.layout == parameters.layout, "the parameters are another model's")
    let share = RankShare(rank: ranks.rank, size: ranks.size)
    let shares = [parameters.share] + parameters.tables.map(\.share)
    precondition(
      shares.allSatisfy { $0.isWhole || $0 == share } && Set(shares[1...].map(\.size)).count <= 1,
      "the parameters are another rank's")
    self.plan = plan
    self.parameters = parameters
    self.lanes = lanes
    self.ranks = ranks
    pool = WorkerPool(threads: max(threads, 1))
    let workers = min(pool.threads, lanes / ranks.size)
    source = GradientSource(
      CPUProgram(plan), parameters: parameters, lanes: lanes, workers: workers, pool: pool)
    sum = LaneSum(plan, lanes: lanes, workers: workers, ranks: ranks, sharesPairs: sharesPairs)
    update = AdamWUpdate(parameters)
    let capacity = lanes * plan.limits.rows
    if parameters.tables.isEmpty {
      tables = nil
    } else if parameters.tables[0].share.isWhole {
      tables = TableBatch(parameters.tables, lanes: lanes, capacity: capacity, ranks: ranks)
    } else {
      tables = SharedTableBatch(parameters.tables, lanes: lanes, capacity: capacity, ranks: ranks)
    }
  }

  /// One whole step: gradients, clipping, AdamW.
  ///
  /// - Parameters:
  ///   - batch: exactly `lanes` lanes, the same on every rank; empty ones are welcome.
  ///   - tableOptimizer: for parameters that are tables; the norm that clips is over all parameters.
  /// - Throws: `NonFiniteError` before any weight is changed, and `RanksAborted`.
  package func step(
    _ batch: [PackedLane], learningRate: Double, optimizer: OptimizerConstants,
    tableOptimizer: TableOptimizer = TableOptimizer()
  ) throws -> StepStatistics {
    let statistics = try computeGradients(batch)
    let clip = min(1, optimizer.gradientClip / (statistics.gradientNorm + 1e-6))
    step += 1
    let start = clock()
    if parameters.share.isWhole { try sum.gather(sum.total) }
    update.apply(
      sum.total, tables, step: step, learningRate: learningRate, clip: clip, optimizer,
      tableOptimizer, pool)
    if !parameters.share.isWhole { try sum.gather(parameters.weights.base) }
    let seconds = clock() - start
    phases?.optimizer += seconds
    phases?.steps += 1
    return statistics
  }

  /// Leaves the gradient of the batch's weighted mean losses in place and returns loss and norm.
  ///
  /// - Throws: `NonFiniteError` when one is not finite, and `RanksAborted`.
  package func computeGradients(_ batch: [PackedLane]) throws -> StepStatistics {
    precondition(batch.count == lanes, "a batch of \(batch.count) lanes for \(lanes)")
    let start = clock()
    source.prepare(batch, pool)
    if let tables {
      precondition(
        parameters.tableHistory.count == step,
        "tables know \(parameters.tableHistory.count) steps of \(step)")
      try tables.stage(batch, parameters.tableHistory, pool)
    }
    sum.run(pool) { [source, tables] worker, lane, gradients in
      source.run(
        lane, of: batch, on: worker, staged: tables?.view(lane: lane), into: gradients)
    } _: { [source, tables] worker, lane, gradients in
      source.run(
        lane, of: batch, on: worker, staged: tables?.view(lane: lane), into: gradients)
    }
    let forwardBackward = clock()
    try source.sumLosses(lanes: lanes, ranks)
    let norm = (try sum.finish(pool) + (tables?.sumGradients(pool) ?? 0)).squareRoot()
    let reduced = clock()
    phases?.lanes += forwardBackward - start
    phases?.reduction += reduced - forwardBackward
    let badLoss = source.firstBadLoss
    if badLoss != nil || !norm.isFinite {
      throw NonFiniteError(
        step: step + 1, tensor: try firstBadTensor() ?? badLoss ?? "gradient norm")
    }
    return StepStatistics(nextToken: source.loss(0), gradientNorm: norm)
  }

  // MARK: - What a step left

  /// Loss number `number` of the plan, of the last step.
  package func lossSum(_ number: Int) -> LossSum { source.loss(number) }

  /// The gradient of one slot that the last `computeGradients` or `step` left, before clipping. Of several
  /// ranks each has its part of it.
  package func gradient(of slot: ParameterSlot) -> [Float] {
    Array(UnsafeBufferPointer(start: sum.total + slot.offset, count: slot.count))
  }

  /// The rows of table `table` that the last `computeGradients` or `step` used, ascending, and their
  /// gradients (rows, width), before clipping; of rows that ranks share, those of this rank.
  package func tableGradient(_ table: Int) -> (rows: [Int32], values: [Float]) {
    tables?.gradient(table: table) ?? ([], [])
  }

  /// Different rows of table `table` that the last step used.
  package func tableRows(_ table: Int) -> Int { tables?.rowCount(table: table) ?? 0 }

  /// The first array that is not finite, on whichever rank it lies: weights, then gradients, then tables.
  private func firstBadTensor() throws -> String? {
    let slots = parameters.layout.slots
    try sum.gather(sum.total)
    var bad = slots.firstIndex { !parameters.values($0).allSatisfy(\.isFinite) }
    bad =
      bad ?? slots.firstIndex { !gradient(of: $0).allSatisfy(\.isFinite) }.map { slots.count + $0 }
    bad = bad ?? tables?.firstBadArray().map { 2 * slots.count + $0 }
    let first = try ranks.least(bad ?? .max)
    if first == .max { return nil }
    if first < slots.count { return "weight \(slots[first].name)" }
    if first < 2 * slots.count { return "gradient of \(slots[first - slots.count].name)" }
    let place = first - 2 * slots.count
    let name = parameters.tables[place / 2].slot.name
    return place % 2 == 0 ? "weight \(name)" : "gradient of \(name)"
  }

  // MARK: - Costs

  /// Thread-seconds of workers without a lane since the start.
  package var helpTimes: HelpTimes { pool.helpTimes }

  /// Workers of this rank.
  package var threads: Int { pool.threads }

  /// Bytes of activations, gradients and packed weights at capacity, all workers together.
  package var workingBytes: Int { source.bytes + sum.bytes + (tables?.bytes ?? 0) }

  /// Starts a new profile of the steps to come, or ends profiling. Costs two clock readings an
  /// operation while on, nothing while off.
  package func setProfiling(_ isOn: Bool) {
    phases = isOn ? StepProfile(operations: plan.operations.count) : nil
    helpedBefore = pool.helpTimes.helping
    source.setProfiling(isOn)
  }

  /// Where the time of the steps since `setProfiling(true)` went; nil when profiling is off.
  package var profile: StepProfile? {
    guard var result = phases else { return nil }
    result.helping = pool.helpTimes.helping - helpedBefore
    source.addProfiles(to: &result)
    return result
  }

  private func clock() -> Double { phases == nil ? 0 : Host.monotonicSeconds }
}
