import Kernels

extension SwiGLU: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    swiGLU(into: &y, gate: w.value(gate).span, up: w.value(up).span)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dGate = w.gradient(gate).mutableSpan
    var dUp = w.gradient(up).mutableSpan
    swiGLUBackward(
      dGateInPlaceOf: &dGate, dUp: &dUp, gate: w.value(gate).span, up: w.value(up).span)
  }
}
