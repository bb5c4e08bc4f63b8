/// Causal attention inside each sentence of the lane; qkv is (N, 3·H·D).
package struct Attention: Operation {
  package let qkv: Tensor
  package let heads: Int
  /// Whether no segment has more than a few rows.
  package let isShort: Bool
  package let output: Tensor
  package let logSumExp: Tensor

  package var D: Int { output.columns / heads }
  package var name: String { "causal attention" }
  package var inputs: [Tensor] { [qkv] }
  package var outputs: [Tensor] { [output, logSumExp] }
  package var auxiliary: [Tensor] { [logSumExp] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [qkv, output, logSumExp] }

  package func canAdd(toInput index: Int) -> Bool { false }
  package func flops(position: Double) -> Double { 4 * position * Double(output.columns) }
}

/// Attention of one new row per live sequence over its cache.
package struct CachedAttention: Operation {
  package let qkv: Tensor
  package let heads: Int
  package let context: Int
  package let cache: Int
  package let output: Tensor

  package var D: Int { output.columns / heads }
  package var name: String { "cached attention" }
  package var inputs: [Tensor] { [qkv] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { 4 * position * Double(output.columns) }
}
