import Kernels
import Support
import Synchronization
import Testing

/// Kernels that share their loops have the bits that they have alone.
@Suite struct HelpersTests {
  /// Always there; does the parts backwards, every other one with scratch of its own, which holds NaN.
  private final class Pretended: Helpers {
    let count: Int
    private let parts = Atomic<Int>(0)
    private let floats: Int

    init(_ count: Int, scratch: Int) { (self.count, floats) = (count, scratch) }

    /// Parts done.
    var done: Int { parts.load(ordering: .relaxed) }

    func share(
      _ parts: Int, _ body: (_ part: Int, _ scratch: UnsafeMutablePointer<Float>?) -> Void
    ) {
      self.parts.add(parts, ordering: .relaxed)
      for part in (0..<parts).reversed() {
        var own = [Float](repeating: .nan, count: floats)
        own.withUnsafeMutableBufferPointer { body(part, part % 2 == 0 ? nil : $0.baseAddress) }
      }
    }
  }

  /// The results of `run` for no helper, one and eleven: `floats` is the scratch that it needs.
  private func expectSameBits(
    scratch floats: Int, _ run: ((any Helpers)?, inout MutableSpan<Float>) -> [[Float]],
    _ location: SourceLocation = #_sourceLocation
  ) {
    func result(_ helpers: (any Helpers)?) -> [[UInt32]] {
      var scratch = [Float](repeating: .nan, count: floats)
      var span = scratch.mutableSpan
      return run(helpers, &span).map { $0.map(\.bitPattern) }
    }
    let alone = result(nil)
    for count in [1, 11] {
      let helpers = Pretended(count, scratch: floats)
      #expect(result(helpers) == alone, "\(count) helpers", sourceLocation: location)
      #expect(helpers.done > 1, "nothing was shared", sourceLocation: location)
    }
  }

  /// Weights for the register tile, and for the library.
  @Test(arguments: [(1500, 64, 48), (700, 128, 256), (301, 320, 256)], [false, true])
  func products(shape: (Int, Int, Int), adding: Bool) {
    let (N, K, M) = shape
    let (x, w, dY, b) = (draws(N * K, "x"), draws(K * M, "w"), draws(N * M, "dY"), draws(M, "b"))
    expectSameBits(scratch: matmulScratch(K: K, M: M)) { helpers, scratch in
      var (y, dX, dW) = (draws(N * M, "y"), draws(N * K, "dX"), draws(K * M, "dW"))
      var ySpan = y.mutableSpan
      var dXSpan = dX.mutableSpan
      var dWSpan = dW.mutableSpan
      matmul(
        into: &ySpan, x.span, w.span, bias: b.span, N: N, K: K, M: M, adding: adding,
        helpers: helpers)
      matmulBackward(
        dX: &dXSpan, dW: &dWSpan, dY.span, x.span, w.span, N: N, K: K, M: M, addingInput: adding,
        addingWeights: adding, helpers: helpers, scratch: &scratch)
      return [y, dX, dW]
    }
  }

  @Test(
    .enabled(if: Precision.bfloat16.isAvailable),
    arguments: [(301, 128, 320), (1030, 200, 72)], [Activation.none, .gelu])
  func roundedProducts(shape: (Int, Int, Int), activation: Activation) {
    let (N, K, M) = shape
    let (x, w, dY, b) = (draws(N * K, "x"), draws(K * M, "w"), draws(N * M, "dY"), draws(M, "b"))
    let factor = packed(w, K: K, M: M)
    expectSameBits(scratch: packedMatmulScratch(K: K, M: M)) { helpers, scratch in
      var (y, dX, dW, dB) = (draws(N * M, "y"), blank(N * K), draws(K * M, "dW"), blank(M))
      var ySpan = y.mutableSpan
      matmul(
        into: &ySpan, x.span, packed: factor.span, bias: b.span, residual: dY.span, N: N, K: K,
        M: M, activation: activation, helpers: helpers, scratch: &scratch)
      var dXSpan = dX.mutableSpan
      var dWSpan = dW.mutableSpan
      var dBSpan = dB.mutableSpan
      matmulBackward(
        dX: &dXSpan, dW: &dWSpan, dBias: &dBSpan, dY.span, x.span, packed: factor.span, N: N, K: K,
        M: M, addingInput: false, addingWeights: true, addingBias: false, activation: activation,
        helpers: helpers, scratch: &scratch)
      return [y, dX, dW, dB]
    }
  }

  /// Heads through the register tile, the library, and rounded.
  @Test(
    arguments: [(2000, 128, 200, Precision.float32), (300, 64, 3000, .float32)]
      + (Precision.bfloat16.isAvailable ? [(300, 64, 3001, .bfloat16)] : []))
  func heads(N: Int, C: Int, V: Int, precision: Precision) {
    let (x, w) = (draws(N * C, "x"), draws(V * C, "w", deviation: 0.3))
    let labels = (0..<N).map { $0 % 9 == 4 ? -1 : Int32($0 * 7 % V) }
    let factor = precision == .float32 ? [] : packed(w, K: V, M: C)
    let floats =
      precision == .float32 ? headScratch(C: C, V: V) : packedHeadScratch(C: C, V: V)
    expectSameBits(scratch: floats) { helpers, scratch in
      var (losses, dX, dW) = (blank(N), blank(N * C), draws(V * C, "dW"))
      var lossSpan = losses.mutableSpan
      var dXSpan = dX.mutableSpan
      var dWSpan = dW.mutableSpan
      headCrossEntropy(
        losses: &lossSpan, dX: &dXSpan, dW: &dWSpan, x.span, w.span, packed: factor.span,
        labels: labels.span, N: N, C: C, V: V, scale: 0.25, addingWeights: true, helpers: helpers,
        scratch: &scratch)
      return [losses, dX, dW]
    }
  }

  @Test(arguments: [[200, 1, 330, 64], [512]], Precision.allCases.filter(\.isAvailable))
  func attention(lengths: [Int], precision: Precision) {
    let (N, H, D) = (lengths.reduce(0, +), 3, 20)
    let offsets = lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    let (qkv, dO) = (draws(3 * N * H * D, "qkv"), draws(N * H * D, "dO"))
    let floats = attentionScratch(T: lengths.max() ?? 0, D: D, precision)
    expectSameBits(scratch: floats) { helpers, scratch in
      var (o, lse, dQKV) = (blank(N * H * D), blank(N * H), blank(3 * N * H * D))
      var oSpan = o.mutableSpan
      var lseSpan = lse.mutableSpan
      causalAttention(
        into: &oSpan, logSumExp: &lseSpan, qkv: qkv.span, offsets: offsets.span, H: H, D: D,
        precision: precision, helpers: helpers, scratch: &scratch)
      var dSpan = dQKV.mutableSpan
      causalAttentionBackward(
        into: &dSpan, dO.span, o: o.span, logSumExp: lse.span, qkv: qkv.span,
        offsets: offsets.span, H: H, D: D, precision: precision, helpers: helpers,
        scratch: &scratch)
      return [o, lse, dQKV]
    }
  }
}
