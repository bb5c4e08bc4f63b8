/// X[n] = Σ over G tables of E_g[input_g[n]], plus P[position[n]] where positions are learned.
struct EmbeddingSum: Operation {
  let tables: [Parameter]
  let positions: Parameter?
  let output: Tensor

  var name: String { "embedding sum of \(tables.count)" + (positions == nil ? "" : " + positions") }
  var inputs: [Tensor] { [] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { tables + (positions.map { [$0] } ?? []) }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { Double(tables.count * output.columns) }
}
