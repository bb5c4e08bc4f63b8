import Kernels

extension Attention: CPUOperation {
  package func scratch(_ limits: Limits) -> Int {
    isShort
      ? shortAttentionScratch : attentionScratch(T: limits.segment, D: D, limits.precision)
  }

  package func forward(_ w: borrowing Workspace) {
    var o = w.value(output).mutableSpan
    var logSumExp = w.value(logSumExp).mutableSpan
    var scratch = w.scratch.mutableSpan
    if isShort {
      shortCausalAttention(
        into: &o, logSumExp: &logSumExp, qkv: w.value(qkv).span, offsets: w.segments(of: qkv).span,
        H: heads, D: D, scratch: &scratch)
      return
    }
    causalAttention(
      into: &o, logSumExp: &logSumExp, qkv: w.value(qkv).span, offsets: w.segments(of: qkv).span,
      H: heads, D: D, precision: w.precision, helpers: w.helpers, scratch: &scratch)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dQKV = w.gradient(qkv).mutableSpan
    var scratch = w.scratch.mutableSpan
    if isShort {
      shortCausalAttentionBackward(
        into: &dQKV, w.gradient(output).span, o: w.value(output).span,
        logSumExp: w.value(logSumExp).span, qkv: w.value(qkv).span,
        offsets: w.segments(of: qkv).span, H: heads, D: D, scratch: &scratch)
      return
    }
    causalAttentionBackward(
      into: &dQKV, w.gradient(output).span, o: w.value(output).span,
      logSumExp: w.value(logSumExp).span, qkv: w.value(qkv).span, offsets: w.segments(of: qkv).span,
      H: heads, D: D, precision: w.precision, helpers: w.helpers, scratch: &scratch)
  }
}

extension CachedAttention: CPUOperation {
  package func scratch(_ limits: Limits) -> Int {
    cachedAttentionScratch(context: context, H: heads)
  }

  package func forward(_ w: borrowing Workspace) {
    var o = w.value(output).mutableSpan
    var scratch = w.scratch.mutableSpan
    let stride = w.lane.cacheStride
    let caches = UnsafeMutableBufferPointer(
      rebasing: w.lane.caches[cache * stride..<(cache + 1) * stride])
    var layerCache = caches.mutableSpan
    cachedAttention(
      into: &o, cache: &layerCache, qkv: w.value(qkv).span, slots: w.lane.slots.span,
      positions: w.positions(of: qkv).span, context: context, H: heads, D: D, scratch: &scratch)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    preconditionFailure("cached attention has no backward pass")
  }
}
