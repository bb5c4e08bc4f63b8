import Kernels

/// Label head with softmax; W is (V, C).
///
/// Training computes loss and gradients together in the backward pass, so that each chunk of logits
/// exists once; otherwise the forward pass writes the log-probabilities that the lane asks for.
struct LabelHead: Operation {
  let input: Tensor
  let weight: Parameter
  let V: Int
  let losses: Tensor
  let isTraining: Bool
  let isDecoding: Bool

  var C: Int { input.columns }
  var name: String { "head + softmax" + (isTraining ? " + cross-entropy" : "") }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [losses] }
  var parameters: [Parameter] { [weight] }
  var saved: [Tensor] { [input, losses] }
  var mergesForward: Bool { isTraining }

  var factors: [Parameter] { [weight] }

  func scratch(_ limits: Limits) -> Int {
    limits.precision == .float32
      ? headScratch(C: C, V: V, isRowwise: isDecoding) : packedHeadScratch(C: C, V: V)
  }
  func flops(position: Double) -> Double { Double(2 * C * V + 20 * V) }

  func forward(_ w: borrowing Workspace) {
    if isTraining { return }
    var labelLogProbabilities = w.lane.labelLogProbabilities.mutableSpan
    var logProbabilities = w.lane.logProbabilities.mutableSpan
    var scratch = w.scratch.mutableSpan
    head(
      labelLogProbabilities: &labelLogProbabilities, logProbabilities: &logProbabilities,
      w.value(input).span, w.weight(weight).span, labels: w.lane.labels.span, N: w.rows, C: C, V: V,
      isRowwise: isDecoding, scratch: &scratch)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    precondition(!accumulation.addsInput(0), "the head does not share its input")
    var losses = w.value(losses).mutableSpan
    var dX = w.gradient(input).mutableSpan
    var dW = w.gradient(weight).mutableSpan
    var scratch = w.scratch.mutableSpan
    headCrossEntropy(
      losses: &losses, dX: &dX, dW: &dW, w.value(input).span, w.weight(weight).span,
      packed: (w.packed(weight) ?? UnsafeBufferPointer(start: nil, count: 0)).span,
      labels: w.lane.labels.span, N: w.rows, C: C, V: V,
      scale: w.lossScale,
      addingWeights: accumulation.addsParameter(0), scratch: &scratch)
  }
}
