import Kernels

extension Linear: CPUOperation {
  package func scratch(_ limits: Limits) -> Int {
    productScratch(K: K, M: M, activation: activation, limits)
  }

  package func forward(_ w: borrowing Workspace) {
    w.linear(
      into: output, input, activation: activation, weight: weight, bias: bias,
      addsBiasLast: addsBiasLast, residual: residual)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    w.linearBackward(
      output, input: input, activation: activation, weight: weight, bias: bias,
      addsInput: accumulation.addsInput(0), addsWeight: accumulation.addsParameter(0),
      addsBias: bias != nil && accumulation.addsParameter(1))
    if let residual { passGradient(w, w.gradient(output).span, to: residual, at: 1, accumulation) }
  }
}
