/// A traced model, frozen: the order of work, where each activation and gradient lies, and whether
/// each gradient is written or added to. It says nothing of a device.
///
/// Buffers are laid out by liveness: two activations of a space share memory when one is dead before
/// the other is born. Time runs over the forward pass, then over the backward pass in reverse; parts
/// that are postponed run forward right before they run backward. Places are counted in columns of their space; a run multiplies them by its own rows, so that a lane takes
/// the memory of its rows, not that of `limits`.
package struct Plan: Sendable {
  package let mode: GraphMode
  package let layout: ParameterLayout
  package let limits: Limits
  package let operations: [any Operation]
  /// Parts that run forward right before they run backward; see `GraphBuilder.postpone`.
  package let postponed: [Range<Int>]
  /// The order in which a run makes the passes of the operations.
  package let schedule: [Pass]
  /// One for each operation, in forward order.
  package let accumulations: [Accumulation]
  /// What training minimises, the next-token loss first; without gradients, what is computed of it.
  package let losses: [Loss]
  /// Of every space behind the positions.
  package let spaces: [RowCount]
  package let links: [RowLink]
  /// First column of each activation's value and gradient; −1 where there is none.
  let valueOffsets: [Int]
  let gradientOffsets: [Int]
  /// The space of each activation.
  let tensorSpaces: [Int]
  /// Columns of each space's part of the arena.
  let extents: [Int]

  /// - Throws: `PlanError` for a graph that cannot be run.
  package init(checking builder: GraphBuilder, limits: Limits) throws(PlanError) {
    var planner = try Planner(builder)
    try planner.deriveGradients()
    planner.placeBuffers()
    mode = builder.mode
    layout = builder.layout
    self.limits = limits
    operations = builder.operations
    postponed = builder.postponed
    schedule = planner.schedule
    losses = builder.losses
    spaces = builder.spaces
    links = builder.links
    accumulations = planner.accumulations
    valueOffsets = planner.offsets(of: planner.values)
    gradientOffsets = planner.offsets(of: planner.gradients)
    tensorSpaces = builder.tensors.map(\.space.id)
    extents = planner.extents
    let given = spaces.count { $0 == .given }
    if limits.given.count != given {
      throw PlanError("limits of \(limits.given.count) given spaces for \(given)")
    }
  }

  /// A plan of a graph that is right by construction.
  package init(_ builder: GraphBuilder, limits: Limits) {
    do {
      try self.init(checking: builder, limits: limits)
    } catch {
      preconditionFailure(error.description)
    }
  }

  package var isTraining: Bool { mode == .training }

  /// The limits of every space, the positions first.
  package var rowLimits: [Limits.Rows] {
    var result = [Limits.Rows(rows: limits.rows, segment: limits.segment)]
    var given = limits.given.makeIterator()
    for space in spaces {
      switch space {
      case .given: result.append(given.next() ?? Limits.Rows(rows: 0, segment: 0))
      case .multiple(let parent, let count):
        result.append(Limits.Rows(rows: count * result[parent.id].rows, segment: 1))
      }
    }
    return result
  }

  /// Forward FLOPs of a sentence of `length` rows; a training step does three times as many.
  ///
  /// - Parameter given: rows for each position in each space whose rows the lane brings.
  package func forwardFLOPs(sentence length: Int, given: [Double] = []) -> Double {
    let position = Double(length + 1) / 2
    var (rows, next) = ([1.0], 0)
    for space in spaces {
      switch space {
      case .given:
        rows.append(next < given.count ? given[next] : 0)
        next += 1
      case .multiple(let parent, let count): rows.append(Double(count) * rows[parent.id])
      }
    }
    return operations.reduce(0) { $0 + $1.flops(position: position) * rows[$1.space.id] }
      * Double(length)
  }

  /// A table of the operations: shapes, bytes of values and FLOPs of the forward pass at capacity.
  package var description: String {
    var lines = [row("operation", "inputs", "outputs", "parameters", "bytes", "forward MFLOP")]
    let rows = rowLimits
    func shape(_ tensors: [Tensor]) -> String {
      tensors.map {
        "(\($0.space == .positions ? "N" : "N\($0.space.id)"), \($0.columns))"
      }.joined(separator: " ")
    }
    for operation in operations {
      let limit = rows[operation.space.id]
      let floats = operation.outputs.reduce(0) { $0 + $1.columns * rows[$1.space.id].rows }
      let position = Double(limit.segment + 1) / 2
      let flops = operation.flops(position: position) * Double(limit.rows) / 1e6
      lines.append(
        row(
          operation.name, shape(operation.inputs), shape(operation.outputs),
          "\(operation.parameters.reduce(0) { $0 + $1.count })", "\(4 * floats)",
          "\((flops * 10).rounded() / 10)"))
    }
    lines.append(
      "rows N ≤ \(limits.rows), sentences ≤ \(limits.segment), parameters \(layout.parameterCount)")
    return lines.joined(separator: "\n")
  }

  private func row(_ cells: String...) -> String {
    zip(cells, [30, 20, 26, 12, 12, 14]).map { cell, width in
      cell + String(repeating: " ", count: max(1, width - cell.count))
    }.joined()
  }
}
