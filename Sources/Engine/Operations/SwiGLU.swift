import Kernels

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

  func flops(position: Double) -> Double { Double(20 * output.columns) }

  func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    swiGLU(into: &y, gate: w.value(gate).span, up: w.value(up).span)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    precondition(
      accumulation.sharesInput(0) && !accumulation.addsInput(1),
      "swiglu does not share its gate and up")
    var dGate = w.gradient(gate).mutableSpan
    var dUp = w.gradient(up).mutableSpan
    swiGLUBackward(
      dGateInPlaceOf: &dGate, dUp: &dUp, gate: w.value(gate).span, up: w.value(up).span)
  }
}
