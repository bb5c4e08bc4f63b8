import Engine

extension Rotary: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let turn = try turn(r)
    let v = try r.value(v).cast(to: .float32)
    r.set(
      output,
      try .joined(
        [
          turned(r.value(q), turn, backwards: false), turned(r.value(k), turn, backwards: false), v,
        ],
        along: 1))
  }

  package func backward(_ r: DeviceRun) throws {
    let turn = try turn(r)
    let d = try r.gradient(output).cast(to: .float32)
    let C = q.columns
    try r.addGradient(q, turned(d.part(0..<C, of: 1), turn, backwards: true))
    try r.addGradient(k, turned(d.part(C..<2 * C, of: 1), turn, backwards: true))
    try r.addGradient(v, d.part(2 * C..<3 * C, of: 1).copied())
  }

  /// (N, 1, D/2) each: cosines and sines of every row's position.
  private func turn(_ r: DeviceRun) throws -> (cosines: DeviceTensor, sines: DeviceTensor) {
    let rows = try r.shared(
      "rotary of space \(q.space.id), \(D) \(angles.table.count) \(angles.table.last ?? 0)"
    ) {
      try DeviceTensor.copy(of: angles.table, [angles.table.count / D, D], r.library)
        .rows(r.batch[q.space].places).reshaped([r.batch[q.space].count, 1, D])
    }
    return (try rows.part(0..<D / 2, of: 2), try rows.part(D / 2..<D, of: 2))
  }

  /// In each head (a, b) → (a·cos − b·sin, b·cos + a·sin), or the inverse turn.
  private func turned(
    _ x: DeviceTensor, _ turn: (cosines: DeviceTensor, sines: DeviceTensor), backwards: Bool
  ) throws -> DeviceTensor {
    let x = try x.cast(to: .float32)
    let stride = x.rowStride
    let half = { (first: Int) in
      try x.view([r(x), H, D / 2], strides: [stride, D, 1], offset: first)
    }
    let (a, b) = (try half(0), try half(D / 2))
    let sign: Double = backwards ? -1 : 1
    let left = try a.times(turn.cosines).plus(b.times(turn.sines), times: -sign)
    let right = try b.times(turn.cosines).plus(a.times(turn.sines), times: sign)
    return try DeviceTensor.joined([left, right], along: 2).reshaped([r(x), H * D])
  }

  private func r(_ x: DeviceTensor) -> Int { x.shape[0] }
}
