/// Y = silu(gate) ∘ up, element by element.
struct SwiGLU: Operation {
  let gate: Tensor
  let up: Tensor
  let output: Tensor

  var name: String { "swiglu" }
  var inputs: [Tensor] { [gate, up] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [gate, up] }
  var sharingGradient: Tensor? { gate }
  func canAdd(toInput index: Int) -> Bool { false }

  func flops(position: Double) -> Double { Double(20 * output.columns) }
}
