import Kernels

extension Normalization: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    var statistics = w.value(statistics).mutableSpan
    layerNorm(
      into: &y, statistics: &statistics, w.value(input).span, weight: w.weight(weight).span,
      bias: w.weight(bias).span, N: w.rows(of: input), C: input.columns)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dX = w.gradient(input).mutableSpan
    var dWeight = w.gradient(weight).mutableSpan
    var dBias = w.gradient(bias).mutableSpan
    layerNormBackward(
      into: &dX, dWeight: &dWeight, dBias: &dBias, w.gradient(output).span, w.value(input).span,
      statistics: w.value(statistics).span, weight: w.weight(weight).span, N: w.rows(of: input),
      C: input.columns, adding: accumulation.addsInput(0),
      addingParameters: accumulation.addsParameter(0))
  }
}
