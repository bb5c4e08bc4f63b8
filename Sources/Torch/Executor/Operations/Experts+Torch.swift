import Engine

/// Each expert multiplies as many rows as there are, which the host is told: no row is dropped.
extension Experts: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let slots = try Slots(
      r.value(routing.choices), N: r.batch[input.space].count, k: k, E: E, r.library)
    let x = try r.factor(r.value(input)).rows(slots.rows)
    var (outputs, gates, ups): ([DeviceTensor], [DeviceTensor], [DeviceTensor]) = ([], [], [])
    for (e, range) in slots.ranges.enumerated() where !range.isEmpty {
      let part = try x.part(range)
      gates.append(try r.product(part, experts[e].gate))
      ups.append(try r.product(part, experts[e].up))
      outputs.append(
        try r.product(
          gates[gates.count - 1].silu().times(ups[ups.count - 1]), experts[e].down))
    }
    r.keep([
      slots.rows, slots.numbers, slots.places, try .joined(gates, along: 0),
      try .joined(ups, along: 0),
    ])
    r.keep(slots.ranges.map(\.count))
    let own = try slots.byRow(.joined(outputs, along: 0).cast(to: .float32))
    let y = try own.times(r.value(routing.gates).reshaped([r.batch[input.space].count, k, 1]))
      .sum(over: 1, keeps: false)
    r.set(output, try r.value(residual).plus(y))
  }

  package func backward(_ r: DeviceRun) throws {
    let slots = Slots(kept: r.keptTensors, counts: r.numbers, N: r.batch[input.space].count, k: k)
    let (hiddenGate, hiddenUp) = (r.keptTensors[3], r.keptTensors[4])
    let x = try r.factor(r.value(input)).rows(slots.rows)
    let dY = try r.gradient(output).cast(to: .float32)
    let dSlots = try dY.rows(slots.rows)
    let weights = try r.value(routing.gates).reshaped([r.batch[input.space].count * k, 1]).rows(
      slots.numbers)
    let dOutputs = try dSlots.times(weights)
    var (dX, dGates): ([DeviceTensor], [DeviceTensor]) = ([], [])
    for (e, range) in slots.ranges.enumerated() {
      let expert = experts[e]
      if range.isEmpty {
        for weight in [expert.gate, expert.up, expert.down] { try r.weights.addNoGradient(weight) }
        continue
      }
      let (part, gate, up) = try (x.part(range), hiddenGate.part(range), hiddenUp.part(range))
      let active = try gate.silu()
      let product = try active.times(up)
      let own = try r.product(product, expert.down)
      dGates.append(try dSlots.part(range).times(own).sum(over: 1, keeps: true))
      let dProduct = try r.productGradient(dOutputs.part(range), product, expert.down)
      let dUp = try r.productGradient(dProduct.times(active), part, expert.up)
      let dGate = try r.productGradient(gate.siluGradient(dProduct.times(up)), part, expert.gate)
      dX.append(try dGate.plus(dUp))
    }
    try r.addGradient(
      input, slots.byRow(.joined(dX, along: 0)).sum(over: 1, keeps: false))
    try r.addGradient(
      routing.gates,
      slots.byRow(.joined(dGates, along: 0)).reshaped([r.batch[input.space].count, k]))
    try r.addGradient(residual, r.gradient(output))
  }
}

/// The N·k slots of rows, those of one expert side by side.
private struct Slots {
  /// By expert.
  let ranges: [Range<Int>]
  /// (N·k): the row of each place, and its slot n·k + s.
  let rows, numbers: DeviceTensor
  /// (N·k): the place of each slot.
  let places: DeviceTensor
  private let N, k: Int

  init(_ choices: DeviceTensor, N: Int, k: Int, E: Int, _ library: TorchLibrary) throws {
    let experts = try choices.integers()
    var lists = [[Int64]](repeating: [], count: E)
    for (slot, expert) in experts.enumerated() { lists[Int(expert)].append(Int64(slot)) }
    let order = lists.flatMap(\.self)
    var places = [Int64](repeating: 0, count: order.count)
    for (place, slot) in order.enumerated() { places[Int(slot)] = Int64(place) }
    self.init(
      kept: [
        try .copy(ofNumbers: order.map { $0 / Int64(k) }, [order.count], library),
        try .copy(ofNumbers: order, [order.count], library),
        try .copy(ofNumbers: places, [order.count], library),
      ], counts: lists.map(\.count), N: N, k: k)
  }

  init(kept: [DeviceTensor], counts: [Int], N: Int, k: Int) {
    (rows, numbers, places) = (kept[0], kept[1], kept[2])
    var first = 0
    ranges = counts.map { count in
      defer { first += count }
      return first..<first + count
    }
    (self.N, self.k) = (N, k)
  }

  /// (N, k, C) of the places (N·k, C).
  func byRow(_ x: DeviceTensor) throws -> DeviceTensor {
    try x.rows(places).reshaped([N, k, x.shape[1]])
  }
}
