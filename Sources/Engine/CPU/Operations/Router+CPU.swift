import Kernels

extension Router: CPUOperation {
  package func scratch(_ limits: Limits) -> Int { matmulScratch(K: C, M: E) }

  package func forward(_ w: borrowing Workspace) {
    let N = w.rows(of: input)
    var logits = w.value(routing.logits).mutableSpan
    // Row by row at every size: which experts a row goes to depends on nothing but the row.
    matmul(
      into: &logits, w.value(input).span, w.weight(weight).span, N: N, K: C, M: E, isRowwise: true)
    var probabilities = w.value(routing.probabilities).mutableSpan
    var choices = w.value(routing.choices).mutableSpan
    var gates = w.value(routing.gates).mutableSpan
    route(
      probabilities: &probabilities, choices: &choices, gates: &gates, w.value(routing.logits).span,
      N: N, E: E, k: k, normalizes: normalizes)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let N = w.rows(of: input)
    // The last use of the gradient of the logits by themselves: from here on it is that of all outputs.
    var dLogits = w.gradient(routing.logits).mutableSpan
    var dProbabilities = w.gradient(routing.probabilities).mutableSpan
    routeBackward(
      into: &dLogits, dProbabilities: &dProbabilities, dGates: w.gradient(routing.gates).span,
      probabilities: w.value(routing.probabilities).span, choices: w.value(routing.choices).span,
      gates: w.value(routing.gates).span, N: N, E: E, k: k, normalizes: normalizes, adding: true)
    var dWeight = w.gradient(weight).mutableSpan
    matmulBackwardWeight(
      into: &dWeight, w.value(input).span, w.gradient(routing.logits).span, N: N, K: C, M: E,
      adding: accumulation.addsParameter(0))
    var dX = w.gradient(input).mutableSpan
    var scratch = w.scratch.mutableSpan
    matmulBackwardInput(
      into: &dX, w.gradient(routing.logits).span, w.weight(weight).span, N: N, K: C, M: E,
      adding: accumulation.addsInput(0), scratch: &scratch)
  }
}
