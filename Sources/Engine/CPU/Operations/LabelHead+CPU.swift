import Kernels

extension LabelHead: CPUOperation {
  package func scratch(_ limits: Limits) -> Int {
    limits.precision == .float32
      ? headScratch(C: C, V: V, isRowwise: isDecoding) : packedHeadScratch(C: C, V: V)
  }

  package func forward(_ w: borrowing Workspace) {
    if isTraining { return }
    var labelLogProbabilities = w.lane.labelLogProbabilities.mutableSpan
    var logProbabilities = w.lane.logProbabilities.mutableSpan
    var scratch = w.scratch.mutableSpan
    head(
      labelLogProbabilities: &labelLogProbabilities, logProbabilities: &logProbabilities,
      w.value(input).span, w.weight(weight).span, labels: w.labels(column: labelColumn).span,
      N: w.rows(of: input), C: C,
      V: V, isRowwise: isDecoding, scratch: &scratch)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var losses = w.value(losses).mutableSpan
    var dX = w.gradient(input).mutableSpan
    var dW = w.gradient(weight).mutableSpan
    var scratch = w.scratch.mutableSpan
    headCrossEntropy(
      losses: &losses, dX: &dX, dW: &dW, w.value(input).span, w.weight(weight).span,
      packed: (w.packed(weight) ?? UnsafeBufferPointer(start: nil, count: 0)).span,
      labels: w.labels(column: labelColumn).span, N: w.rows(of: input), C: C, V: V,
      scale: w.lossScale(of: self.losses), addingInput: accumulation.addsInput(0),
      addingWeights: accumulation.addsParameter(0), helpers: w.helpers, scratch: &scratch)
  }
}
