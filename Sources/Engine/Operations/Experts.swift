/// Y[n] = residual[n] + Σ over the k experts e that row n goes to, ascending, of
/// gate[n, e] · (silu(X[n]·Wg[e]) ∘ (X[n]·Wu[e]))·Wd[e]; Wg and Wu are (C, F), Wd (F, C).
///
/// No row is dropped: each expert multiplies as many rows as there are. An expert without rows has a
/// gradient of 0.
struct Experts: Operation {
  /// The weights of one expert.
  struct Expert {
    let gate, up, down: Parameter
  }

  let input: Tensor
  let routing: Routing
  let experts: [Expert]
  /// Its gradient is the output's.
  let residual: Tensor
  let output: Tensor
  /// (N, 2·k·F): gate and up of the N·k slots in the order of experts.
  let hidden: Tensor

  var C: Int { input.columns }
  var F: Int { hidden.columns / (2 * k) }
  var E: Int { experts.count }
  var k: Int { routing.gates.columns }
  var name: String { "\(k) of \(E) experts + residual" }
  var inputs: [Tensor] { [input, routing.gates, residual] }
  var constants: [Tensor] { [routing.choices] }
  var outputs: [Tensor] { [output, hidden] }
  var auxiliary: [Tensor] { [hidden] }
  var parameters: [Parameter] { factors }
  var factors: [Parameter] { experts.flatMap { [$0.gate, $0.up, $0.down] } }
  var saved: [Tensor] { [input, routing.gates, routing.choices, hidden] }
  var sharingGradient: Tensor? { residual }
  var sharingValue: Tensor? { residual }
  func canAdd(toInput index: Int) -> Bool { index != 1 }

  func flops(position: Double) -> Double { Double(k * (6 * C * F + 20 * F + C)) }
}
