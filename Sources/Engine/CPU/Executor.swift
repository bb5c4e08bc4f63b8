import Kernels

/// Runs a program: the one owner of its arena. A run without helpers allocates nothing.
// Unchecked: an executor belongs to one worker at a time.
package final class Executor: @unchecked Sendable {
  package let program: CPUProgram
  private let arena: FloatBuffer
  private let lanes: LaneMemory
  private let valueOffsets: IndexTable
  private let gradientOffsets: IndexTable
  private let weightOffsets: IndexTable
  /// By tensor the loss that it is, or −1; scales by loss.
  private let lossNumbers: IndexTable
  private let lossScales: UnsafeMutablePointer<Float>
  private let gradientPlace: UnsafeMutablePointer<GradientPlace>
  private let schedule: [Pass]
  /// By operation; empty in programs without a backward pass or without packed weights.
  private let lookAheads: [LookAhead]
  private let helpers: (any Helpers)?
  /// Where the seconds of each operation are added; nil, and free of cost, when nobody asks.
  var profile: OperationProfile?

  private var plan: Plan { program.plan }

  /// - Parameter store: the layout of the store that weights will come from; it has the slots of the
  ///   plan, and maybe others.
  /// - Parameter helpers: who takes part in a lane.
  init(_ program: CPUProgram, store: ParameterLayout, helpers: (any Helpers)? = nil) {
    self.program = program
    self.helpers = helpers
    let plan = program.plan
    arena = FloatBuffer(count: program.arenaCount)
    lanes = LaneMemory(plan, scratchCount: program.scratchCount)
    valueOffsets = IndexTable(plan.valueOffsets)
    gradientOffsets = IndexTable(plan.gradientOffsets)
    weightOffsets = IndexTable(store.offsets(of: plan.layout))
    var numbers = plan.valueOffsets.map { _ in -1 }
    for (number, loss) in plan.losses.enumerated() { numbers[loss.tensor.id] = number }
    lossNumbers = IndexTable(numbers)
    lossScales = .allocate(capacity: max(plan.losses.count, 1))
    lossScales.initialize(repeating: 1, count: max(plan.losses.count, 1))
    gradientPlace = .allocate(capacity: 1)
    schedule = plan.schedule
    lookAheads =
      plan.isTraining && program.factors.count > 0
      ? LookAhead.derive(plan.operations, plan.limits) : []
  }

  deinit {
    lossScales.deallocate()
    gradientPlace.deallocate()
  }

  /// Bytes of the arena at capacity.
  package var arenaBytes: Int { arena.count * MemoryLayout<Float>.stride }

  /// What a run reads of the model.
  struct Weights {
    var base: UnsafePointer<Float>
    /// The packed weights, in programs that have them.
    var packed: UnsafePointer<Float>?
    /// Where lookups find their rows; the last columns of the lane's inputs are ids.
    var tables: TableSources?
  }

  /// Runs a packed lane forward, without gradients.
  ///
  /// - Parameters:
  ///   - labelLogProbabilities: (rows) or empty.
  ///   - logProbabilities: (rows, V) or empty.
  ///   - taken: (rows, columns), of plans that leave rows; or empty.
  func score(
    _ lane: borrowing PackedLane, _ weights: Weights,
    labelLogProbabilities: UnsafeMutableBufferPointer<Float> = .init(start: nil, count: 0),
    logProbabilities: UnsafeMutableBufferPointer<Float> = .init(start: nil, count: 0),
    taken: UnsafeMutableBufferPointer<Float> = .init(start: nil, count: 0)
  ) {
    lanes.load(lane, plan) { view, inputs in
      view.tableView = weights.tables?.view(inputs, width: lane.tables)
      view.labelLogProbabilities = labelLogProbabilities
      view.logProbabilities = logProbabilities
      view.taken = taken
      forward(workspace(view, weights))
    }
  }

  /// Runs a packed lane forward and backward.
  ///
  /// - Parameters:
  ///   - staged: the table lookups, where the model has tables.
  ///   - lossScales: weight over the rows of the whole batch that count, by loss.
  ///   - gradients: where the gradients of parameters go; every slot is written.
  ///   - losses: the sum of each loss in nats, rows in order in Double.
  func train(
    _ lane: borrowing PackedLane, _ weights: Weights, staged: TableView?,
    lossScales: [Float], into gradients: some GradientTarget,
    losses: UnsafeMutableBufferPointer<Double>
  ) {
    for i in lossScales.indices { self.lossScales[i] = lossScales[i] }
    lanes.load(lane, plan) { view, _ in
      view.tableView = staged
      let workspace = workspace(view, weights)
      var before = profile?.now ?? 0
      for pass in schedule {
        let index = pass.operation
        guard pass.isBackward else {
          program.operations[index].forward(workspace)
          if let profile { before = profile.addForward(index, since: before) }
          continue
        }
        gradientPlace.initialize(to: gradients.begin(index))
        if lookAheads.count > 0 { lookAheads[index].announce(workspace) }
        program.operations[index].backward(workspace, plan.accumulations[index])
        gradients.end(index)
        if let profile { before = profile.addBackward(index, since: before) }
      }
      for (number, loss) in plan.losses.enumerated() {
        var total = 0.0
        for value in workspace.value(loss.tensor) { total += Double(value) }
        losses[number] = total
      }
    }
  }

  /// Runs one row for each live sequence.
  func decode(
    _ view: LaneView, inputs: UnsafeBufferPointer<Int32>, tables: Int,
    positions: UnsafeBufferPointer<Int32>, _ weights: Weights
  ) {
    lanes.loadRows(inputs: inputs, tables: tables, positions: positions)
    forward(workspace(view, weights))
  }

  private func forward(_ workspace: borrowing Workspace) {
    for index in program.operations.indices { program.operations[index].forward(workspace) }
  }

  private func workspace(_ view: LaneView, _ weights: Weights) -> Workspace {
    precondition(
      (weights.packed != nil) == (program.factors.count > 0), "packed weights do not fit the plan")
    return Workspace(
      precision: plan.limits.precision, helpers: helpers, lane: view, spaces: lanes.spaces,
      weights: weights.base,
      weightOffsets: weightOffsets.base, packed: weights.packed, factors: program.factors,
      gradients: plan.isTraining ? UnsafePointer(gradientPlace) : nil, arena: arena.base,
      valueOffsets: valueOffsets.base, gradientOffsets: gradientOffsets.base,
      scratchCount: program.scratchCount, lossScales: UnsafePointer(lossScales),
      lossNumbers: lossNumbers.base)
  }
}

/// Where an executor leaves the gradients of an operation's parameters.
protocol GradientTarget {
  /// Called before the backward pass of operation `index`.
  func begin(_ index: Int) -> GradientPlace
  /// Called after it.
  func end(_ index: Int)
}

/// A fixed array of integers that kernels' workspaces point into.
final class IndexTable {
  private let storage: UnsafeMutablePointer<Int>

  init(_ values: [Int]) {
    storage = .allocate(capacity: max(values.count, 1))
    for (i, value) in values.enumerated() { (storage + i).initialize(to: value) }
  }

  deinit { storage.deallocate() }

  var base: UnsafePointer<Int> { UnsafePointer(storage) }
}
