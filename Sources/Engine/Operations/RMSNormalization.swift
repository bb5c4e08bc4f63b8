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
  var auxiliary: [Tensor] { [scales] }
  var parameters: [Parameter] { [weight] }
  var saved: [Tensor] { [input, scales] }
  var sharingGradient: Tensor? { residual }
  var sharingValue: Tensor? { residual }

  func flops(position: Double) -> Double { Double(4 * C) }
}
