/// Y = RMSNorm(X), plus a residual where there is one.
package struct RMSNormalization: Operation {
  package let input: Tensor
  package let weight: Parameter
  /// Added to the normalized rows; its gradient is the output's.
  package let residual: Tensor?
  package let epsilon: Float
  package let output: Tensor
  package let scales: Tensor

  package var C: Int { input.columns }
  package var name: String { residual == nil ? "rms norm" : "rms norm + residual" }
  package var inputs: [Tensor] { residual.map { [input, $0] } ?? [input] }
  package var outputs: [Tensor] { [output, scales] }
  package var auxiliary: [Tensor] { [scales] }
  package var parameters: [Parameter] { [weight] }
  package var saved: [Tensor] { [input, scales] }
  package var sharingGradient: Tensor? { residual }
  package var sharingValue: Tensor? { residual }

  package func flops(position: Double) -> Double { Double(4 * C) }
}
