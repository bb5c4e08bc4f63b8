import Foundation
import Kernels
import Support
import Testing

@Suite struct MatmulTests {
  static let shapes: [(Int, Int, Int)] = [
    (0, 16, 16), (1, 16, 16), (3, 16, 48), (9, 32, 16), (17, 16, 64), (300, 48, 80), (7, 5, 3),
    (33, 17, 15), (1, 1, 1), (5, 320, 256), (8, 64, 112),
  ]

  @Test(arguments: shapes, [false, true])
  func agreesWithTwin(shape: (Int, Int, Int), adding: Bool) {
    let (N, K, M) = shape
    let (x, w, dY) = (draws(N * K, "x"), draws(K * M, "w"), draws(N * M, "dY"))
    let (y0, dX0, dW0) = (draws(N * M, "y0"), draws(N * K, "dX0"), draws(K * M, "dW0"))
    var (y, dX, dW) = (y0, dX0, dW0)
    var scratch = [Float](repeating: .nan, count: matmulScratch(K: K, M: M))
    var ySpan = y.mutableSpan
    matmul(into: &ySpan, x.span, w.span, N: N, K: K, M: M, adding: adding)
    var dXSpan = dX.mutableSpan
    var scratchSpan = scratch.mutableSpan
    matmulBackwardInput(
      into: &dXSpan, dY.span, w.span, N: N, K: K, M: M, adding: adding, scratch: &scratchSpan)
    var dWSpan = dW.mutableSpan
    matmulBackwardWeight(into: &dWSpan, x.span, dY.span, N: N, K: K, M: M, adding: adding)

    func plus(_ start: [Float], _ product: [Double]) -> [Double] {
      zip(start, product).map { adding ? Double($0) + $1 : $1 }
    }
    let forward = Twin.product(N, K, M, { Double(x[$0 * K + $1]) }, { Double(w[$0 * M + $1]) })
    let input = Twin.product(N, M, K, { Double(dY[$0 * M + $1]) }, { Double(w[$1 * M + $0]) })
    let weight = Twin.product(K, N, M, { Double(x[$1 * K + $0]) }, { Double(dY[$0 * M + $1]) })
    #expect(error(y, plus(y0, forward)) < productBound(K))
    #expect(error(dX, plus(dX0, input)) < productBound(M))
    #expect(error(dW, plus(dW0, weight)) < productBound(N))
  }

  /// With a bias the bits are those of the bias, or of its sum with Y, and then the product; or of the
  /// product and then the bias.
  @Test(arguments: shapes + [(6, 20, 17), (2, 16, 1), (3, 272, 256)], [false, true])
  func biasJoinsTheProduct(shape: (Int, Int, Int), isRowwise: Bool) {
    let (N, K, M) = shape
    let (x, w, b, y0) = (draws(N * K, "x"), draws(K * M, "w"), draws(M, "b"), draws(N * M, "y0"))
    func product(
      onto start: [Float]?, bias: [Float] = [], addsBiasLast: Bool = false
    ) -> [Float] {
      var y = start ?? [Float](repeating: .nan, count: N * M)
      var span = y.mutableSpan
      matmul(
        into: &span, x.span, w.span, bias: bias.span, N: N, K: K, M: M, adding: start != nil,
        addsBiasLast: addsBiasLast, isRowwise: isRowwise)
      return y
    }
    let biases = (0..<N).flatMap { _ in b }
    func sum(_ x: [Float], _ y: [Float]) -> [Float] { zip(x, y).map { $0 + $1 } }
    #expect(product(onto: nil, bias: b) == product(onto: biases))
    #expect(product(onto: y0, bias: b) == product(onto: sum(y0, biases)))
    #expect(product(onto: nil, bias: b, addsBiasLast: true) == sum(product(onto: nil), biases))
  }

  @Test(arguments: [(1, 1), (5, 3), (4, 16), (9, 80), (0, 17)])
  func biasBackwardSumsRows(N: Int, M: Int) {
    let (b, dY) = (draws(M, "b"), draws(N * M, "dY"))
    for adding in [false, true] {
      var db = b
      var dbSpan = db.mutableSpan
      biasBackward(into: &dbSpan, dY.span, N: N, M: M, adding: adding)
      let sums = (0..<M).map { m in
        (0..<N).reduce(adding ? Double(b[m]) : 0) { $0 + Double(dY[$1 * M + m]) }
      }
      #expect(error(db, sums) < productBound(N + 1))
    }
  }
}

@Suite struct ElementwiseTests {
  @Test(arguments: [(1, 1), (3, 15), (2, 16), (5, 33)])
  func gelu(N: Int, F: Int) {
    var h = draws(N * F, "h", deviation: 3)
    h[0] = -30
    var y = h
    var ySpan = y.mutableSpan
    Kernels.gelu(into: &ySpan, h.span)
    // σ within 6 roundings, times x up to 30.
    #expect(error(y, h.map { Twin.gelu(Double($0)) }) < 30 * 6 / Double(1 << 24))
    let dY = draws(N * F, "dY")
    var dH = dY
    var dHSpan = dH.mutableSpan
    geluBackward(inPlace: &dHSpan, h.span)
    let expected = slopes(h, weights: dY) { $0.map(Twin.gelu) }
    #expect(error(dH, expected) < 1e-5)
  }

  @Test(arguments: [(1, 1), (2, 15), (3, 16), (4, 17), (2, 64)])
  func layerNormalization(N: Int, C: Int) {
    let (x, w, b) = (draws(N * C, "x"), draws(C, "w"), draws(C, "b"))
    var y = x
    var statistics = [Float](repeating: .nan, count: 2 * N)
    var ySpan = y.mutableSpan
    var statisticsSpan = statistics.mutableSpan
    layerNorm(
      into: &ySpan, statistics: &statisticsSpan, x.span, weight: w.span, bias: b.span, N: N, C: C)
    let expected = Twin.layerNorm(x.doubles, w.doubles, b.doubles, C: C)
    let bound = Double(C + 8) * 8 / Double(1 << 24)
    #expect(error(y, expected) < bound)

    let dY = draws(N * C, "dY")
    for adding in [false, true] {
      var (dX, dW, dB) = (draws(N * C, "dX"), draws(C, "dW"), draws(C, "dB"))
      let before = (dX, dW, dB)
      var dXSpan = dX.mutableSpan
      var dWSpan = dW.mutableSpan
      var dBSpan = dB.mutableSpan
      layerNormBackward(
        into: &dXSpan, dWeight: &dWSpan, dBias: &dBSpan, dY.span, x.span,
        statistics: statistics.span, weight: w.span, N: N, C: C, adding: adding,
        addingParameters: adding)
      func plus(_ start: [Float], _ slopes: [Double]) -> [Double] {
        zip(start, slopes).map { adding ? Double($0) + $1 : $1 }
      }
      let sX = slopes(x, weights: dY) { Twin.layerNorm($0, w.doubles, b.doubles, C: C) }
      let sW = slopes(w, weights: dY) { Twin.layerNorm(x.doubles, $0, b.doubles, C: C) }
      let sB = slopes(b, weights: dY) { Twin.layerNorm(x.doubles, w.doubles, $0, C: C) }
      if C > 1 { #expect(error(dX, plus(before.0, sX)) < 2e-4) }
      #expect(error(dW, plus(before.1, sW)) < 2e-5)
      #expect(error(dB, plus(before.2, sB)) < 2e-5)
    }
  }

  @Test(arguments: [1, 15, 16, 40])
  func embeddings(C: Int) {
    let rows = 6
    let ids: [Int32] = [5, 0, 2, 2, 1, 0, 5, 5]
    let table = draws(rows * C, "table")
    // The second column of an id matrix of two.
    let matrix: [Int32] = ids.flatMap { [Int32(99), $0] }
    var x = [Float](repeating: 1, count: ids.count * C)
    var xSpan = x.mutableSpan
    embedding(
      into: &xSpan, table.span, IDColumn(matrix.span, width: 2, column: 1), C: C, adding: true)
    #expect(x == x.indices.map { 1 + table[Int(ids[$0 / C]) * C + $0 % C] })
    let dX = draws(x.count, "dX")
    for adding in [false, true] {
      var gradient = table
      var gradientSpan = gradient.mutableSpan
      embeddingBackward(into: &gradientSpan, dX.span, IDColumn(ids.span), C: C, adding: adding)
      var expected = adding ? table.doubles : table.map { _ in 0 }
      for (n, id) in ids.enumerated() {
        for c in 0..<C { expected[Int(id) * C + c] += Double(dX[n * C + c]) }
      }
      #expect(error(gradient, expected) < 1e-6)
    }
  }
}

@Suite struct AttentionTests {
  @Test(arguments: [
    ([1], 1, 1), ([2, 1, 3], 2, 8), ([15, 16, 17], 2, 4), ([33, 5], 3, 16), ([19, 20], 1, 20),
    ([40], 1, 64), ([], 2, 8),
  ])
  func agreesWithTwin(lengths: [Int], H: Int, D: Int) {
    let (C, N) = (H * D, lengths.reduce(0, +))
    let offsets = lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    let (qkv, dO) = (draws(3 * N * C, "qkv"), draws(N * C, "dO"))
    var o = [Float](repeating: .nan, count: N * C)
    var logSumExp = [Float](repeating: .nan, count: N * H)
    var scratch = [Float](repeating: .nan, count: attentionScratch(T: lengths.max() ?? 0, D: D))
    var oSpan = o.mutableSpan
    var lseSpan = logSumExp.mutableSpan
    var scratchSpan = scratch.mutableSpan
    causalAttention(
      into: &oSpan, logSumExp: &lseSpan, qkv: qkv.span, offsets: offsets.span, H: H, D: D,
      scratch: &scratchSpan)
    let expected = Twin.attention(qkv.doubles, lengths: lengths, H: H, D: D)
    #expect(error(o, expected) < 1e-5)

    var dQKV = [Float](repeating: .nan, count: 3 * N * C)
    var dSpan = dQKV.mutableSpan
    var again = scratch.map { _ in Float.nan }
    var againSpan = again.mutableSpan
    causalAttentionBackward(
      into: &dSpan, dO.span, o: o.span, logSumExp: logSumExp.span, qkv: qkv.span,
      offsets: offsets.span, H: H, D: D, scratch: &againSpan)
    if N * C <= 200 {
      let numeric = slopes(qkv, weights: dO) { Twin.attention($0, lengths: lengths, H: H, D: D) }
      #expect(error(dQKV, numeric) < 2e-5 * size(numeric))
    } else {
      // Along one random direction, where differences of every element would take minutes.
      let direction = draws(qkv.count, "direction").doubles
      let h = 1e-6
      func value(_ step: Double) -> Double {
        let moved = zip(qkv, direction).map { Double($0) + step * $1 }
        return zip(Twin.attention(moved, lengths: lengths, H: H, D: D), dO).reduce(0) {
          $0 + $1.0 * Double($1.1)
        }
      }
      let numeric = (value(h) - value(-h)) / (2 * h)
      let analytic = zip(dQKV, direction).reduce(0) { $0 + Double($1.0) * $1.1 }
      let norm = dQKV.doubles.reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(numeric - analytic) < 1e-4 * norm)
    }
  }
}

@Suite struct ShortAttentionTests {
  /// Against the kernels for segments of any length, backward too.
  @Test(arguments: [
    ([1], 1, 1), ([2, 1, 3], 2, 8), ([5, 8, 7, 6], 3, 16), ([4, 2], 1, 20), ([3], 2, 64),
    ([8, 8, 1], 2, 33), ([], 2, 8),
  ])
  func agreesWithLongAttention(lengths: [Int], H: Int, D: Int) {
    let (C, N) = (H * D, lengths.reduce(0, +))
    let offsets = lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
    let (qkv, dO) = (draws(3 * N * C, "qkv"), draws(N * C, "dO"))
    func run(isShort: Bool) -> (o: [Float], lse: [Float], dQKV: [Float]) {
      var o = [Float](repeating: .nan, count: N * C)
      var logSumExp = [Float](repeating: .nan, count: N * H)
      var dQKV = [Float](repeating: .nan, count: 3 * N * C)
      var scratch = [Float](
        repeating: .nan, count: isShort ? shortAttentionScratch : attentionScratch(T: 8, D: D))
      var scratchSpan = scratch.mutableSpan
      var oSpan = o.mutableSpan
      var lseSpan = logSumExp.mutableSpan
      if isShort {
        shortCausalAttention(
          into: &oSpan, logSumExp: &lseSpan, qkv: qkv.span, offsets: offsets.span, H: H, D: D,
          scratch: &scratchSpan)
      } else {
        causalAttention(
          into: &oSpan, logSumExp: &lseSpan, qkv: qkv.span, offsets: offsets.span, H: H, D: D,
          scratch: &scratchSpan)
      }
      var dSpan = dQKV.mutableSpan
      if isShort {
        shortCausalAttentionBackward(
          into: &dSpan, dO.span, o: o.span, logSumExp: logSumExp.span, qkv: qkv.span,
          offsets: offsets.span, H: H, D: D, scratch: &scratchSpan)
      } else {
        causalAttentionBackward(
          into: &dSpan, dO.span, o: o.span, logSumExp: logSumExp.span, qkv: qkv.span,
          offsets: offsets.span, H: H, D: D, scratch: &scratchSpan)
      }
      return (o, logSumExp, dQKV)
    }
    let (short, long) = (run(isShort: true), run(isShort: false))
    #expect(error(short.o, Twin.attention(qkv.doubles, lengths: lengths, H: H, D: D)) < 1e-5)
    #expect(error(short.lse, long.lse.doubles) < 1e-5)
    #expect(error(short.dQKV, long.dQKV.doubles) < 1e-5)
  }
}

@Suite struct RowwiseTests {
  /// Every row has the bits that it has alone, and the value of the twin, at every size.
  @Test(
    arguments: [1, 2, 3, 4, 5, 9],
    [(8, 8), (8, 24), (16, 1), (1, 17), (20, 80), (260, 272), (3, 64)])
  func rowsDoNotSeeEachOther(N: Int, size: (K: Int, M: Int)) {
    let (K, M) = size
    let (x, w) = (draws(N * K, "x"), draws(K * M, "w"))
    for adding in [false, true] {
      func product(_ rows: Range<Int>) -> [Float] {
        var y = [Float](repeating: 0.5, count: rows.count * M)
        var span = y.mutableSpan
        matmul(
          into: &span, Array(x[rows.lowerBound * K..<rows.upperBound * K]).span, w.span,
          N: rows.count, K: K, M: M, adding: adding, isRowwise: true)
        return y
      }
      let whole = product(0..<N)
      #expect((0..<N).flatMap { product($0..<$0 + 1) } == whole)
      for n in 0..<N {
        for m in 0..<M {
          let sum = (0..<K).reduce(adding ? 0.5 : 0) {
            $0 + Double(x[n * K + $1]) * Double(w[$1 * M + m])
          }
          #expect(abs(Double(whole[n * M + m]) - sum) < 1e-5 * Double(K + 1))
        }
      }
    }
  }
}

@Suite struct HeadTests {
  @Test(arguments: [
    (1, 16, 5), (17, 16, 14), (300, 16, 41), (3, 20, 5), (5, 8, 16), (40, 48, 17), (2, 16, 1),
    (0, 16, 5),
  ])
  func agreesWithTwin(N: Int, C: Int, V: Int) {
    let (x, w) = (draws(N * C, "x"), draws(V * C, "w", deviation: 0.5))
    let labels = (0..<N).map { Int32($0 * 7 % V) }
    let expected = Twin.losses(x.doubles, w.doubles, labels, C: C, V: V)
    var scratch = [Float](repeating: .nan, count: headScratch(C: C, V: V))
    var scratchSpan = scratch.mutableSpan

    var picked = [Float](repeating: .nan, count: N)
    var rows = [Float](repeating: .nan, count: N * V)
    var pickedSpan = picked.mutableSpan
    var rowsSpan = rows.mutableSpan
    head(
      labelLogProbabilities: &pickedSpan, logProbabilities: &rowsSpan, x.span, w.span,
      labels: labels.span, N: N, C: C, V: V, scratch: &scratchSpan)
    #expect(error(picked, expected.map { -$0 }) < 2e-5)
    for n in 0..<N {
      let row = rows[n * V..<(n + 1) * V]
      #expect(abs(row.reduce(0) { $0 + exp(Double($1)) } - 1) < 1e-5)
      #expect(row[n * V + Int(labels[n])] == picked[n])
    }

    for adding in [false, true] {
      let dW0 = draws(V * C, "dW")
      var (losses, dX, dW) = (picked, x, dW0)
      var lossSpan = losses.mutableSpan
      var dXSpan = dX.mutableSpan
      var dWSpan = dW.mutableSpan
      headCrossEntropy(
        losses: &lossSpan, dX: &dXSpan, dW: &dWSpan, x.span, w.span, packed: Span(),
        labels: labels.span,
        N: N, C: C, V: V, scale: 0.25, addingWeights: adding, scratch: &scratchSpan)
      #expect(error(losses, expected) < 2e-5)
      if N > 40 { continue }
      let quarter = [Float](repeating: 0.25, count: N)
      let sX = slopes(x, weights: quarter) { Twin.losses($0, w.doubles, labels, C: C, V: V) }
      let sW = slopes(w, weights: quarter) { Twin.losses(x.doubles, $0, labels, C: C, V: V) }
      #expect(error(dX, sX) < 1e-5)
      #expect(error(dW, zip(dW0, sW).map { adding ? Double($0) + $1 : $1 }) < 2e-5)
    }
  }
}

@Suite struct OptimizerTests {
  @Test(arguments: [1, 15, 16, 33])
  func adamWAgreesWithTwin(count: Int) {
    var (p, m, v) = (
      draws(count, "p"), [Float](repeating: 0, count: count), [Float](repeating: 0, count: count)
    )
    var twin = (p: p.doubles, m: m.doubles, v: v.doubles)
    let (rate, beta1, beta2, epsilon, decay, scale) = (0.01, 0.9, 0.98, 1e-8, 0.1, 0.5)
    for step in 1...20 {
      let g = draws(count, "g\(step)")
      let scalars = AdamWScalars(
        step: step, learningRate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon,
        weightDecay: decay, gradientScale: scale)
      var pSpan = p.mutableSpan
      var mSpan = m.mutableSpan
      var vSpan = v.mutableSpan
      adamW(&pSpan, m: &mSpan, v: &vSpan, g.span, scalars)
      for i in 0..<count {
        let gradient = scale * Double(g[i])
        twin.p[i] *= 1 - rate * decay
        twin.m[i] += (gradient - twin.m[i]) * (1 - beta1)
        twin.v[i] = beta2 * twin.v[i] + (1 - beta2) * gradient * gradient
        let root = (twin.v[i] / (1 - pow(beta2, Double(step)))).squareRoot()
        twin.p[i] -= rate / (1 - pow(beta1, Double(step))) * twin.m[i] / (root + epsilon)
      }
    }
    // Twenty steps of a few roundings each, of weights up to 4.
    #expect(error(p, twin.p) < 20 * 4 * 4 / Double(1 << 24))
    #expect(error(m, twin.m) < 1e-6)
    #expect(error(v, twin.v) < 1e-6)
  }

  @Test(arguments: [0, 1, 15, 16, 17, 1000])
  func norms(count: Int) {
    let x = draws(count, "x")
    let expected = x.doubles.reduce(0) { $0 + $1 * $1 }
    #expect(abs(squaredNorm(x.span) - expected) <= 1e-12 * expected)
    var sum = x
    var sumSpan = sum.mutableSpan
    add(x.span, to: &sumSpan)
    #expect(sum == x.map { 2 * $0 })
  }
}

@Suite struct BLASTests {
  @Test func reportsItself() {
    #expect(BLAS.version.contains("OpenBLAS"))
    #expect(!BLAS.coreName.isEmpty)
  }
}

@Suite struct SumTreeTests {
  /// The bits of pairwise sums, whatever the part, and nothing beyond it.
  @Test(arguments: [1, 2, 4, 8, 16, 32, 64, 512], [1, 15, 16, 17, 33, 5000])
  func hasTheBitsOfPairs(count: Int, length: Int) {
    let values = (0..<count).map { draws(length + 2, "array \($0)") }
    let storage = UnsafeMutablePointer<Float>.allocate(capacity: count * (length + 2))
    defer { storage.deallocate() }
    for (i, array) in values.enumerated() {
      (storage + i * (length + 2)).initialize(from: array, count: length + 2)
    }
    SumTree((0..<count).map { storage + $0 * (length + 2) }).sum(1..<length + 1)
    var expected = values
    while expected.count > 1 {
      expected = stride(from: 0, to: expected.count, by: 2).map { i in
        zip(expected[i], expected[i + 1]).map { $0 + $1 }
      }
    }
    expected[0][0] = values[0][0]
    expected[0][length + 1] = values[0][length + 1]
    #expect(Array(UnsafeBufferPointer(start: storage, count: length + 2)) == expected[0])
  }
}
