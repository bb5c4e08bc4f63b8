/// Y = LayerNorm(X).
struct Normalization: Operation {
  let input: Tensor
  let weight: Parameter
  let bias: Parameter
  let output: Tensor
  let statistics: Tensor

  var name: String { "layer norm" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output, statistics] }
  var auxiliary: [Tensor] { [statistics] }
  var parameters: [Parameter] { [weight, bias] }
  var saved: [Tensor] { [input, statistics] }
  var parametersAddedTogether: Bool { true }

  func flops(position: Double) -> Double { Double(8 * input.columns) }
}
