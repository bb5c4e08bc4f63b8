import Engine

extension Router: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let logits = try r.value(input).cast(to: .float32).product(r.weights.weights[weight.id])
    let p = try logits.softmax()
    let choices = try p.largestColumns(k)
    var gates = try p.columns(choices)
    if normalizes { gates = try gates.divided(by: gates.sum(over: 1, keeps: true)) }
    r.set(routing.logits, logits)
    r.set(routing.probabilities, p)
    r.set(routing.choices, choices)
    r.set(routing.gates, gates)
  }

  package func backward(_ r: DeviceRun) throws {
    let (p, choices, gates) = (
      r.value(routing.probabilities), r.value(routing.choices), r.value(routing.gates)
    )
    var dGates = r.gradient(routing.gates)
    if normalizes {
      let mean = try dGates.times(gates).sum(over: 1, keeps: true)
      let total = try p.columns(choices).sum(over: 1, keeps: true)
      dGates = try dGates.plus(mean, times: -1).divided(by: total)
    }
    let none = try DeviceTensor.zeros(p.shape, .float32, r.library)
    let dP = try r.gradient(routing.probabilities)
      .plus(none.replacingColumns(choices, by: dGates))
    let dLogits = try p.softmaxGradient(dP).plus(r.gradient(routing.logits))
    let x = try r.value(input).cast(to: .float32)
    try r.weights.addGradient(weight, x.transposed(), dLogits)
    try r.addGradient(input, dLogits.product(r.weights.weights[weight.id].transposed()))
  }
}

extension BalanceLoss: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    var (losses, kept): (DeviceTensor?, [DeviceTensor]) = (nil, [])
    for routing in routings {
      let loads = try loads(routing, r)
      kept.append(loads)
      let own = try r.value(routing.probabilities).times(loads).sum(over: 1, keeps: true)
      losses = try losses?.plus(own) ?? own
    }
    r.keep(kept)
    if let losses { r.set(output, try losses.times(1 / Float(routings.count))) }
  }

  package func backward(_ r: DeviceRun) throws {
    let scale = r.scale(of: output) / Float(routings.count)
    for (routing, loads) in zip(routings, r.keptTensors) {
      try r.addGradient(routing.probabilities, loads.times(scale))
    }
  }

  /// (N, E): E·c_e / (k·rows) of each row's lane.
  private func loads(_ routing: Routing, _ r: DeviceRun) throws -> DeviceTensor {
    let choices = try r.value(routing.choices).integers()
    var (values, lanes): ([Float], [Int64]) = ([], [])
    var row = 0
    for (lane, rows) in r.batch[output.space].lanes.enumerated() {
      var counts = [Float](repeating: 0, count: E)
      for slot in row * k..<(row + rows) * k { counts[Int(choices[slot])] += 1 }
      values += counts.map { Float(E) * $0 / Float(max(k * rows, 1)) }
      lanes += Array(repeating: Int64(lane), count: rows)
      row += rows
    }
    let table = try DeviceTensor.copy(
      of: values, [r.batch[output.space].lanes.count, E], r.library)
    return try table.rows(
      r.shared("lanes of rows of space \(output.space.id)") {
        try .copy(ofNumbers: lanes, [lanes.count], r.library)
      })
  }
}

extension RouterZLoss: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    var losses: DeviceTensor?
    for logits in inputs {
      let sum = try r.value(logits).logSumExp()
      let own = try sum.times(sum)
      losses = try losses?.plus(own) ?? own
    }
    if let losses { r.set(output, try losses.times(1 / Float(inputs.count))) }
  }

  package func backward(_ r: DeviceRun) throws {
    let scale = 2 * r.scale(of: output) / Float(inputs.count)
    for tensor in inputs {
      let logits = r.value(tensor)
      try r.addGradient(tensor, logits.softmax().times(logits.logSumExp()).times(scale))
    }
  }
}
