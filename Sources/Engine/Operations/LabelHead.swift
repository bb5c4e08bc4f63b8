/// Label head with softmax; W is (V, C).
///
/// Training computes loss and gradients together in the backward pass, so that each chunk of logits
/// exists once; otherwise the forward pass writes the log-probabilities that the lane asks for.
package struct LabelHead: Operation {
  package let input: Tensor
  package let weight: Parameter
  package let V: Int
  /// Column of the lane's labels.
  package let labelColumn: Int
  package let losses: Tensor
  package let isTraining: Bool
  package let isDecoding: Bool

  package var C: Int { input.columns }
  package var name: String { "head + softmax" + (isTraining ? " + cross-entropy" : "") }
  package var inputs: [Tensor] { [input] }
  package var outputs: [Tensor] { [losses] }
  package var parameters: [Parameter] { [weight] }
  package var saved: [Tensor] { [input, losses] }
  package var mergesForward: Bool { isTraining }
  package var countedLabels: Int? { labelColumn }
  package var factors: [Parameter] { [weight] }

  package func flops(position: Double) -> Double { Double(2 * C * V + 20 * V) }
}
