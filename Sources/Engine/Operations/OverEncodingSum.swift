/// X[n] = scale · (tableScale · R[n]·W + E[token n]) + P[position n]: the projections of all looked up
/// rows R (N, K) as one product with the stacked W (K, C), which is their sum; E and P where there are
/// any. In place of E[token n] there may be a row B[n] that was made before.
///
/// Source: Over-Tokenized Transformer, equation 4 and Algorithm 1, with scale = 1/(1 + k(n − 1)) and no
/// scale of the tables alone.
package struct OverEncodingSum: Operation {
  /// R.
  package let rows: Tensor
  package let projection: Parameter
  package let tokens: Parameter?
  /// B; only without E.
  package let base: Tensor?
  package let positions: Parameter?
  package let scale: Float
  package let tableScale: Float
  package let output: Tensor

  package var K: Int { rows.columns }
  package var C: Int { output.columns }
  package var name: String { "over-encoding" + (positions == nil ? "" : " + positions") }
  package var inputs: [Tensor] { [rows] + (base.map { [$0] } ?? []) }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [projection] + [tokens, positions].compactMap(\.self) }
  package var saved: [Tensor] { [rows] }

  package var factors: [Parameter] { [projection] }

  package func flops(position: Double) -> Double { Double(2 * K * C + 2 * C) }
}
