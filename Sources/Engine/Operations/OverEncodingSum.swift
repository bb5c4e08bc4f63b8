/// X[n] = scale · (tableScale · R[n]·W + E[token n]) + P[position n]: the projections of all looked up
/// rows R (N, K) as one product with the stacked W (K, C), which is their sum; E and P where there are
/// any.
///
/// Source: Over-Tokenized Transformer, equation 4 and Algorithm 1, with scale = 1/(1 + k(n − 1)) and no
/// scale of the tables alone.
struct OverEncodingSum: Operation {
  /// R.
  let rows: Tensor
  let projection: Parameter
  let tokens: Parameter?
  let positions: Parameter?
  let scale: Float
  let tableScale: Float
  let output: Tensor

  var K: Int { rows.columns }
  var C: Int { output.columns }
  var name: String { "over-encoding" + (positions == nil ? "" : " + positions") }
  var inputs: [Tensor] { [rows] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [projection] + [tokens, positions].compactMap(\.self) }
  var saved: [Tensor] { [rows] }

  var factors: [Parameter] { [projection] }

  func flops(position: Double) -> Double { Double(2 * K * C + 2 * C) }
}
