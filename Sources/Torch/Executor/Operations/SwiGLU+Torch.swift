import Engine

extension SwiGLU: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    r.set(output, try r.value(gate).silu().times(r.value(up)))
  }

  package func backward(_ r: DeviceRun) throws {
    let (dY, gate, up) = (r.gradient(output), r.value(gate), r.value(up))
    try r.addGradient(self.up, dY.times(gate.silu()))
    try r.addGradient(self.gate, gate.siluGradient(dY.times(up)))
  }
}
