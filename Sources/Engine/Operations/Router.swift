/// Which k of E experts a row goes to: logits X·W in single precision whatever the precision of other
/// products, softmax over all experts, the k largest. W is (C, E).
package struct Router: Operation {
  package let input: Tensor
  package let weight: Parameter
  package let normalizes: Bool
  package let routing: Routing

  package var C: Int { input.columns }
  package var E: Int { routing.logits.columns }
  package var k: Int { routing.gates.columns }
  package var name: String { "router of \(k) of \(E)" }
  package var inputs: [Tensor] { [input] }
  package var outputs: [Tensor] {
    [routing.gates, routing.probabilities, routing.logits, routing.choices]
  }
  package var auxiliary: [Tensor] { [routing.choices] }
  package var parameters: [Parameter] { [weight] }
  package var saved: [Tensor] { [input, routing.gates, routing.probabilities, routing.choices] }

  package func flops(position: Double) -> Double { Double(2 * C * E + 20 * E) }
}

/// What a router gives for each row.
package struct Routing: Sendable, Hashable {
  /// (N, k): the weight of each chosen expert.
  package let gates: Tensor
  /// (N, E): softmax of the logits.
  package let probabilities: Tensor
  /// (N, E).
  package let logits: Tensor
  /// (N, k): numbers of the chosen experts, ascending.
  package let choices: Tensor
}
