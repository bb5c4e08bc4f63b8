import Kernels

/// X[n] = scale · (R[n]·W + E[token n]) + P[position n]: the projections of all looked up rows R (N, K)
/// as one product with the stacked W (K, C), which is their sum; E and P where there are any.
///
/// Source: Over-Tokenized Transformer, equation 4 and Algorithm 1, with scale = 1/(1 + k(n − 1)).
struct OverEncodingSum: Operation {
  /// R.
  let rows: Tensor
  let projection: Parameter
  let tokens: Parameter?
  let positions: Parameter?
  let scale: Float
  let output: Tensor

  var K: Int { rows.columns }
  var C: Int { output.columns }
  var name: String { "over-encoding" + (positions == nil ? "" : " + positions") }
  var inputs: [Tensor] { [rows] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [projection] + [tokens, positions].compactMap(\.self) }
  var saved: [Tensor] { [rows] }

  var factors: [Parameter] { [projection] }

  func scratch(_ limits: Limits) -> Int { productScratch(K: K, M: C, limits) }
  func flops(position: Double) -> Double { Double(2 * K * C + 2 * C) }

  func forward(_ w: borrowing Workspace) {
    w.linear(into: output, rows, weight: projection)
    var x = w.value(output).mutableSpan
    if let tokens {
      embedding(
        into: &x, w.weight(tokens).span, IDColumn(w.lane.inputs.span, width: w.lane.tables), C: C,
        adding: true)
    }
    if scale != 1 { multiply(&x, by: scale) }
    if let positions {
      embedding(
        into: &x, w.weight(positions).span, IDColumn(w.lane.positions.span), C: C, adding: true)
    }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dX = w.gradient(output)
    if let positions {
      var dPositions = w.gradient(positions).mutableSpan
      embeddingBackward(
        into: &dPositions, dX.span, IDColumn(w.lane.positions.span), C: C,
        adding: accumulation.addsParameter(tokens == nil ? 1 : 2))
    }
    // The last use of dX: from here on it is the gradient of the sum.
    if scale != 1 {
      var dSum = dX.mutableSpan
      multiply(&dSum, by: scale)
    }
    if let tokens {
      var dTokens = w.gradient(tokens).mutableSpan
      embeddingBackward(
        into: &dTokens, dX.span, IDColumn(w.lane.inputs.span, width: w.lane.tables), C: C,
        adding: accumulation.addsParameter(1))
    }
    w.linearBackward(
      output, input: rows, weight: projection, addsInput: accumulation.addsInput(0),
      addsWeight: accumulation.addsParameter(0))
  }
}
