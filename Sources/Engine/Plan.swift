/// A traced model, frozen: the order of work, where each activation and gradient lies, and whether
/// each gradient is written or added to.
///
/// Buffers are laid out by liveness: two activations share memory when one is dead before the other is
/// born. Time runs over the forward pass, then over the backward pass in reverse. Places are counted
/// in columns; a run multiplies them by its own rows, so that a lane takes the memory of its rows, not
/// that of `limits`.
package struct Plan: Sendable {
  package let mode: GraphMode
  package let layout: ParameterLayout
  package let limits: Limits
  package let operations: [any Operation]
  /// One for each operation, in forward order.
  package let accumulations: [Accumulation]
  /// Per-row results of the last operation: the losses when training.
  package let result: Tensor
  /// First column of each activation's value and gradient behind the scratch; −1 where there is none.
  let valueOffsets: [Int]
  let gradientOffsets: [Int]
  let factors: FactorLayout
  /// Floats of scratch, which the arena begins with.
  let scratchCount: Int
  /// Floats of the arena for a lane as large as the limits.
  package let arenaCount: Int

  /// - Parameter result: the tensor that must outlive the run.
  package init(_ builder: GraphBuilder, result: Tensor, limits: Limits) {
    mode = builder.mode
    layout = builder.layout
    self.limits = limits
    operations = builder.operations
    self.result = result
    var planner = Planner(builder, result: result)
    planner.deriveGradients()
    planner.placeBuffers()
    accumulations = planner.accumulations
    valueOffsets = planner.offsets(of: planner.values)
    gradientOffsets = planner.offsets(of: planner.gradients)
    factors = FactorLayout(operations, layout: layout, precision: limits.precision)
    scratchCount = Self.padded(operations.reduce(0) { max($0, $1.scratch(limits)) })
    arenaCount = scratchCount + planner.extent * Self.padded(limits.rows)
  }

  /// Rows that the places of a lane's buffers are multiplied by: whole vectors of every column.
  static func padded(_ rows: Int) -> Int { (rows + 15) & ~15 }

  package var isTraining: Bool { mode == .training }

  /// Forward FLOPs of a sentence of `length` rows; a training step does three times as many.
  package func forwardFLOPs(sentence length: Int) -> Double {
    let position = Double(length + 1) / 2
    return operations.reduce(0) { $0 + $1.flops(position: position) } * Double(length)
  }

  /// A table of the operations: shapes, bytes of values and FLOPs of the forward pass at capacity.
  package var description: String {
    var lines = [row("operation", "inputs", "outputs", "parameters", "bytes", "forward MFLOP")]
    let position = Double(limits.segment + 1) / 2
    for operation in operations {
      let columns = operation.outputs.map { "(N, \($0.columns))" }.joined(separator: " ")
      let floats = operation.outputs.reduce(0) { $0 + $1.columns } * limits.rows
      let flops = operation.flops(position: position) * Double(limits.rows) / 1e6
      lines.append(
        row(
          operation.name, operation.inputs.map { "(N, \($0.columns))" }.joined(separator: " "),
          columns, "\(operation.parameters.reduce(0) { $0 + $1.count })", "\(4 * floats)",
          "\((flops * 10).rounded() / 10)"))
    }
    lines.append(
      "rows N ≤ \(limits.rows), sentences ≤ \(limits.segment), arena \(4 * arenaCount) bytes of which"
        + " scratch \(4 * scratchCount), parameters \(layout.parameterCount)")
    return lines.joined(separator: "\n")
  }

  private func row(_ cells: String...) -> String {
    zip(cells, [30, 20, 26, 12, 12, 14]).map { cell, width in
      cell + String(repeating: " ", count: max(1, width - cell.count))
    }.joined()
  }
}

/// The derivation of a plan.
private struct Planner {
  /// A buffer in the arena and the span of time that it is needed for.
  struct Region {
    var birth: Int
    var death: Int
    /// Columns, and the first of them.
    var count: Int
    var offset = -1
  }

  let builder: GraphBuilder
  let result: Tensor
  var accumulations: [Accumulation]
  var regions: [Region] = []
  /// Region of each tensor's value and gradient.
  var values: [Int?]
  var gradients: [Int?]
  var extent = 0

  private var operations: [any Operation] { builder.operations }
  private var isTraining: Bool { builder.mode == .training }
  private var end: Int { isTraining ? 2 * operations.count : operations.count }
  private func backwardTime(_ index: Int) -> Int { 2 * operations.count - 1 - index }

  init(_ builder: GraphBuilder, result: Tensor) {
    self.builder = builder
    self.result = result
    accumulations = builder.operations.map { _ in Accumulation() }
    values = builder.tensors.map { _ in nil }
    gradients = values
    deriveValues()
  }

  private mutating func newRegion(_ tensor: Tensor, at time: Int) -> Int {
    regions.append(Region(birth: time, death: time, count: tensor.columns))
    return regions.count - 1
  }

  private mutating func use(_ region: Int?, at time: Int) {
    guard let region else { preconditionFailure("an operation reads what none has written") }
    regions[region].death = max(regions[region].death, time)
  }

  /// Values live from their producer to their last reader, forward or backward.
  private mutating func deriveValues() {
    var lastUse = [Int](repeating: -1, count: values.count)
    for (i, operation) in operations.enumerated() {
      for input in operation.inputs { lastUse[input.id] = i }
      if isTraining {
        for tensor in operation.saved {
          lastUse[tensor.id] = max(lastUse[tensor.id], backwardTime(i))
        }
      }
    }
    // A tensor saved by any operation is read in the backward pass of the earliest one.
    if isTraining {
      for (i, operation) in operations.enumerated().reversed() {
        for tensor in operation.saved {
          lastUse[tensor.id] = max(lastUse[tensor.id], backwardTime(i))
        }
      }
    }
    lastUse[result.id] = end
    for (i, operation) in operations.enumerated() {
      for (k, output) in operation.outputs.enumerated() {
        if k == 0, let shared = operation.sharingValue, lastUse[shared.id] <= i,
          let region = values[shared.id]
        {
          values[output.id] = region
        } else {
          values[output.id] = newRegion(output, at: i)
        }
        use(values[output.id], at: max(i, lastUse[output.id]))
      }
    }
  }

  /// Gradients live from their first writer, the last consumer in forward order, to the backward
  /// pass of their producer.
  mutating func deriveGradients() {
    if !isTraining { return }
    var written = Set<Int>()
    for (i, operation) in operations.enumerated().reversed() {
      let time = backwardTime(i)
      if let output = operation.outputs.first, let region = gradients[output.id] {
        use(region, at: time)
      }
      for (k, input) in operation.inputs.enumerated() {
        if gradients[input.id] != nil {
          accumulations[i].addInput(k)
        } else if operation.sharingGradient == input, let output = operation.outputs.first,
          let region = gradients[output.id]
        {
          gradients[input.id] = region
          accumulations[i].shareInput(k)
        } else {
          gradients[input.id] = newRegion(input, at: time)
        }
        use(gradients[input.id], at: time)
      }
      for (k, parameter) in operation.parameters.enumerated()
      where !written.insert(parameter.id).inserted {
        accumulations[i].addParameter(k)
      }
    }
  }

  /// Largest first, each at the lowest place that is free for all of its life.
  mutating func placeBuffers() {
    let order = regions.indices.sorted {
      (regions[$1].count, $0) < (regions[$0].count, $1)
    }
    var placed: [Region] = []
    for index in order {
      var offset = 0
      let region = regions[index]
      for other in placed
      where other.birth <= region.death && region.birth <= other.death
        && other.offset < offset + region.count
      {
        offset = max(offset, other.offset + other.count)
      }
      regions[index].offset = offset
      extent = max(extent, offset + region.count)
      let position = placed.firstIndex { $0.offset > offset } ?? placed.endIndex
      placed.insert(regions[index], at: position)
    }
  }

  func offsets(of table: [Int?]) -> [Int] { table.map { $0.map { regions[$0].offset } ?? -1 } }
}
