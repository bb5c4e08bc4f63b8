import Kernels

/// Y = RMSNorm(X), plus a residual where there is one.
struct RMSNormalization: Operation {
  let input: Tensor
  let weight: Parameter
  /// Added to the normalized rows; its gradient is the output's.
  let residual: Tensor?
  let epsilon: Float
  let output: Tensor
  let scales: Tensor

  var C: Int { input.columns }
  var name: String { residual == nil ? "rms norm" : "rms norm + residual" }
  var inputs: [Tensor] { residual.map { [input, $0] } ?? [input] }
  var outputs: [Tensor] { [output, scales] }
  var parameters: [Parameter] { [weight] }
  var saved: [Tensor] { [input, scales] }
  var sharingGradient: Tensor? { residual }
  var sharingValue: Tensor? { residual }

  func flops(position: Double) -> Double { Double(4 * C) }

  func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    var scales = w.value(scales).mutableSpan
    let (x, gain) = (w.value(input).span, w.weight(weight).span)
    if let residual, w.areShared(residual, output) {
      rmsNorm(addingTo: &y, scales: &scales, x, weight: gain, N: w.rows, C: C, epsilon: epsilon)
    } else if let residual {
      rmsNorm(
        into: &y, scales: &scales, x, weight: gain, residual: w.value(residual).span, N: w.rows,
        C: C, epsilon: epsilon)
    } else {
      rmsNorm(into: &y, scales: &scales, x, weight: gain, N: w.rows, C: C, epsilon: epsilon)
    }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dY = w.gradient(output).span
    var dX = w.gradient(input).mutableSpan
    var dWeight = w.gradient(weight).mutableSpan
    rmsNormBackward(
      into: &dX, dWeight: &dWeight, dY, w.value(input).span, scales: w.value(scales).span,
      weight: w.weight(weight).span, N: w.rows, C: C, adding: accumulation.addsInput(0),
      addingParameters: accumulation.addsParameter(0))
    if let residual { passGradient(w, dY, to: residual, at: 1, accumulation) }
  }
}
