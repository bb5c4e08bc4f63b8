import Kernels

extension Gather: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    gather(
      into: &y, w.value(input).span, w.link(link).span, C: output.columns, adding: false)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dX = w.gradient(input).mutableSpan
    scatterSum(
      into: &dX, w.gradient(output).span, w.link(link).span, C: output.columns,
      adding: accumulation.addsInput(0))
  }
}

extension ScatterSum: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    scatterSum(
      into: &y, w.value(input).span, w.link(link).span, C: output.columns, adding: false)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dX = w.gradient(input).mutableSpan
    gather(
      into: &dX, w.gradient(output).span, w.link(link).span, C: output.columns,
      adding: accumulation.addsInput(0))
  }
}

extension LinkedRows: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var x = w.value(output).mutableSpan
    let (ids, width) = w.ids(of: output)
    gather(
      into: &x, w.value(input).span, w.link(link).span, orElse: w.weight(table).span,
      IDColumn(ids.span, width: width), C: output.columns)
    if let positions {
      embedding(
        into: &x, w.weight(positions).span, IDColumn(w.positions(of: output).span),
        C: output.columns, adding: true)
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dX = w.gradient(output)
    let (ids, width) = w.ids(of: output)
    var dY = w.gradient(input).mutableSpan
    scatterSum(
      into: &dY, dX.span, w.link(link).span, C: output.columns, adding: accumulation.addsInput(0))
    var dTable = w.gradient(table).mutableSpan
    embeddingBackward(
      into: &dTable, dX.span, IDColumn(ids.span, width: width), unless: w.link(link).span,
      C: output.columns, adding: accumulation.addsParameter(0))
    guard let positions else { return }
    var dPositions = w.gradient(positions).mutableSpan
    embeddingBackward(
      into: &dPositions, dX.span, IDColumn(w.positions(of: output).span), C: output.columns,
      adding: accumulation.addsParameter(1))
  }
}
