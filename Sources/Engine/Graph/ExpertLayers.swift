import Kernels

/// The layers of a mixture of experts.
extension GraphBuilder {
  /// Which k of E experts each row goes to: logits X·W, W (C, E) = `<name>.weight`.
  ///
  /// A training graph reads everything that a router gives: see `balanceLoss` and `routerZLoss`.
  ///
  /// - Parameter normalizes: whether the weights of the chosen experts are divided by their sum.
  package mutating func router(
    _ x: Tensor, experts E: Int, chosen k: Int, normalizes: Bool, named name: String,
    deviation: Double
  ) -> Routing {
    precondition(k >= 1 && k <= E, "\(k) of \(E) experts")
    let routing = Routing(
      gates: tensor(columns: k, space: x.space), probabilities: tensor(columns: E, space: x.space),
      logits: tensor(columns: E, space: x.space), choices: tensor(columns: k, space: x.space))
    append(
      Router(
        input: x, weight: parameter(name + ".weight", [x.columns, E], .normal(deviation)),
        normalizes: normalizes, routing: routing))
    return routing
  }

  /// X + the experts that `routing` chose, each a SwiGLU layer of F columns with weights
  /// `<name>.<e>.gate_proj.weight` and `up_proj` (C, F), `down_proj` (F, C).
  package mutating func experts(
    _ x: Tensor, _ routing: Routing, hidden F: Int, named name: String, deviation: Double,
    residual: Tensor
  ) -> Tensor {
    precondition(residual.columns == x.columns && residual.space == x.space, "another residual")
    let (C, k) = (x.columns, routing.gates.columns)
    let experts = (0..<routing.logits.columns).map { e in
      let weight = { (g: inout GraphBuilder, part: String, shape: [Int]) in
        g.parameter("\(name).\(e).\(part)_proj.weight", shape, .normal(deviation))
      }
      return Experts.Expert(
        gate: weight(&self, "gate", [C, F]), up: weight(&self, "up", [C, F]),
        down: weight(&self, "down", [F, C]))
    }
    let output = tensor(columns: C, space: x.space)
    append(
      Experts(
        input: x, routing: routing, experts: experts, residual: residual, output: output,
        hidden: tensor(columns: 2 * k * F, space: x.space)))
    return output
  }

  /// How unevenly the routers of all layers load their experts, (N, 1): 1 when balanced.
  package mutating func balanceLoss(_ routings: [Routing]) -> Tensor {
    let output = tensor(columns: 1, space: routings[0].gates.space)
    append(BalanceLoss(routings: routings, output: output))
    return output
  }

  /// The square of the logarithm of Σ e^logits, mean over layers, (N, 1).
  package mutating func routerZLoss(_ routings: [Routing]) -> Tensor {
    let output = tensor(columns: 1, space: routings[0].gates.space)
    append(RouterZLoss(inputs: routings.map(\.logits), output: output))
    return output
  }
}
