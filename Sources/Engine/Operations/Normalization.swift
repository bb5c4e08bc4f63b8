/// Y = LayerNorm(X).
package struct Normalization: Operation {
  package let input: Tensor
  package let weight: Parameter
  package let bias: Parameter
  package let output: Tensor
  package let statistics: Tensor

  package var name: String { "layer norm" }
  package var inputs: [Tensor] { [input] }
  package var outputs: [Tensor] { [output, statistics] }
  package var auxiliary: [Tensor] { [statistics] }
  package var parameters: [Parameter] { [weight, bias] }
  package var saved: [Tensor] { [input, statistics] }
  package var parametersAddedTogether: Bool { true }

  package func flops(position: Double) -> Double { Double(8 * input.columns) }
}
