import Kernels
import Support
import Testing

@Suite(.enabled(if: Precision.bfloat16.isAvailable))
struct BFloat16Tests {
  static let shapes: [(Int, Int, Int)] = [
    (0, 16, 16), (1, 1, 1), (1, 2, 17), (3, 16, 48), (9, 31, 16), (17, 33, 63), (7, 5, 3),
    (33, 64, 65), (130, 48, 80), (523, 20, 130), (5, 320, 256), (8, 66, 112), (270, 700, 400),
  ]

  @Test(arguments: shapes, [false, true])
  func agreesWithTwin(shape: (Int, Int, Int), adding: Bool) {
    let (N, K, M) = shape
    let (x, w, dY, b) = (draws(N * K, "x"), draws(K * M, "w"), draws(N * M, "dY"), draws(M, "b"))
    let (y0, dX0, dW0) = (draws(N * M, "y0"), draws(N * K, "dX0"), draws(K * M, "dW0"))
    let dB0 = draws(M, "dB0")
    var (y, dX, dW, dB) = (y0, dX0, dW0, dB0)
    products(&y, &dX, &dW, &dB, x, w, dY, b, N: N, K: K, M: M, adding: adding)

    let (xr, wr, dYr) = (
      x.map { Double(rounded($0)) }, w.map { Double(rounded($0)) }, dY.map { Double(rounded($0)) }
    )
    func plus(_ start: [Float], _ product: [Double]) -> [Double] {
      zip(start, product).map { adding ? Double($0) + $1 : $1 }
    }
    let forward = Twin.product(N, K, M, { xr[$0 * K + $1] }, { wr[$0 * M + $1] })
      .enumerated().map { $1 + Double(b[$0 % M]) }
    let input = Twin.product(N, M, K, { dYr[$0 * M + $1] }, { wr[$1 * M + $0] })
    let weight = Twin.product(K, N, M, { xr[$1 * K + $0] }, { dYr[$0 * M + $1] })
    #expect(error(y, plus(y0, forward)) < productBound(K + 2))
    #expect(error(dX, plus(dX0, input)) < productBound(M + 1))
    let bias = (0..<M).map { m in (0..<N).reduce(0) { $0 + Double(dY[$1 * M + m]) } }
    #expect(error(dW, plus(dW0, weight)) < productBound(N + 1))
    #expect(error(dB, plus(dB0, bias)) < productBound(N + 1))
  }

  /// GELU, product and gradient of GELU one after the other, but for the GELU's own error and what
  /// rounding makes of it: where it lies at a border, a unit in the last place of bfloat16.
  @Test(arguments: shapes, [false, true])
  func activationsAreFused(shape: (Int, Int, Int), adding: Bool) {
    let (N, K, M) = shape
    let (x, w, dY, b) = (draws(N * K, "x"), draws(K * M, "w"), draws(N * M, "dY"), draws(M, "b"))
    let (y0, dW0, dB0) = (draws(N * M, "y0"), draws(K * M, "dW0"), draws(M, "dB0"))
    var (y, dX, dW, dB) = (y0, blank(N * K), dW0, dB0)
    products(
      &y, &dX, &dW, &dB, x, w, dY, b, N: N, K: K, M: M, adding: adding, activation: .gelu)
    var activated = blank(N * K)
    var activatedSpan = activated.mutableSpan
    gelu(into: &activatedSpan, x.span)
    var (y1, dX1, dW1, dB1) = (y0, [Float](repeating: 0, count: N * K), dW0, dB0)
    products(&y1, &dX1, &dW1, &dB1, activated, w, dY, b, N: N, K: K, M: M, adding: adding)
    var dXSpan = dX1.mutableSpan
    geluBackward(inPlace: &dXSpan, x.span)
    #expect(dB == dB1)
    #expect(error(dX, dX1.doubles) < 1e-5 * max(1, size(dX1.doubles)))
    #expect(error(y, y1.doubles) < 0x1p-10 * max(1, size(y1.doubles)))
    #expect(error(dW, dW1.doubles) < 0x1p-10 * max(1, size(dW1.doubles)))
  }

  /// One weight 1, so that Y is GELU, rounded, and dX its derivative: against the twin in double
  /// precision, over all the range where either is neither 0 nor 1, and beyond.
  @Test func activationsAgreeWithTwin() {
    let x =
      stride(from: Float(-30), to: 30, by: 0x1p-8).map { $0 } + [-1e4, 1e4, -1e18, 1e18, -0.0]
    let N = x.count
    var (y, dX, dW, dB) = (blank(N), blank(N), blank(1), [Float]())
    products(
      &y, &dX, &dW, &dB, x, [1], [Float](repeating: 1, count: N), [], N: N, K: 1, M: 1,
      adding: false, activation: .gelu)
    for (n, x) in x.enumerated() {
      let value = Twin.gelu(Double(x))
      let slope = (Twin.gelu(Double(x) + 1e-4) - Twin.gelu(Double(x) - 1e-4)) / 2e-4
      let error = 6e-6 * abs(value) + 1e-12
      let bounds = rounded(Float(value - error))...rounded(Float(value + error))
      #expect(bounds.contains(y[n]), "gelu(\(x)) is \(y[n])")
      if abs(x) < 100 { #expect(abs(Double(dX[n]) - slope) < 1e-5, "gelu'(\(x)) is \(dX[n])") }
    }
  }

  /// One factor is 1, so the product is the rounded other one: exactly.
  @Test func roundsToNearestEven() {
    var x: [Float] = [
      0, -0.0, 1, 1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-23, 1 + 0x3p-8, 1 - 0x1p-9, -3.141_592_7, 1e-30,
      1e38, .leastNonzeroMagnitude, .leastNormalMagnitude, 0x1.FEp127, 255.5, 256.5,
    ]
    x += draws(1000, "x", deviation: 1e-3) + draws(1000, "z", deviation: 1e3)
    let N = x.count
    var (y, dX, dW, dB) = (blank(N), blank(N), blank(1), [Float]())
    products(
      &y, &dX, &dW, &dB, x, [1], [Float](repeating: 1, count: N), [], N: N, K: 1, M: 1,
      adding: false)
    #expect(y == x.map(rounded))
  }

  @Test(arguments: [Float.infinity, .nan])
  func badNumbersAreNotHidden(bad: Float) {
    let factor = packed([1, 2], K: 2, M: 1)
    var scratch = [Float](repeating: 0, count: packedMatmulScratch(K: 2, M: 1))
    var y = blank(3)
    var ySpan = y.mutableSpan
    var scratchSpan = scratch.mutableSpan
    matmul(
      into: &ySpan, [1, 1, 1, bad, 1, 1].span, packed: factor.span, bias: Span(), residual: Span(),
      N: 3, K: 2, M: 1, scratch: &scratchSpan)
    #expect(y[0] == 3 && !y[1].isFinite && y[2] == 3)
  }

  /// The bits of a row of Y or dX do not depend on the rows beside it.
  @Test func rowsAreAlone() {
    let (N, K, M) = (150, 70, 90)
    let (x, w, dY, b) = (draws(N * K, "x"), draws(K * M, "w"), draws(N * M, "dY"), draws(M, "b"))
    var (y, dX, dW, dB) = (blank(N * M), blank(N * K), blank(K * M), blank(M))
    products(&y, &dX, &dW, &dB, x, w, dY, b, N: N, K: K, M: M, adding: false)
    for rows in [0..<1, 3..<8, 130..<150] {
      let n = rows.count
      let (inner, outer) = (
        rows.lowerBound * K..<rows.upperBound * K, rows.lowerBound * M..<rows.upperBound * M
      )
      var (yPart, dXPart, dWPart) = (blank(n * M), blank(n * K), blank(K * M))
      products(
        &yPart, &dXPart, &dWPart, &dB, Array(x[inner]), w, Array(dY[outer]), b, N: n, K: K, M: M,
        adding: false)
      #expect(yPart == Array(y[outer]))
      #expect(dXPart == Array(dX[inner]))
    }
  }

  /// Against the head in single precision with rounded factors: what differs is that p − 1 is
  /// rounded, by at most 2⁻⁹ of each term.
  @Test(arguments: [(1, 16, 5), (40, 17, 33), (300, 32, 70)], [false, true])
  func headAgrees(shape: (Int, Int, Int), adding: Bool) {
    let (N, C, V) = shape
    let x = draws(N * C, "x").map(rounded)
    let w = draws(V * C, "w", deviation: 0.3).map(rounded)
    let labels = (0..<N).map { Int32($0 * 7 % V) }
    let factor = packed(w, K: V, M: C)
    func run(_ packed: [Float]) -> (losses: [Float], dX: [Float], dW: [Float]) {
      var losses = [Float](repeating: .nan, count: N)
      var dX = [Float](repeating: .nan, count: N * C)
      var dW = draws(V * C, "dW0")
      var scratch = [Float](
        repeating: .nan,
        count: packed.isEmpty ? headScratch(C: C, V: V) : packedHeadScratch(C: C, V: V))
      var lossSpan = losses.mutableSpan
      var dXSpan = dX.mutableSpan
      var dWSpan = dW.mutableSpan
      var scratchSpan = scratch.mutableSpan
      headCrossEntropy(
        losses: &lossSpan, dX: &dXSpan, dW: &dWSpan, x.span, w.span, packed: packed.span,
        labels: labels.span, N: N, C: C, V: V, scale: 0.25, addingWeights: adding,
        scratch: &scratchSpan)
      return (losses, dX, dW)
    }
    let (found, expected) = (run(factor), run([]))
    let gradient = expected.dX.doubles
    #expect(error(found.losses, expected.losses.doubles) < 2e-5)
    #expect(error(found.dX, gradient) < 0x1p-8 * Double(V).squareRoot() * size(gradient))
    #expect(error(found.dW, expected.dW.doubles) < 0x1p-8 * size(expected.dW.doubles))
  }

  /// Against attention in single precision: each of the five products rounds both factors, by 2⁻⁹
  /// of each term, and errors of independent terms grow as the root of their number.
  @Test(arguments: [
    ([31, 32, 1, 33], 2, 16), ([64, 65, 130], 1, 33), ([100], 2, 80), ([129], 3, 17),
    ([513], 1, 64), ([579], 2, 18), ([1090], 1, 16),
  ])
  func attentionAgrees(lengths: [Int], H: Int, D: Int) {
    let (N, C) = (lengths.reduce(0, +), H * D)
    let (qkv, dO) = (draws(3 * N * C, "qkv"), draws(N * C, "dO"))
    var offsets = [0]
    for length in lengths { offsets.append(offsets[offsets.count - 1] + length) }
    func run(_ precision: Precision) -> (o: [Float], lse: [Float], dQKV: [Float]) {
      var (o, lse, dQKV) = (blank(N * C), blank(N * H), blank(3 * N * C))
      var scratch = blank(attentionScratch(T: lengths.max() ?? 0, D: D, precision))
      var oSpan = o.mutableSpan
      var lseSpan = lse.mutableSpan
      var scratchSpan = scratch.mutableSpan
      causalAttention(
        into: &oSpan, logSumExp: &lseSpan, qkv: qkv.span, offsets: offsets.span, H: H, D: D,
        precision: precision, scratch: &scratchSpan)
      var gradient = dQKV.mutableSpan
      causalAttentionBackward(
        into: &gradient, dO.span, o: o.span, logSumExp: lse.span, qkv: qkv.span,
        offsets: offsets.span, H: H, D: D, precision: precision, scratch: &scratchSpan)
      return (o, lse, dQKV)
    }
    let (found, expected) = (run(.bfloat16), run(.float32))
    #expect(error(found.o, expected.o.doubles) < 0x1p-6 * size(expected.o.doubles))
    #expect(error(found.lse, expected.lse.doubles) < 0x1p-6 * size(expected.lse.doubles))
    #expect(error(found.dQKV, expected.dQKV.doubles) < 0x1p-5 * size(expected.dQKV.doubles))
    // Segments below the limit take the same way in both.
    if lengths[0] < 32 {
      #expect(found.o[..<(lengths[0] * C)] == expected.o[..<(lengths[0] * C)])
      #expect(found.o[(31 * C)...] != expected.o[(31 * C)...])
    }
  }
}
