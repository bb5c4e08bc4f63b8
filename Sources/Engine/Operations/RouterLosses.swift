/// How unevenly the routers of L layers load their experts: 1 when every expert has as many rows, and
/// the same mean probability, as any other.
///
///     loss[n] = (1/L) Σ over layers of Σ_e E·c_e / (k·N) · p[n, e]
///
/// with the numbers c_e of the lane's N·k slots that go to each expert, through which no gradient flows.
/// The mean over the lane's rows is (E / (L·k·N)) Σ c_e · mean p_e, as MegaBlocks has it of a micro-batch:
/// it depends on the rows of a lane, not on who computes it.
///
/// Source: Switch Transformer (Fedus et al. 2021, equation 4); OLMoE (Muennighoff et al. 2024).
package struct BalanceLoss: Operation {
  /// Of each layer.
  package let routings: [Routing]
  package let output: Tensor

  package var E: Int { routings[0].probabilities.columns }
  package var k: Int { routings[0].choices.columns }
  package var name: String { "balance of \(routings.count) routers" }
  package var inputs: [Tensor] { routings.map(\.probabilities) }
  package var constants: [Tensor] { routings.map(\.choices) }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { constants }

  package func flops(position: Double) -> Double { Double(2 * routings.count * E) }
}

/// How large the logits of the routers of L layers are: loss[n] = (1/L) Σ over layers of
/// (log Σ_e e^logits[n, e])².
///
/// Source: ST-MoE (Zoph et al. 2022, equation 5).
package struct RouterZLoss: Operation {
  /// (N, E) of each layer.
  package let inputs: [Tensor]
  package let output: Tensor

  package var E: Int { inputs[0].columns }
  package var name: String { "z-loss of \(inputs.count) routers" }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { inputs }

  package func flops(position: Double) -> Double { Double(20 * inputs.count * E) }
}
