/// Y[n] = residual[n] + Σ over the k experts e that row n goes to, ascending, of
/// gate[n, e] · (silu(X[n]·Wg[e]) ∘ (X[n]·Wu[e]))·Wd[e]; Wg and Wu are (C, F), Wd (F, C).
///
/// No row is dropped: each expert multiplies as many rows as there are. An expert without rows has a
/// gradient of 0.
package struct Experts: Operation {
  /// The weights of one expert.
  package struct Expert {
    package let gate, up, down: Parameter
  }

  package let input: Tensor
  package let routing: Routing
  package let experts: [Expert]
  /// Its gradient is the output's.
  package let residual: Tensor
  package let output: Tensor
  /// (N, 2·k·F): gate and up of the N·k slots in the order of experts.
  package let hidden: Tensor

  package var C: Int { input.columns }
  package var F: Int { hidden.columns / (2 * k) }
  package var E: Int { experts.count }
  package var k: Int { routing.gates.columns }
  package var name: String { "\(k) of \(E) experts + residual" }
  package var inputs: [Tensor] { [input, routing.gates, residual] }
  package var constants: [Tensor] { [routing.choices] }
  package var outputs: [Tensor] { [output, hidden] }
  package var auxiliary: [Tensor] { [hidden] }
  package var parameters: [Parameter] { factors }
  package var factors: [Parameter] { experts.flatMap { [$0.gate, $0.up, $0.down] } }
  package var saved: [Tensor] { [input, routing.gates, routing.choices, hidden] }
  package var sharingGradient: Tensor? { residual }
  package var sharingValue: Tensor? { residual }
  package func canAdd(toInput index: Int) -> Bool { index != 1 }

  package func flops(position: Double) -> Double { Double(k * (6 * C * F + 20 * F + C)) }
}
