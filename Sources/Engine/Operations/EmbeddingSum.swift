/// X[n] = Σ over G tables of E_g[input_g[n]], plus P[position[n]] where positions are learned.
package struct EmbeddingSum: Operation {
  package let tables: [Parameter]
  package let positions: Parameter?
  package let output: Tensor

  package var name: String {
    "embedding sum of \(tables.count)" + (positions == nil ? "" : " + positions")
  }
  package var inputs: [Tensor] { [] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { tables + (positions.map { [$0] } ?? []) }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { Double(tables.count * output.columns) }
}
