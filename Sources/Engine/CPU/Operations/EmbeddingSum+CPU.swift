import Kernels

extension EmbeddingSum: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var x = w.value(output).mutableSpan
    let (ids, width) = w.ids(of: output)
    if let positions {
      embedding(
        into: &x, w.weight(positions).span, IDColumn(w.positions(of: output).span),
        C: output.columns,
        adding: false)
    }
    for (g, table) in tables.enumerated() {
      embedding(
        into: &x, w.weight(table).span,
        IDColumn(ids.span, width: width, column: g), C: output.columns,
        adding: g > 0 || positions != nil)
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dX = w.gradient(output)
    let (ids, width) = w.ids(of: output)
    for (g, table) in tables.enumerated() {
      var dTable = w.gradient(table).mutableSpan
      embeddingBackward(
        into: &dTable, dX.span, IDColumn(ids.span, width: width, column: g),
        C: output.columns, adding: accumulation.addsParameter(g))
    }
    guard let positions else { return }
    var dPositions = w.gradient(positions).mutableSpan
    embeddingBackward(
      into: &dPositions, dX.span, IDColumn(w.positions(of: output).span), C: output.columns,
      adding: accumulation.addsParameter(tables.count))
  }
}
