import Kernels

/// Causal attention inside each sentence of the lane; qkv is (N, 3·H·D).
struct Attention: Operation {
  let qkv: Tensor
  let heads: Int
  let output: Tensor
  let logSumExp: Tensor

  var D: Int { output.columns / heads }
  var name: String { "causal attention" }
  var inputs: [Tensor] { [qkv] }
  var outputs: [Tensor] { [output, logSumExp] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [qkv, output, logSumExp] }

  func scratch(_ limits: Limits) -> Int {
    attentionScratch(T: limits.segment, D: D, limits.precision)
  }
  func flops(position: Double) -> Double { 4 * position * Double(output.columns) }

  func forward(_ w: borrowing Workspace) {
    var o = w.value(output).mutableSpan
    var logSumExp = w.value(logSumExp).mutableSpan
    var scratch = w.scratch.mutableSpan
    causalAttention(
      into: &o, logSumExp: &logSumExp, qkv: w.value(qkv).span, offsets: w.lane.offsets.span,
      H: heads, D: D, precision: w.precision, scratch: &scratch)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    precondition(!accumulation.addsInput(0), "attention does not share its qkv")
    var dQKV = w.gradient(qkv).mutableSpan
    var scratch = w.scratch.mutableSpan
    causalAttentionBackward(
      into: &dQKV, w.gradient(output).span, o: w.value(output).span,
      logSumExp: w.value(logSumExp).span, qkv: w.value(qkv).span, offsets: w.lane.offsets.span,
      H: heads, D: D, precision: w.precision, scratch: &scratch)
  }
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

  func scratch(_ limits: Limits) -> Int { cachedAttentionScratch(context: context, H: heads) }
  func flops(position: Double) -> Double { 4 * position * Double(output.columns) }

  func forward(_ w: borrowing Workspace) {
    var o = w.value(output).mutableSpan
    var scratch = w.scratch.mutableSpan
    let stride = w.lane.cacheStride
    let caches = UnsafeMutableBufferPointer(
      rebasing: w.lane.caches[cache * stride..<(cache + 1) * stride])
    var layerCache = caches.mutableSpan
    cachedAttention(
      into: &o, cache: &layerCache, qkv: w.value(qkv).span, slots: w.lane.slots.span,
      positions: w.lane.positions.span, context: context, H: heads, D: D, scratch: &scratch)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    preconditionFailure("cached attention has no backward pass")
  }
}
