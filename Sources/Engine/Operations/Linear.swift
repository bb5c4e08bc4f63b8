import Kernels

/// Y = f(X)·W, plus a bias and a residual where there are any; W is (K, M). What an activation f gives
/// is not kept: the backward pass computes it again.
package struct Linear: Operation {
  package let input: Tensor
  package var activation = Activation.none
  package let weight: Parameter
  package let bias: Parameter?
  /// See `Workspace.linear`.
  package var addsBiasLast = false
  /// Added to the product; its gradient is the output's.
  package let residual: Tensor?
  package let output: Tensor

  package var K: Int { input.columns }
  package var M: Int { output.columns }
  package var name: String {
    (activation == .none ? "" : "gelu + ") + (residual == nil ? "linear" : "linear + residual")
  }
  package var inputs: [Tensor] { residual.map { [input, $0] } ?? [input] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { bias.map { [weight, $0] } ?? [weight] }
  package var saved: [Tensor] { [input] }
  package var sharingGradient: Tensor? { residual }
  package var sharingValue: Tensor? { residual }
  /// The slope of an activation multiplies the whole gradient of its input.
  package func canAdd(toInput index: Int) -> Bool { index > 0 || activation == .none }
  package var factors: [Parameter] { [weight] }

  package func flops(position: Double) -> Double {
    Double(2 * K * M + (activation == .none ? 0 : 20 * K))
  }
}
