/// Runs a plan: the one owner of its arena. A run allocates nothing.
// Unchecked: an executor belongs to one worker at a time.
package final class Executor: @unchecked Sendable {
  package let plan: Plan
  private let arena: FloatBuffer
  private let positions: UnsafeMutableBufferPointer<Int32>
  private let valueOffsets: UnsafeMutableBufferPointer<Int>
  private let gradientOffsets: UnsafeMutableBufferPointer<Int>
  /// By operation; empty in plans without a backward pass or without packed weights.
  private let lookAheads: [LookAhead]
  /// Where the seconds of each operation are added; nil, and free of cost, when nobody asks.
  var profile: OperationProfile?

  package init(_ plan: Plan) {
    self.plan = plan
    arena = FloatBuffer(count: plan.arenaCount)
    positions = .allocate(capacity: plan.limits.rows)
    valueOffsets = .allocate(capacity: plan.valueOffsets.count)
    gradientOffsets = .allocate(capacity: plan.gradientOffsets.count)
    lookAheads =
      plan.isTraining && plan.factors.count > 0
      ? LookAhead.derive(plan.operations, plan.limits) : []
    positions.initialize(repeating: 0)
    _ = valueOffsets.initialize(from: plan.valueOffsets)
    _ = gradientOffsets.initialize(from: plan.gradientOffsets)
  }

  deinit {
    positions.deallocate()
    valueOffsets.deallocate()
    gradientOffsets.deallocate()
  }

  /// Bytes of the arena at capacity.
  package var arenaBytes: Int { arena.count * MemoryLayout<Float>.stride }

  /// Runs a packed lane forward and, in a training plan, backward.
  ///
  /// - Parameters:
  ///   - packed: the packed weights, in plans that have them.
  ///   - gradients: the flat gradient array to fill; every slot is overwritten.
  ///   - tables: where lookups find their rows; the last columns of the lane's inputs are ids.
  ///   - staged: the lookups themselves instead, when training.
  ///   - lossScale: 1 / (rows of the whole batch).
  ///   - labelLogProbabilities: (rows) or empty, when scoring.
  ///   - logProbabilities: (rows, V) or empty, when scoring.
  /// - Returns: the sum of the losses in nats, rows in order in Double; 0 when not training.
  func run(
    _ lane: borrowing PackedLane, weights: UnsafePointer<Float>,
    packed: UnsafePointer<Float>? = nil, gradients: UnsafeMutablePointer<Float>? = nil,
    tables: TableSources? = nil, staged: TableView? = nil, lossScale: Float = 1,
    labelLogProbabilities: UnsafeMutableBufferPointer<Float> = .init(start: nil, count: 0),
    logProbabilities: UnsafeMutableBufferPointer<Float> = .init(start: nil, count: 0)
  ) -> Double {
    let rows = lane.rows
    precondition(
      rows <= plan.limits.rows && lane.longestSegment <= plan.limits.segment
        && lane.segmentOffsets[lane.segments] == rows,
      "a lane of \(rows) rows, sentences up to \(lane.longestSegment), for a plan of \(plan.limits)"
    )
    for segment in 0..<lane.segments {
      let (first, end) = (lane.segmentOffsets[segment], lane.segmentOffsets[segment + 1])
      for row in first..<end { positions[row] = Int32(truncatingIfNeeded: row - first) }
    }
    return lane.inputs.withUnsafeBufferPointer { inputs in
      lane.labels.withUnsafeBufferPointer { labels in
        lane.segmentOffsets.withUnsafeBufferPointer { offsets in
          let view = LaneView(
            inputs: inputs, tables: lane.tables,
            tableView: staged ?? tables?.view(inputs, width: lane.tables),
            positions: UnsafeBufferPointer(rebasing: positions[..<rows]), labels: labels,
            offsets: offsets, labelLogProbabilities: labelLogProbabilities,
            logProbabilities: logProbabilities)
          return run(
            view, rows: rows, weights: weights, packed: packed, gradients: gradients,
            lossScale: lossScale)
        }
      }
    }
  }

  /// Runs the plan on a view of a lane.
  func run(
    _ lane: LaneView, rows: Int, weights: UnsafePointer<Float>,
    packed: UnsafePointer<Float>? = nil,
    gradients: UnsafeMutablePointer<Float>? = nil, lossScale: Float = 1
  ) -> Double {
    precondition((packed != nil) == (plan.factors.count > 0), "packed weights do not fit the plan")
    guard let values = valueOffsets.baseAddress, let slopes = gradientOffsets.baseAddress else {
      return 0
    }
    let workspace = Workspace(
      rows: rows, precision: plan.limits.precision, lossScale: lossScale, lane: lane,
      weights: weights, packed: packed,
      factors: plan.factors, gradients: gradients,
      arena: arena.base, valueOffsets: values, gradientOffsets: slopes,
      stride: Plan.padded(rows), scratchCount: plan.scratchCount)
    if let profile {
      runTimed(workspace, profile)
    } else {
      for index in plan.operations.indices { plan.operations[index].forward(workspace) }
      if plan.isTraining {
        for index in plan.operations.indices.reversed() { backward(index, workspace) }
      }
    }
    if !plan.isTraining { return 0 }
    var total = 0.0
    for loss in workspace.value(plan.result) { total += Double(loss) }
    return total
  }

  func backward(_ index: Int, _ workspace: borrowing Workspace) {
    if lookAheads.count > 0 { lookAheads[index].announce(workspace) }
    plan.operations[index].backward(workspace, plan.accumulations[index])
  }
}
