import Engine

extension Shift: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    r.set(output, try shifted(r.value(input), by: distance, r))
  }

  package func backward(_ r: DeviceRun) throws {
    try r.addGradient(input, shifted(r.gradient(output), by: -distance, r))
  }

  /// The rows so many further on, 0 where that row is none of the same sentence.
  private func shifted(
    _ x: DeviceTensor, by distance: Int, _ r: DeviceRun
  ) throws -> DeviceTensor {
    let space = r.batch[input.space]
    func values<Value>(_ value: (_ row: Int, _ isInside: Bool) -> Value) -> [Value] {
      zip(space.sentences.offsets, space.sentences.offsets.dropFirst()).flatMap { first, end in
        (first..<end).map { value($0, first..<end ~= $0 + distance) }
      }
    }
    let rows = try r.shared("rows \(distance) ahead of space \(input.space.id)") {
      try .copy(
        ofNumbers: values { Int64($1 ? $0 + distance : $0) }, [space.count], r.library)
    }
    let mask = try r.shared("rows \(distance) ahead that space \(input.space.id) has, \(x.form)") {
      try DeviceTensor.copy(of: values { $1 ? Float(1) : 0 }, [space.count, 1], r.library)
        .cast(to: x.form)
    }
    return try x.rows(rows).times(mask)
  }
}

extension SideBySide: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let (a, b) = (r.value(left), r.value(right))
    let form: ElementForm = a.form == b.form ? a.form : .float32
    r.set(output, try .joined([a.cast(to: form), b.cast(to: form)], along: 1))
  }

  package func backward(_ r: DeviceRun) throws {
    let d = r.gradient(output)
    try r.addGradient(left, d.part(0..<left.columns, of: 1).copied())
    try r.addGradient(right, d.part(left.columns..<output.columns, of: 1).copied())
  }
}
