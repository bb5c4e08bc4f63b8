import Kernels
import Support

/// The slow twin of the rounding: nearest bfloat16, ties to even, subnormal floats to zero.
func rounded(_ x: Float) -> Float {
  if !x.isNormal { return x.isSubnormal ? 0 : x }
  let bits = x.bitPattern
  return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
}

/// n + 2 roundings of a sum that, for normal draws, stays below 2(n + 2).
func productBound(_ n: Int) -> Double { Double(2 * (n + 2) * (n + 2)) / Double(1 << 24) }

func packed(_ w: [Float], K: Int, M: Int) -> [Float] {
  var result = [Float](repeating: .nan, count: packedCount(K: K, M: M))
  var span = result.mutableSpan
  packWeights(into: &span, w.span, K: K, M: M)
  return result
}

/// Y = X·W + b, or += that, and dX, dW and dB alike.
func products(
  _ y: inout [Float], _ dX: inout [Float], _ dW: inout [Float], _ dB: inout [Float], _ x: [Float],
  _ w: [Float], _ dY: [Float], _ b: [Float], N: Int, K: Int, M: Int, adding: Bool,
  activation: Activation = .none
) {
  let factor = packed(w, K: K, M: M)
  var scratch = blank(packedMatmulScratch(K: K, M: M))
  var scratchSpan = scratch.mutableSpan
  let residual = adding ? y : []
  var ySpan = y.mutableSpan
  matmul(
    into: &ySpan, x.span, packed: factor.span, bias: b.span, residual: residual.span, N: N, K: K,
    M: M, activation: activation, scratch: &scratchSpan)
  var dXSpan = dX.mutableSpan
  var dWSpan = dW.mutableSpan
  var dBSpan = dB.mutableSpan
  matmulBackward(
    dX: &dXSpan, dW: &dWSpan, dBias: &dBSpan, dY.span, x.span, packed: factor.span, N: N, K: K,
    M: M, addingInput: adding && activation == .none, addingWeights: adding, addingBias: adding,
    activation: activation, scratch: &scratchSpan)
}

func blank(_ count: Int) -> [Float] { [Float](repeating: .nan, count: count) }
