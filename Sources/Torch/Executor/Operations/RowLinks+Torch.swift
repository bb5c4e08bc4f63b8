import Engine

extension Gather: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    r.set(output, try r.linked(r.value(input), link))
  }

  package func backward(_ r: DeviceRun) throws {
    try r.addGradient(input, r.summed(r.gradient(output), link))
  }
}

extension ScatterSum: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    r.set(output, try r.summed(r.value(input), link))
  }

  package func backward(_ r: DeviceRun) throws {
    try r.addGradient(input, r.linked(r.gradient(output), link))
  }
}

extension LinkedRows: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let space = r.batch[output.space]
    let tokens = try r.rows(table, space.inputs[0]).times(r.batch.links[link.id].rest)
    var x = try tokens.plus(r.linked(r.value(input), link))
    if let positions { x = try x.plus(r.rows(positions, space.places)) }
    r.set(output, x)
  }

  package func backward(_ r: DeviceRun) throws {
    let space = r.batch[output.space]
    let dX = try r.gradient(output).cast(to: .float32)
    try r.addGradient(input, r.summed(dX, link))
    try r.addRows(dX.times(r.batch.links[link.id].rest), table, space.inputs[0])
    if let positions { try r.addRows(dX, positions, space.places) }
  }
}

extension DeviceRun {
  /// The rows that a link's rows stand for, 0 where it is none.
  fileprivate func linked(_ x: DeviceTensor, _ link: RowLink) throws -> DeviceTensor {
    let link = batch.links[link.id]
    // Where there is no row at all, nothing stands for one.
    let rows =
      link.count > 0 ? x : try DeviceTensor.zeros([1, x.shape[1]], x.form, library)
    return try rows.rows(link.rows).times(link.mask.cast(to: x.form))
  }

  /// For each row Σ over those that stand for it.
  fileprivate func summed(_ x: DeviceTensor, _ link: RowLink) throws -> DeviceTensor {
    let link = batch.links[link.id]
    return try x.cast(to: .float32).sumOfRows(by: link.rowsOrEnd, count: link.count + 1)
      .part(0..<link.count).copied()
  }
}
