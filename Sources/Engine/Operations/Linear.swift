import Kernels

/// Y = X·W, plus a bias and a residual where there are any; W is (K, M).
struct Linear: Operation {
  let input: Tensor
  let weight: Parameter
  let bias: Parameter?
  /// Added to the product; its gradient is the output's.
  let residual: Tensor?
  let output: Tensor

  var K: Int { input.columns }
  var M: Int { output.columns }
  var name: String { residual == nil ? "linear" : "linear + residual" }
  var inputs: [Tensor] { residual.map { [input, $0] } ?? [input] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { bias.map { [weight, $0] } ?? [weight] }
  var saved: [Tensor] { [input] }
  var sharingGradient: Tensor? { residual }
  var sharingValue: Tensor? { residual }

  func scratch(_ limits: Limits) -> Int { matmulScratch(K: K, M: M) }
  func flops(position: Double) -> Double { Double(2 * K * M) }

  func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    let isStarted = start(w, &y)
    matmul(
      into: &y, w.value(input).span, w.weight(weight).span, N: w.rows, K: K, M: M,
      adding: isStarted)
  }

  /// Puts bias and residual where the product is to be added; false when there is neither.
  private func start(_ w: borrowing Workspace, _ y: inout MutableSpan<Float>) -> Bool {
    guard let bias else {
      guard let residual else { return false }
      if !w.areShared(residual, output) { copy(w.value(residual).span, into: &y) }
      return true
    }
    let b = w.weight(bias).span
    guard let residual else {
      fillBias(into: &y, b, N: w.rows, M: M)
      return true
    }
    if w.areShared(residual, output) {
      addBias(inPlace: &y, b, N: w.rows, M: M)
    } else {
      addBias(into: &y, w.value(residual).span, b, N: w.rows, M: M)
    }
    return true
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dY = w.gradient(output)
    linearBackward(
      w, dY: dY, input: input, weight: weight, bias: bias, K: K, M: M, accumulation)
    if let residual { passGradient(w, dY.span, to: residual, at: 1, accumulation) }
  }
}

/// H = X·W, Y = gelu(H + b); W is (K, M).
struct LinearGELU: Operation {
  let input: Tensor
  let weight: Parameter
  let bias: Parameter
  /// H + b, kept for the backward pass; its gradient takes the place of the output's.
  let hidden: Tensor
  let output: Tensor

  var K: Int { input.columns }
  var M: Int { output.columns }
  var name: String { "linear + gelu" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output, hidden] }
  var parameters: [Parameter] { [weight, bias] }
  var saved: [Tensor] { [input, hidden] }

  func scratch(_ limits: Limits) -> Int { matmulScratch(K: K, M: M) }
  func flops(position: Double) -> Double { Double(2 * K * M + 20 * M) }

  func forward(_ w: borrowing Workspace) {
    var h = w.value(hidden).mutableSpan
    var y = w.value(output).mutableSpan
    matmul(into: &h, w.value(input).span, w.weight(weight).span, N: w.rows, K: K, M: M)
    biasGELU(into: &y, &h, w.weight(bias).span, N: w.rows, F: M)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dY = w.gradient(output)
    var dH = dY.mutableSpan
    geluBackward(inPlace: &dH, w.value(hidden).span)
    linearBackward(
      w, dY: dY, input: input, weight: weight, bias: bias, K: K, M: M, accumulation)
  }
}

/// dX, dW and, with a bias, db of Y = X·W + b.
private func linearBackward(
  _ w: borrowing Workspace, dY: UnsafeMutableBufferPointer<Float>, input: Tensor,
  weight: Parameter, bias: Parameter?, K: Int, M: Int, _ accumulation: Accumulation
) {
  if let bias {
    var dBias = w.gradient(bias).mutableSpan
    biasBackward(
      into: &dBias, dY.span, N: w.rows, M: M, adding: accumulation.addsParameter(1))
  }
  var dW = w.gradient(weight).mutableSpan
  matmulBackwardWeight(
    into: &dW, w.value(input).span, dY.span, N: w.rows, K: K, M: M,
    adding: accumulation.addsParameter(0))
  var dX = w.gradient(input).mutableSpan
  var scratch = w.scratch.mutableSpan
  matmulBackwardInput(
    into: &dX, dY.span, w.weight(weight).span, N: w.rows, K: K, M: M,
    adding: accumulation.addsInput(0), scratch: &scratch)
}
