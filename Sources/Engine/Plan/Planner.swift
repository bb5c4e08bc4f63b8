/// The derivation of a plan.
struct Planner {
  /// A buffer in its space's part of the arena and the span of time that it is needed for.
  private struct Region {
    let space: Int
    let birth: Int
    var death: Int
    /// Columns, and the first of them.
    let count: Int
    var offset = -1
  }

  let builder: GraphBuilder
  private(set) var accumulations: [Accumulation]
  /// The passes of all operations in the order of their times.
  let schedule: [Pass]
  /// When the passes of each operation come; backward ones when training alone.
  private let forwardTimes: [Int]
  private let backwardTimes: [Int]
  private var regions: [Region] = []
  /// Region of each tensor's value and gradient.
  private(set) var values: [Int?]
  private(set) var gradients: [Int?]
  /// Columns of each space's part of the arena.
  private(set) var extents: [Int]

  private var operations: [any Operation] { builder.operations }
  private var isTraining: Bool { builder.mode == .training }
  /// Behind the last pass: what lives until then outlives the run.
  private var end: Int { schedule.count }

  /// Checks the graph and derives how long values live.
  init(_ builder: GraphBuilder) throws(PlanError) {
    self.builder = builder
    accumulations = builder.operations.map {
      Accumulation(inputs: $0.inputs.count, parameters: $0.parameters.count)
    }
    schedule = Pass.schedule(builder)
    (forwardTimes, backwardTimes) = Pass.times(schedule, operations: builder.operations.count)
    values = builder.tensors.map { _ in nil }
    gradients = values
    extents = Array(repeating: 0, count: builder.spaces.count + 1)
    try GraphCheck(builder).run()
    deriveValues()
  }

  private mutating func newRegion(_ tensor: Tensor, from birth: Int, to death: Int) -> Int {
    regions.append(
      Region(space: tensor.space.id, birth: birth, death: death, count: tensor.columns))
    return regions.count - 1
  }

  private mutating func use(_ region: Int, at time: Int) {
    regions[region].death = max(regions[region].death, time)
  }

  /// Values live from their producer to their last reader, forward or backward.
  private mutating func deriveValues() {
    var lastUse = [Int](repeating: -1, count: values.count)
    func read(_ tensor: Tensor, at time: Int) {
      lastUse[tensor.id] = max(lastUse[tensor.id], time)
    }
    for (i, operation) in operations.enumerated() {
      for tensor in operation.inputs + operation.constants { read(tensor, at: forwardTimes[i]) }
      if isTraining { for tensor in operation.saved { read(tensor, at: backwardTimes[i]) } }
    }
    for loss in builder.losses { read(loss.tensor, at: end) }
    for (i, operation) in operations.enumerated() {
      let time = forwardTimes[i]
      for (k, output) in operation.outputs.enumerated() {
        let death = max(time, lastUse[output.id])
        if k == 0, let shared = operation.sharingValue, lastUse[shared.id] <= time,
          let region = values[shared.id]
        {
          values[output.id] = region
          use(region, at: death)
        } else {
          values[output.id] = newRegion(output, from: time, to: death)
        }
      }
    }
  }

  /// Gradients live from their first writer, the last consumer in forward order, to the backward
  /// pass of their producer.
  mutating func deriveGradients() throws(PlanError) {
    if !isTraining { return }
    var written = Set<Int>()
    let losses = Set(builder.losses.map(\.tensor.id))
    for (i, operation) in operations.enumerated().reversed() {
      let time = backwardTimes[i]
      for (k, output) in operation.outputs.enumerated()
      where !losses.contains(output.id) && !operation.auxiliary.contains(output) {
        guard let region = gradients[output.id] else {
          throw PlanError(
            "output \(k) of '\(operation.name)' (operation \(i)) is no loss and nothing reads it")
        }
        use(region, at: time)
      }
      for (k, input) in operation.inputs.enumerated() {
        if let region = gradients[input.id] {
          guard operation.canAdd(toInput: k) else {
            throw PlanError(
              "'\(operation.name)' (operation \(i)) cannot add to the gradient of its input \(k), "
                + "which a later operation reads too")
          }
          accumulations[i].addInput(k)
          use(region, at: time)
        } else if operation.sharingGradient == input, let output = operation.outputs.first,
          let region = gradients[output.id]
        {
          gradients[input.id] = region
          accumulations[i].shareInput(k)
        } else {
          gradients[input.id] = newRegion(input, from: time, to: time)
        }
      }
      for (k, parameter) in operation.parameters.enumerated()
      where !written.insert(parameter.id).inserted {
        accumulations[i].addParameter(k)
      }
      let added = operation.parameters.indices.count { accumulations[i].addsParameter($0) }
      if operation.parametersAddedTogether && added != 0 && added != operation.parameters.count {
        throw PlanError(
          "'\(operation.name)' (operation \(i)) shares some of its parameters with later operations "
            + "and others not, which it cannot add to apart")
      }
    }
  }

  /// Largest first, each at the lowest place that is free for all of its life.
  mutating func placeBuffers() {
    let order = regions.indices.sorted {
      (regions[$1].count, $0) < (regions[$0].count, $1)
    }
    var placed: [[Region]] = extents.map { _ in [] }
    for index in order {
      let region = regions[index]
      var offset = 0
      for other in placed[region.space]
      where other.birth <= region.death && region.birth <= other.death
        && other.offset < offset + region.count
      {
        offset = max(offset, other.offset + other.count)
      }
      regions[index].offset = offset
      extents[region.space] = max(extents[region.space], offset + region.count)
      let position =
        placed[region.space].firstIndex { $0.offset > offset } ?? placed[region.space].endIndex
      placed[region.space].insert(regions[index], at: position)
    }
  }

  func offsets(of table: [Int?]) -> [Int] { table.map { $0.map { regions[$0].offset } ?? -1 } }
}

/// What a graph must be to have a plan.
private struct GraphCheck {
  let builder: GraphBuilder

  init(_ builder: GraphBuilder) { self.builder = builder }

  func run() throws(PlanError) {
    var known = Set<Tensor>()
    for (i, operation) in builder.operations.enumerated() {
      func fault(_ text: String) -> PlanError {
        PlanError("'\(operation.name)' (operation \(i)) \(text)")
      }
      let read = operation.inputs + operation.constants
      for tensor in read where !known.contains(tensor) {
        throw fault("reads tensor \(tensor.id), which no operation before it writes")
      }
      if Set(read).count != read.count { throw fault("reads a tensor twice") }
      for tensor in operation.outputs {
        guard builder.tensors.contains(tensor), known.insert(tensor).inserted else {
          throw fault("writes tensor \(tensor.id), which is another's or was never declared")
        }
      }
      for tensor in operation.saved where !(read + operation.outputs).contains(tensor) {
        throw fault("saves tensor \(tensor.id), which is neither its input nor its output")
      }
      for tensor in operation.auxiliary where !operation.outputs.contains(tensor) {
        throw fault("names tensor \(tensor.id) auxiliary, which is none of its outputs")
      }
      for shared in [operation.sharingGradient, operation.sharingValue] {
        guard let shared, let first = operation.outputs.first else { continue }
        if shared.space != first.space || shared.columns != first.columns {
          throw fault("shares the place of a tensor of another shape")
        }
      }
      if Set(operation.parameters).count != operation.parameters.count {
        throw fault("names a parameter twice")
      }
    }
    try checkPostponed()
    let auxiliary = Set(builder.operations.flatMap(\.auxiliary))
    for operation in builder.operations {
      for input in operation.inputs where auxiliary.contains(input) {
        throw PlanError(
          "'\(operation.name)' wants a gradient of tensor \(input.id), which its producer calls "
            + "auxiliary: read it as a constant")
      }
    }
    try checkLosses(known)
    if builder.mode == .training { try checkParameters() }
  }

  private func checkLosses(_ known: Set<Tensor>) throws(PlanError) {
    let losses = builder.losses
    if builder.mode == .training && losses.isEmpty { throw PlanError("training needs a loss") }
    if Set(losses.map { Array($0.name.utf8) }).count != losses.count
      || Set(losses.map(\.tensor)).count != losses.count
    {
      throw PlanError("losses have names and tensors of their own")
    }
    for loss in losses {
      let text = "loss '\(loss.name)'"
      if loss.name.isEmpty || !loss.weight.isFinite {
        throw PlanError("\(text) needs a name and a finite weight, not \(loss.weight)")
      }
      if !known.contains(loss.tensor) { throw PlanError("\(text): no operation writes it") }
      if loss.tensor.columns != 1 {
        throw PlanError("\(text) has \(loss.tensor.columns) columns, not one")
      }
      for operation in builder.operations
      where (operation.inputs + operation.constants).contains(loss.tensor) {
        throw PlanError("\(text) is read by '\(operation.name)', and so is no end of the graph")
      }
      if let producer = builder.operations.first(where: { $0.outputs.contains(loss.tensor) }),
        producer.outputs.first != loss.tensor || producer.auxiliary.contains(loss.tensor)
      {
        throw PlanError("\(text) is not the first output of '\(producer.name)'")
      }
    }
  }

  /// What a postponed part writes is not there yet when anything else runs.
  private func checkPostponed() throws(PlanError) {
    for part in builder.postponed {
      let written = Set(builder.operations[part].flatMap(\.outputs))
      for (i, operation) in builder.operations.enumerated() where !part.contains(i) {
        for tensor in operation.inputs + operation.constants where written.contains(tensor) {
          throw PlanError(
            "'\(operation.name)' (operation \(i)) reads tensor \(tensor.id) of a part that is "
              + "postponed to its backward pass")
        }
      }
    }
  }

  /// A parameter that nothing reads would decay, and never learn.
  private func checkParameters() throws(PlanError) {
    let read = Set(builder.operations.flatMap(\.parameters).map(\.id))
    for (id, slot) in builder.layout.slots.enumerated() where !read.contains(id) {
      throw PlanError("parameter \(slot.name) is read by no operation")
    }
  }
}
