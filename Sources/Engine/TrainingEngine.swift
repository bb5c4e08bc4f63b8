import Kernels
import Parallel
import Support

/// The constants of AdamW and clipping, as torch.optim.AdamW and clip_grad_norm_ name them.
package struct OptimizerConstants: Sendable, Equatable {
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  /// Largest global gradient norm; infinity for no clipping.
  package var gradientClip: Double

  package init(
    beta1: Double = 0.9, beta2: Double = 0.98, epsilon: Double = 1e-8, weightDecay: Double = 0.1,
    gradientClip: Double = 1
  ) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.gradientClip = gradientClip
  }
}

/// How tables are updated, where it differs from the dense parameters.
package struct TableOptimizer: Sendable, Equatable {
  /// Multiplies the learning rate.
  package var learningRateMultiplier: Double
  package var weightDecay: Double

  package init(learningRateMultiplier: Double = 1, weightDecay: Double = 0) {
    self.learningRateMultiplier = learningRateMultiplier
    self.weightDecay = weightDecay
  }
}

/// What a training step tells.
package struct StepStatistics: Sendable, Equatable {
  /// Σ over predicted positions of −log p in nats.
  package var lossSum: Double
  /// Predicted positions of the batch.
  package var rows: Int
  /// Global norm of the gradient of the mean loss, before clipping.
  package var gradientNorm: Double

  /// Mean loss per predicted position in nats; 0 for an empty batch.
  package var meanLoss: Double { rows == 0 ? 0 : lossSum / Double(rows) }
}

/// A loss or gradient that is not a number, or infinite. The weights were not touched by the step.
package struct NonFiniteError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The step that failed, counted from 1.
  package let step: Int
  /// The first bad array, in the order of the model: `weight …`, `gradient of …` or `loss`.
  package let tensor: String

  package var description: String { "step \(step): \(tensor) is not finite" }
}

/// Data-parallel training over lanes.
///
/// The batch's gradient is that of the mean loss over all its predicted positions. Every lane runs
/// forward and backward on one worker; lane gradients are summed as a fixed binary tree over the
/// lane numbers, (0 + 1) + (2 + 3) and so on. So every bit of the weights depends on the lanes, not
/// on the number of threads. Memory holds log₂(lanes) gradients per worker, not one per lane.
// Unchecked: the loops below give each worker its own executor and its own part of the arrays.
package final class TrainingEngine: @unchecked Sendable {
  package let plan: Plan
  package let parameters: ParameterStore
  package let lanes: Int
  /// Steps done; the next one is `step + 1`. Restored by checkpoints.
  package var step = 0

  private let pool: WorkerPool
  private let executors: [Executor]
  private let blocks: [LaneBlock]
  private let packed: PackedFactors
  private var laneLosses: [Double]
  private var chunkNorms: [Double]
  private let updates: [Update]
  private var phases: StepProfile?
  private let tables: TableBatch?

  /// - Parameters:
  ///   - lanes: lanes of a batch, a power of two.
  ///   - threads: workers; more than `lanes` are of no use.
  package init(plan: Plan, parameters: ParameterStore, lanes: Int, threads: Int) {
    precondition(
      lanes > 0 && lanes & (lanes - 1) == 0, "lanes must be a power of two, got \(lanes)")
    precondition(plan.isTraining && parameters.hasMoments, "training needs its plan and moments")
    precondition(plan.layout == parameters.layout, "the parameters are another model's")
    self.plan = plan
    self.parameters = parameters
    self.lanes = lanes
    let workers = min(max(threads, 1), lanes)
    pool = WorkerPool(threads: workers)
    executors = (0..<workers).map { _ in Executor(plan) }
    packed = PackedFactors(plan.factors)
    var blockCount = 1
    while blockCount < workers { blockCount *= 2 }
    let lanesPerBlock = lanes / blockCount
    blocks = (0..<blockCount).map { LaneBlock($0, lanes: lanesPerBlock, count: plan.layout.count) }
    laneLosses = [Double](repeating: 0, count: lanes)
    let chunks = (plan.layout.count + Self.chunk - 1) / Self.chunk
    chunkNorms = [Double](repeating: 0, count: chunks)
    tables =
      parameters.tables.isEmpty
      ? nil
      : TableBatch(parameters.tables, lanes: lanes, capacity: lanes * plan.limits.rows)
    updates = plan.layout.slots.flatMap { slot in
      stride(from: slot.offset, to: slot.offset + slot.count, by: Self.chunk).map {
        Update(
          range: $0..<min($0 + Self.chunk, slot.offset + slot.count), decay: slot.decay)
      }
    }
  }

  /// Floats of the flat arrays that are summed, measured and updated at a time.
  private static let chunk = 1 << 15

  /// A part of one slot that one task of the optimizer updates.
  private struct Update {
    var range: Range<Int>
    var decay: Bool
  }

  /// One whole step: gradients, clipping, AdamW.
  ///
  /// - Parameters:
  ///   - batch: exactly `lanes` lanes; empty ones are welcome.
  ///   - tableOptimizer: for parameters that are tables; the norm that clips is over all parameters.
  /// - Throws: `NonFiniteError` before any weight is changed.
  package func step(
    _ batch: [PackedLane], learningRate: Double, optimizer: OptimizerConstants,
    tableOptimizer: TableOptimizer = TableOptimizer()
  ) throws -> StepStatistics {
    let statistics = try computeGradients(batch)
    let clip = min(1, optimizer.gradientClip / (statistics.gradientNorm + 1e-6))
    step += 1
    let scalars = { [step] (decay: Bool) in
      AdamWScalars(
        step: step, learningRate: learningRate, beta1: optimizer.beta1, beta2: optimizer.beta2,
        epsilon: optimizer.epsilon, weightDecay: decay ? optimizer.weightDecay : 0,
        gradientScale: clip)
    }
    let (decayed, plain) = (scalars(true), scalars(false))
    let start = clock()
    forEachTask(updates.count) { [self] _, task in
      let update = updates[task]
      let part = { (base: UnsafeMutablePointer<Float>) in
        UnsafeMutableBufferPointer(
          start: base + update.range.lowerBound, count: update.range.count)
      }
      var weights = part(parameters.weights.base).mutableSpan
      var m = part(parameters.firstMoment.base).mutableSpan
      var v = part(parameters.secondMoment.base).mutableSpan
      adamW(
        &weights, m: &m, v: &v, part(blocks[0].total).span, update.decay ? decayed : plain)
    }
    if let tables {
      let scalars = AdamWScalars(
        step: step, learningRate: learningRate * tableOptimizer.learningRateMultiplier,
        beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon,
        weightDecay: tableOptimizer.weightDecay, gradientScale: clip)
      tables.update(step: step, scalars, pool)
      parameters.tableHistory.append(scalars)
    }
    let seconds = clock() - start
    phases?.optimizer += seconds
    phases?.steps += 1
    return statistics
  }

  /// Starts a new profile of the steps to come, or ends profiling. Costs two clock readings an
  /// operation while on, nothing while off.
  package func setProfiling(_ isOn: Bool) {
    phases = isOn ? StepProfile(operations: plan.operations.count) : nil
    for executor in executors {
      executor.profile = isOn ? OperationProfile(operations: plan.operations.count) : nil
    }
  }

  /// Where the time of the steps since `setProfiling(true)` went; nil when profiling is off.
  package var profile: StepProfile? {
    guard var result = phases else { return nil }
    for case let profile? in executors.map(\.profile) { result.add(profile) }
    return result
  }

  /// Workers, at most the lanes.
  package var threads: Int { pool.threads }

  private func clock() -> Double { phases == nil ? 0 : Host.monotonicSeconds }

  /// Leaves the gradient of the batch's mean loss in place and returns loss and norm.
  ///
  /// - Throws: `NonFiniteError` when either is not finite.
  package func computeGradients(_ batch: [PackedLane]) throws -> StepStatistics {
    precondition(batch.count == lanes, "a batch of \(batch.count) lanes for \(lanes)")
    let rows = batch.reduce(0) { $0 + $1.rows }
    let scale = 1 / Float(max(rows, 1))
    let start = clock()
    packed.fill(from: parameters.weights.base, pool)
    if let tables {
      precondition(
        parameters.tableHistory.count == step,
        "tables know \(parameters.tableHistory.count) steps of \(step)")
      tables.stage(batch, parameters.tableHistory, pool)
    }
    laneLosses.withUnsafeMutableBufferPointer { losses in
      nonisolated(unsafe) let losses = losses
      pool.forEach(0..<blocks.count) { [self] worker, block in
        blocks[block].accumulate { lane, gradients in
          losses[lane] = executors[worker].run(
            batch[lane], weights: parameters.weights.base, packed: packed.base,
            gradients: gradients, staged: tables?.view(lane: lane), lossScale: scale)
        }
      }
    }
    let forwardBackward = clock()
    let norm = (reduceBlocks() + (tables?.sumGradients(pool) ?? 0)).squareRoot()
    let reduced = clock()
    phases?.lanes += forwardBackward - start
    phases?.reduction += reduced - forwardBackward
    let statistics = StepStatistics(lossSum: sumLaneLosses(), rows: rows, gradientNorm: norm)
    if !statistics.lossSum.isFinite || !norm.isFinite {
      throw NonFiniteError(step: step + 1, tensor: firstBadTensor())
    }
    return statistics
  }

  /// The gradient of one slot that the last `computeGradients` or `step` left, before clipping.
  package func gradient(of slot: ParameterSlot) -> [Float] {
    Array(UnsafeBufferPointer(start: blocks[0].total + slot.offset, count: slot.count))
  }

  /// The rows of table `table` that the last `computeGradients` or `step` used, ascending, and their
  /// gradients (rows, width), before clipping.
  package func tableGradient(_ table: Int) -> (rows: [Int32], values: [Float]) {
    tables?.gradient(table: table) ?? ([], [])
  }

  /// Different rows of table `table` that the last step used.
  package func tableRows(_ table: Int) -> Int { tables?.rowCount(table: table) ?? 0 }

  /// Bytes of activations, gradients and packed weights at capacity, all workers together.
  package var workingBytes: Int {
    executors.reduce(packed.bytes) { $0 + $1.arenaBytes }
      + blocks.reduce(0) { $0 + $1.buffers.count } * plan.layout.count * 4 + (tables?.bytes ?? 0)
  }

  /// Sums the blocks as the upper part of the lane tree into block 0 and returns Σ g² in Double:
  /// fixed chunks, in order.
  private func reduceBlocks() -> Double {
    chunkNorms.withUnsafeMutableBufferPointer { norms in
      nonisolated(unsafe) let norms = norms
      forEachTask(norms.count) { [self] _, task in
        let first = task * Self.chunk
        let count = min(Self.chunk, plan.layout.count - first)
        let part = { (block: Int) in
          UnsafeMutableBufferPointer(start: self.blocks[block].total + first, count: count)
        }
        var distance = 1
        while distance < blocks.count {
          for block in stride(from: 0, to: blocks.count, by: 2 * distance) {
            var sum = part(block).mutableSpan
            add(part(block + distance).span, to: &sum)
          }
          distance *= 2
        }
        norms[task] = squaredNorm(part(0).span)
      }
    }
    return chunkNorms.reduce(0, +)
  }

  /// Small loops stay on the calling thread: waking others costs more.
  private func forEachTask(_ tasks: Int, _ body: @Sendable (Int, Int) -> Void) {
    if plan.layout.count <= 4 * Self.chunk {
      for task in 0..<tasks { body(0, task) }
    } else {
      pool.forEach(0..<tasks, body)
    }
  }

  /// Σ of the lanes' losses as a binary tree, in their own place.
  private func sumLaneLosses() -> Double {
    var distance = 1
    while distance < laneLosses.count {
      for i in stride(from: 0, to: laneLosses.count, by: 2 * distance) {
        laneLosses[i] += laneLosses[i + distance]
      }
      distance *= 2
    }
    return laneLosses[0]
  }

  private func firstBadTensor() -> String {
    for slot in parameters.layout.slots
    where !parameters.values(slot).allSatisfy(\.isFinite) { return "weight \(slot.name)" }
    for slot in parameters.layout.slots
    where !gradient(of: slot).allSatisfy(\.isFinite) { return "gradient of \(slot.name)" }
    return tables?.firstBadTensor() ?? "loss"
  }
}

/// A run of lanes on one worker: the lower part of the lane tree, summed as a binary counter.
private final class LaneBlock: @unchecked Sendable {
  let first: Int
  let lanes: Int
  /// One flat gradient per level of the tree. The sum ends in the first.
  let buffers: [GradientBuffer]

  init(_ index: Int, lanes: Int, count: Int) {
    self.lanes = lanes
    first = index * lanes
    var levels = 1
    while 1 << (levels - 1) < lanes { levels += 1 }
    buffers = (0..<levels).map { _ in GradientBuffer(count: count) }
  }

  var total: UnsafeMutablePointer<Float> { buffers[0].floats.base }

  /// Calls `body` for each lane with the array to fill, adding up pairs as they complete.
  func accumulate(_ body: (_ lane: Int, _ gradients: UnsafeMutablePointer<Float>) -> Void) {
    var depth = 0
    for lane in 0..<lanes {
      body(first + lane, buffers[depth].floats.base)
      var rest = lane
      while rest & 1 == 1 {
        var sum = buffers[depth - 1].floats.buffer.mutableSpan
        add(buffers[depth].floats.buffer.span, to: &sum)
        depth -= 1
        rest >>= 1
      }
      depth += 1
    }
  }
}

/// A box for the noncopyable buffer, so that an array can hold it.
private final class GradientBuffer {
  let floats: FloatBuffer
  init(count: Int) { floats = FloatBuffer(count: count) }
}
