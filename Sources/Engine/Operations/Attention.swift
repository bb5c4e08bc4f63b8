/// Causal attention inside each sentence of the lane; qkv is (N, 3·H·D).
struct Attention: Operation {
  let qkv: Tensor
  let heads: Int
  /// Whether no segment has more than a few rows.
  let isShort: Bool
  let output: Tensor
  let logSumExp: Tensor

  var D: Int { output.columns / heads }
  var name: String { "causal attention" }
  var inputs: [Tensor] { [qkv] }
  var outputs: [Tensor] { [output, logSumExp] }
  var auxiliary: [Tensor] { [logSumExp] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [qkv, output, logSumExp] }

  func canAdd(toInput index: Int) -> Bool { false }
  func flops(position: Double) -> Double { 4 * position * Double(output.columns) }
}

/// Attention of one new row per live sequence over its cache.
struct CachedAttention: Operation {
  let qkv: Tensor
  let heads: Int
  let context: Int
  let cache: Int
  let output: Tensor

  var D: Int { output.columns / heads }
  var name: String { "cached attention" }
  var inputs: [Tensor] { [qkv] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { 4 * position * Double(output.columns) }
}
