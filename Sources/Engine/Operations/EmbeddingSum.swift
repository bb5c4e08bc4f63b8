import Kernels

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

  func forward(_ w: borrowing Workspace) {
    var x = w.value(output).mutableSpan
    if let positions {
      embedding(
        into: &x, w.weight(positions).span, IDColumn(w.lane.positions.span), C: output.columns,
        adding: false)
    }
    for (g, table) in tables.enumerated() {
      embedding(
        into: &x, w.weight(table).span,
        IDColumn(w.lane.inputs.span, width: w.lane.tables, column: g), C: output.columns,
        adding: g > 0 || positions != nil)
    }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dX = w.gradient(output)
    for (g, table) in tables.enumerated() {
      var dTable = w.gradient(table).mutableSpan
      embeddingBackward(
        into: &dTable, dX.span, IDColumn(w.lane.inputs.span, width: w.lane.tables, column: g),
        C: output.columns, adding: accumulation.addsParameter(g))
    }
    guard let positions else { return }
    var dPositions = w.gradient(positions).mutableSpan
    embeddingBackward(
      into: &dPositions, dX.span, IDColumn(w.lane.positions.span), C: output.columns,
      adding: accumulation.addsParameter(tables.count))
  }
}
