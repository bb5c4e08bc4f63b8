import Engine

extension EmbeddingSum: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    var x = try r.rows(tables[0], r.batch[output.space].inputs[0])
    for (g, table) in tables.enumerated().dropFirst() {
      x = try x.plus(r.rows(table, r.batch[output.space].inputs[g]))
    }
    if let positions { x = try x.plus(r.rows(positions, r.batch[output.space].places)) }
    r.set(output, x)
  }

  package func backward(_ r: DeviceRun) throws {
    let dX = try r.gradient(output).cast(to: .float32)
    for (g, table) in tables.enumerated() {
      try r.addRows(dX, table, r.batch[output.space].inputs[g])
    }
    if let positions { try r.addRows(dX, positions, r.batch[output.space].places) }
  }
}

extension OverEncodingSum: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    var x = try r.product(r.factor(r.value(rows)), projection).cast(to: .float32)
    if tableScale != 1 { x = try x.times(tableScale) }
    if let tokens { x = try x.plus(r.rows(tokens, r.batch[output.space].inputs[0])) }
    if let base { x = try x.plus(r.value(base).cast(to: .float32)) }
    if scale != 1 { x = try x.times(scale) }
    if let positions { x = try x.plus(r.rows(positions, r.batch[output.space].places)) }
    r.set(output, x)
  }

  package func backward(_ r: DeviceRun) throws {
    var dX = try r.gradient(output).cast(to: .float32)
    if let positions { try r.addRows(dX, positions, r.batch[output.space].places) }
    if scale != 1 { dX = try dX.times(scale) }
    if let tokens { try r.addRows(dX, tokens, r.batch[output.space].inputs[0]) }
    if let base { try r.addGradient(base, dX) }
    if tableScale != 1 { dX = try dX.times(tableScale) }
    try r.addGradient(
      rows, r.productGradient(dX, r.factor(r.value(rows)), projection))
  }
}

extension TableRows: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let found = r.lookedUp
    r.set(output, try .joined(tables.map { try found.rows(of: $0.id) }, along: 1))
  }

  package func backward(_ r: DeviceRun) throws {
    let dX = try r.gradient(output).cast(to: .float32)
    var column = 0
    for table in tables {
      try r.lookedUp.addGradient(
        dX.part(column..<column + table.width, of: 1).copied(), of: table.id)
      column += table.width
    }
  }
}

extension DeviceRun {
  /// The rows of a parameter with those numbers.
  func rows(_ parameter: Parameter, _ numbers: DeviceTensor) throws -> DeviceTensor {
    try weights.weights[parameter.id].rows(numbers)
  }

  /// Adds the gradient of such rows to that of the parameter.
  func addRows(
    _ dX: DeviceTensor, _ parameter: Parameter, _ numbers: DeviceTensor
  ) throws {
    try weights.addGradient(
      parameter,
      dX.sumOfRows(by: numbers, count: weights.layout.slots[parameter.id].shape[0]))
  }

  fileprivate var lookedUp: any LookedUpRows {
    guard let tables else { preconditionFailure("a batch without its tables") }
    return tables
  }
}
