import Kernels

extension Gather: CPUOperation {
  func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    gather(
      into: &y, w.value(input).span, w.link(link).span, C: output.columns, adding: false)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dX = w.gradient(input).mutableSpan
    scatterSum(
      into: &dX, w.gradient(output).span, w.link(link).span, C: output.columns,
      adding: accumulation.addsInput(0))
  }
}

extension ScatterSum: CPUOperation {
  func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    scatterSum(
      into: &y, w.value(input).span, w.link(link).span, C: output.columns, adding: false)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dX = w.gradient(input).mutableSpan
    gather(
      into: &dX, w.gradient(output).span, w.link(link).span, C: output.columns,
      adding: accumulation.addsInput(0))
  }
}
