/// Y = silu(gate) ∘ up, element by element.
package struct SwiGLU: Operation {
  package let gate: Tensor
  package let up: Tensor
  package let output: Tensor

  package var name: String { "swiglu" }
  package var inputs: [Tensor] { [gate, up] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [gate, up] }
  package var sharingGradient: Tensor? { gate }
  package func canAdd(toInput index: Int) -> Bool { false }

  package func flops(position: Double) -> Double { Double(20 * output.columns) }
}
