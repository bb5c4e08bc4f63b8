/// Label head with softmax; W is (V, C).
///
/// Training computes loss and gradients together in the backward pass, so that each chunk of logits
/// exists once; otherwise the forward pass writes the log-probabilities that the lane asks for.
struct LabelHead: Operation {
  let input: Tensor
  let weight: Parameter
  let V: Int
  /// Column of the lane's labels.
  let labelColumn: Int
  let losses: Tensor
  let isTraining: Bool
  let isDecoding: Bool

  var C: Int { input.columns }
  var name: String { "head + softmax" + (isTraining ? " + cross-entropy" : "") }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [losses] }
  var parameters: [Parameter] { [weight] }
  var saved: [Tensor] { [input, losses] }
  var mergesForward: Bool { isTraining }
  var countedLabels: Int? { labelColumn }
  var factors: [Parameter] { [weight] }

  func flops(position: Double) -> Double { Double(2 * C * V + 20 * V) }
}
