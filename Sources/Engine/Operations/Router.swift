/// Which k of E experts a row goes to: logits X·W in single precision whatever the precision of other
/// products, softmax over all experts, the k largest. W is (C, E).
struct Router: Operation {
  let input: Tensor
  let weight: Parameter
  let normalizes: Bool
  let routing: Routing

  var C: Int { input.columns }
  var E: Int { routing.logits.columns }
  var k: Int { routing.gates.columns }
  var name: String { "router of \(k) of \(E)" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] {
    [routing.gates, routing.probabilities, routing.logits, routing.choices]
  }
  var auxiliary: [Tensor] { [routing.choices] }
  var parameters: [Parameter] { [weight] }
  var saved: [Tensor] { [input, routing.gates, routing.probabilities, routing.choices] }

  func flops(position: Double) -> Double { Double(2 * C * E + 20 * E) }
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
