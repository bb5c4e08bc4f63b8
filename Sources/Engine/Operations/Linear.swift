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

  var factors: [Parameter] { [weight] }

  func scratch(_ limits: Limits) -> Int { productScratch(K: K, M: M, limits) }
  func flops(position: Double) -> Double { Double(2 * K * M) }

  func forward(_ w: borrowing Workspace) {
    w.linear(into: output, input, weight: weight, bias: bias, residual: residual)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    w.linearBackward(
      output, input: input, weight: weight, bias: bias, addsInput: accumulation.addsInput(0),
      addsWeight: accumulation.addsParameter(0), addsBias: accumulation.addsParameter(1))
    if let residual { passGradient(w, w.gradient(output).span, to: residual, at: 1, accumulation) }
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

  var factors: [Parameter] { [weight] }

  func scratch(_ limits: Limits) -> Int { productScratch(K: K, M: M, limits) }
  func flops(position: Double) -> Double { Double(2 * K * M + 20 * M) }

  func forward(_ w: borrowing Workspace) {
    let (h, y) = (w.value(hidden), w.value(output))
    w.linear(into: hidden, input, weight: weight) { rows in
      let part = rows.lowerBound * M..<rows.upperBound * M
      var hRows = UnsafeMutableBufferPointer(rebasing: h[part]).mutableSpan
      var yRows = UnsafeMutableBufferPointer(rebasing: y[part]).mutableSpan
      biasGELU(into: &yRows, &hRows, w.weight(bias).span, N: rows.count, F: M)
    }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let (dY, h) = (w.gradient(output), w.value(hidden))
    w.linearBackward(
      output, input: input, weight: weight, bias: bias, addsInput: accumulation.addsInput(0),
      addsWeight: accumulation.addsParameter(0), addsBias: accumulation.addsParameter(1)
    ) { rows in
      let part = rows.lowerBound * M..<rows.upperBound * M
      var dH = UnsafeMutableBufferPointer(rebasing: dY[part]).mutableSpan
      geluBackward(inPlace: &dH, UnsafeMutableBufferPointer(rebasing: h[part]).span)
    }
  }
}
