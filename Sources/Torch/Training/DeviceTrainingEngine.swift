import Engine
import Kernels
import Support

/// Training by libtorch: the rows of all lanes of a batch are one, on one device.
///
/// It minimises what `TrainingEngine` does and makes the same steps, but sums in other orders. The bits
/// depend on the batch, the device and the library: the same in every run, and after kill and resume.
///
/// Source of the clipping and of AdamW: torch.nn.utils.clip_grad_norm_ and torch.optim.AdamW.
package final class DeviceTrainingEngine: TrainingDevice {
  package let plan: Plan
  package let parameters: ParameterStore
  package var step = 0
  package let library: TorchLibrary

  private let program: TorchProgram
  private let weights: DeviceParameters
  private let tables: DeviceTables?
  /// Where its tables lie; nil where it has none.
  package let tableMemory: DeviceTablePlace?
  /// Slots whose weights decay, and those whose do not.
  private let decayed, plain: [Int]
  private let attention: AttentionForm?
  private var losses: [LossSum]

  /// - Parameters:
  ///   - parameters: what the device begins with; see `TrainingDevice`.
  ///   - lanes: lanes of a batch.
  ///   - source: the configuration, for errors.
  ///   - attention: how it is computed; nil: as is fastest.
  ///   - tableMemory: where tables lie; nil: on the device if it has room for them.
  ///   - threads: that move rows of tables in this machine's memory.
  /// - Throws: `UserError` for a model that libtorch is not told how to compute, or one that the device has
  ///   no room for.
  package init(
    plan: Plan, parameters: ParameterStore, lanes: Int, _ library: TorchLibrary, source: String,
    attention: AttentionForm? = nil, tableMemory: DeviceTablePlace? = nil, threads: Int = 1
  ) throws {
    precondition(parameters.hasMoments, "training needs moments")
    precondition(plan.layout == parameters.layout, "the parameters are another model's")
    self.plan = plan
    self.parameters = parameters
    self.library = library
    self.attention = attention
    program = try TorchProgram(plan, moments: parameters.tables.first?.moments)
    do {
      weights = try DeviceParameters(plan.layout, precision: plan.limits.precision, library)
      try weights.load(parameters)
    } catch let error as UserError {
      throw Self.noRoom(for: "the model", 16 * plan.layout.count, error, library, source: source)
    }
    let stores = parameters.tables
    let make = { (memory: DeviceTablePlace) in
      let tables = try DeviceTables(
        stores, in: memory, capacity: lanes * plan.limits.rows, threads: threads, library)
      try tables.load()
      return tables
    }
    let wanted = stores.isEmpty ? nil : tableMemory ?? .device
    do {
      tables = try wanted.map(make)
      self.tableMemory = wanted
    } catch let error as UserError {
      guard wanted == .device, tableMemory == nil else {
        let bytes = plan.layout.tables.reduce(0) {
          $0 + $1.bytes(moments: stores.first?.moments ?? .float32)
        }
        throw Self.noRoom(for: "the tables", bytes, error, library, source: source)
      }
      tables = try make(.host)
      self.tableMemory = .host
    }
    let slots = plan.layout.slots
    decayed = slots.indices.filter { slots[$0].decay }
    plain = slots.indices.filter { !slots[$0].decay }
    losses = plan.losses.map { _ in LossSum(sum: 0, rows: 0) }
  }

  private static func noRoom(
    for what: String, _ bytes: Int, _ error: UserError, _ library: TorchLibrary, source: String
  ) -> UserError {
    UserError(
      "\(source): \(library.device.rawValue) has no room for \(what)",
      expected:
        "\(Progress.short(Double(bytes)))B for weights, gradients and moments, and more for a batch",
      found: error.found ?? error.description,
      remedy: what == "the model"
        ? "Take a smaller model, or leave training.device out."
        : "Give --device-tables host, by which they stay in this machine's memory, or take fewer rows."
    )
  }

  package func loadParameters() throws {
    try weights.load(parameters)
    try tables?.load()
  }

  package func saveParameters() throws {
    try weights.save(into: parameters)
    try tables?.save()
  }

  /// Of gradients; what a batch takes beside them is the library's business.
  package var workingBytes: Int { 4 * plan.layout.count }

  // MARK: - Steps

  package func step(
    _ batch: [PackedLane], learningRate: Double, optimizer: OptimizerConstants,
    tableOptimizer: TableOptimizer, ahead: () throws -> [PackedLane]? = { nil }
  ) throws -> StepStatistics {
    let statistics = try computeGradients(batch, ahead: ahead)
    let clip = min(1, optimizer.gradientClip / (statistics.gradientNorm + 1e-6))
    step += 1
    let count = try DeviceTensor.filled([], with: Double(step), library)
    let divisor = try clip < 1 ? DeviceTensor.filled([], with: 1 / clip, library) : nil
    for (slots, decay) in [(decayed, optimizer.weightDecay), (plain, 0)] where !slots.isEmpty {
      try library.adamW(
        slots.map { weights.weights[$0] }, m: slots.map { weights.first[$0] },
        v: slots.map { weights.second[$0] }, slots.map { weights.gradients[$0] }, step: count,
        learningRate: learningRate, beta1: optimizer.beta1, beta2: optimizer.beta2,
        weightDecay: decay, epsilon: optimizer.epsilon, divisor: divisor)
    }
    if let tables {
      let rows = AdamWScalars(
        step: step, learningRate: learningRate * tableOptimizer.learningRateMultiplier,
        beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon,
        weightDecay: tableOptimizer.weightDecay, gradientScale: clip)
      try tables.update(step: step, rows)
      parameters.appendToTableHistory(rows)
    }
    return statistics
  }

  /// Leaves the gradient of the batch's weighted mean losses on the device and returns loss and norm.
  ///
  /// - Parameter ahead: see `TrainingDevice.step`.
  /// - Throws: `NonFiniteError` when one is not finite, and `UserError` where the device has no room.
  package func computeGradients(
    _ lanes: [PackedLane], ahead: () throws -> [PackedLane]? = { nil }
  ) throws -> StepStatistics {
    let batch = try DeviceBatch(lanes, plan, library)
    let counts = plan.losses.map { loss in
      let producer = plan.operations.first { $0.outputs.contains(loss.tensor) }
      guard let column = producer?.countedLabels else { return batch[loss.tensor.space].count }
      return lanes.reduce(0) { $0 + $1.labelledRows(column: column) }
    }
    weights.begin()
    try tables?.stage(lanes, parameters.tableHistory)
    let run = DeviceRun(
      plan, library, batch, weights: weights, tables: tables,
      scales: zip(plan.losses, counts).map { Float($0.weight) / Float(max($1, 1)) },
      attention: attention)
    var numbers = try run.train(program)
    numbers.append(try weights.squaredNorm())
    numbers += try tables?.squaredNorms() ?? []
    // All that is called for up to here a GPU does by itself; the next line waits for it.
    if let next = try ahead() { try tables?.prepare(next) }
    let values = try DeviceTensor.joined(numbers.map { try $0.reshaped([1]) }, along: 0).doubles()
    for number in losses.indices {
      losses[number] = LossSum(sum: values[number], rows: counts[number])
    }
    let norm = values[losses.count...].reduce(0, +).squareRoot()
    let badLoss = losses.indices.first { !values[$0].isFinite }
    if badLoss != nil || !norm.isFinite {
      throw NonFiniteError(
        step: step + 1,
        tensor: try firstBadTensor() ?? badLoss.map { "loss \(plan.losses[$0].name)" }
          ?? "gradient norm")
    }
    return StepStatistics(nextToken: losses[0], gradientNorm: norm)
  }

  // MARK: - What a step left

  package func lossSum(_ number: Int) -> LossSum { losses[number] }

  /// The gradient of one slot that the last `computeGradients` left, before clipping.
  package func gradient(of slot: ParameterSlot) throws -> [Float] {
    guard let number = plan.layout.slots.firstIndex(of: slot) else {
      preconditionFailure("no slot \(slot.name)")
    }
    return try weights.gradients[number].floats()
  }

  /// The rows of table `table` that the last batch used, ascending, and their gradients (rows, width).
  package func tableGradient(_ table: Int) throws -> (rows: [Int32], values: [Float]) {
    try tables?.gradient(of: table) ?? ([], [])
  }

  private func firstBadTensor() throws -> String? {
    for (i, slot) in plan.layout.slots.enumerated()
    where try !weights.weights[i].floats().allSatisfy(\.isFinite) { return "weight \(slot.name)" }
    for (i, slot) in plan.layout.slots.enumerated()
    where try !weights.gradients[i].floats().allSatisfy(\.isFinite) {
      return "gradient of \(slot.name)"
    }
    return try tables?.firstBadTensor()
  }
}
