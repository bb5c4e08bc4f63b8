import Kernels

extension RMSNormalization: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    var scales = w.value(scales).mutableSpan
    let (x, gain, N) = (w.value(input).span, w.weight(weight).span, w.rows(of: input))
    if let residual, w.areShared(residual, output) {
      rmsNorm(addingTo: &y, scales: &scales, x, weight: gain, N: N, C: C, epsilon: epsilon)
    } else if let residual {
      rmsNorm(
        into: &y, scales: &scales, x, weight: gain, residual: w.value(residual).span, N: N,
        C: C, epsilon: epsilon)
    } else {
      rmsNorm(into: &y, scales: &scales, x, weight: gain, N: N, C: C, epsilon: epsilon)
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dY = w.gradient(output).span
    var dX = w.gradient(input).mutableSpan
    var dWeight = w.gradient(weight).mutableSpan
    rmsNormBackward(
      into: &dX, dWeight: &dWeight, dY, w.value(input).span, scales: w.value(scales).span,
      weight: w.weight(weight).span, N: w.rows(of: input), C: C, adding: accumulation.addsInput(0),
      addingParameters: accumulation.addsParameter(0))
    if let residual { passGradient(w, dY, to: residual, at: 1, accumulation) }
  }
}
