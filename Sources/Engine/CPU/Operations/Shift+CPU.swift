import Kernels

extension Shift: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    shiftRows(
      into: &y, w.value(input).span, offsets: w.segments(of: input).span, by: distance,
      C: input.columns)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dX = w.gradient(input).mutableSpan
    shiftRowsBackward(
      into: &dX, w.gradient(output).span, offsets: w.segments(of: input).span, by: distance,
      C: input.columns, adding: accumulation.addsInput(0))
  }
}

extension SideBySide: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    for (part, column) in [(left, 0), (right, left.columns)] {
      placeColumns(
        into: &y, w.value(part).span, N: w.rows(of: output), C: output.columns, column: column,
        width: part.columns)
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dY = w.gradient(output)
    for (index, part, column) in [(0, left, 0), (1, right, left.columns)] {
      var dX = w.gradient(part).mutableSpan
      takeColumns(
        into: &dX, dY.span, N: w.rows(of: output), C: output.columns, column: column,
        width: part.columns, adding: accumulation.addsInput(index))
    }
  }
}

extension LentRows: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    copy((index == 0 ? w.lane.lent.0 : w.lane.lent.1).span, into: &y)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    preconditionFailure("lent rows have no backward pass")
  }
}

extension TakenRows: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    if w.lane.taken.count == 0 { return }
    var target = w.lane.taken.mutableSpan
    copy(w.value(input).span, into: &target)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    preconditionFailure("taken rows have no backward pass")
  }
}
