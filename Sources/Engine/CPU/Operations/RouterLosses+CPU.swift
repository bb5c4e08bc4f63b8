import Kernels

extension BalanceLoss: CPUOperation {
  package func scratch(_ limits: Limits) -> Int { E }

  package func forward(_ w: borrowing Workspace) {
    let N = w.rows(of: output)
    var losses = w.value(output).mutableSpan
    losses.update(repeating: 0)
    for routing in routings {
      addBalanceLoss(
        to: &losses, w.value(routing.probabilities).span, factors: loads(routing, w).span, N: N,
        E: E, share: 1 / Float(routings.count))
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let scale = w.lossScale(of: output) / Float(routings.count)
    for (layer, routing) in routings.enumerated() {
      var dProbabilities = w.gradient(routing.probabilities).mutableSpan
      balanceLossBackward(
        into: &dProbabilities, factors: loads(routing, w).span, N: w.rows(of: output), E: E,
        scale: scale, adding: accumulation.addsInput(layer))
    }
  }

  /// E·c_e / (k·N), in the scratch.
  private func loads(_ routing: Routing, _ w: borrowing Workspace) -> UnsafeMutableBufferPointer<
    Float
  > {
    let factors = UnsafeMutableBufferPointer(rebasing: w.scratch[..<E])
    var target = factors.mutableSpan
    routerLoads(
      into: &target, w.value(routing.choices).span, N: w.rows(of: output), E: E, k: k)
    return factors
  }
}

extension RouterZLoss: CPUOperation {
  package func scratch(_ limits: Limits) -> Int { E }

  package func forward(_ w: borrowing Workspace) {
    var losses = w.value(output).mutableSpan
    var scratch = w.scratch.mutableSpan
    losses.update(repeating: 0)
    for logits in inputs {
      addRouterZLoss(
        to: &losses, w.value(logits).span, N: w.rows(of: output), E: E,
        share: 1 / Float(inputs.count), scratch: &scratch)
    }
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var scratch = w.scratch.mutableSpan
    for (layer, logits) in inputs.enumerated() {
      var dLogits = w.gradient(logits).mutableSpan
      routerZLossBackward(
        into: &dLogits, w.value(logits).span, N: w.rows(of: output), E: E,
        scale: w.lossScale(of: output) / Float(inputs.count),
        adding: accumulation.addsInput(layer), scratch: &scratch)
    }
  }
}
