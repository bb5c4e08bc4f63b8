import Kernels

/// Y = f(X)·W, plus a bias and a residual where there are any; W is (K, M). What an activation f gives
/// is not kept: the backward pass computes it again.
struct Linear: Operation {
  let input: Tensor
  var activation = Activation.none
  let weight: Parameter
  let bias: Parameter?
  /// See `Workspace.linear`.
  var addsBiasLast = false
  /// Added to the product; its gradient is the output's.
  let residual: Tensor?
  let output: Tensor

  var K: Int { input.columns }
  var M: Int { output.columns }
  var name: String {
    (activation == .none ? "" : "gelu + ") + (residual == nil ? "linear" : "linear + residual")
  }
  var inputs: [Tensor] { residual.map { [input, $0] } ?? [input] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { bias.map { [weight, $0] } ?? [weight] }
  var saved: [Tensor] { [input] }
  var sharingGradient: Tensor? { residual }
  var sharingValue: Tensor? { residual }
  /// The slope of an activation multiplies the whole gradient of its input.
  func canAdd(toInput index: Int) -> Bool { index > 0 || activation == .none }
  var factors: [Parameter] { [weight] }

  func flops(position: Double) -> Double {
    Double(2 * K * M + (activation == .none ? 0 : 20 * K))
  }
}
