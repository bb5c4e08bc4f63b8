import Kernels

extension TableRows: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    let view = w.tableView
    var x = w.value(output).mutableSpan
    var column = 0
    for table in tables {
      gatherRows(
        into: &x, C: output.columns, column: column, table: view.bases[table.id],
        width: table.width, rows: view.rows[table.id], ids: view.ids, idWidth: view.idWidth,
        idColumn: view.firstColumn + table.id)
      column += table.width
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dX = w.gradient(output)
    var target = UnsafeMutableBufferPointer(start: w.tableView.gradients, count: dX.count)
      .mutableSpan
    copy(dX.span, into: &target)
  }
}

extension StoredRows: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    let view = w.tableView
    var x = w.value(output).mutableSpan
    gatherRows(
      into: &x, C: output.columns, table: view.bases[table.id], rows: view.rows[table.id],
      ids: view.ids, idWidth: view.idWidth, idColumn: view.firstColumn + table.id,
      orElse: w.weight(tokens).span)
    if let positions {
      embedding(
        into: &x, w.weight(positions).span, IDColumn(w.positions(of: output).span),
        C: output.columns, adding: true)
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    preconditionFailure("stored rows have no backward pass")
  }
}

extension Workspace {
  fileprivate var tableView: TableView {
    guard let view = lane.tableView else { preconditionFailure("a lane without its tables") }
    return view
  }
}
