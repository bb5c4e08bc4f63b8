import Foundation
import Kernels
import Testing

extension Twin {
  static func rmsNorm(_ x: [Double], _ w: [Double], C: Int, epsilon: Double) -> [Double] {
    var y = x
    for row in stride(from: 0, to: x.count, by: C) {
      let mean = x[row..<row + C].reduce(0) { $0 + $1 * $1 } / Double(C)
      for c in 0..<C { y[row + c] = x[row + c] / (mean + epsilon).squareRoot() * w[c] }
    }
    return y
  }

  /// rotate_half as Hugging Face writes it: x·cos + (−x₂, x₁)·sin, the angles repeated twice.
  static func rotated(_ x: [Double], positions: [Int32], H: Int, D: Int, theta: Double) -> [Double]
  {
    let C = H * D
    var y = x
    for (n, position) in positions.enumerated() {
      for h in 0..<H {
        let head = n * C + h * D
        for i in 0..<D {
          let angle = Double(position) / pow(theta, Double(2 * (i % (D / 2))) / Double(D))
          let turned = i < D / 2 ? -x[head + i + D / 2] : x[head + i - D / 2]
          y[head + i] = x[head + i] * cos(angle) + turned * sin(angle)
        }
      }
    }
    return y
  }

  static func swiGLU(_ gate: [Double], _ up: [Double]) -> [Double] {
    zip(gate, up).map { $0 / (1 + exp(-$0)) * $1 }
  }
}

@Suite struct RMSNormTests {
  /// Square, mean and root round fewer than C + 8 times; values stay below 8.
  private func bound(_ C: Int) -> Double { Double(C + 8) * 8 / Double(1 << 24) }

  @Test(arguments: [(0, 16), (1, 1), (2, 15), (3, 16), (4, 17), (2, 64), (5, 100)])
  func agreesWithTwin(N: Int, C: Int) {
    let (x, w, residual) = (draws(N * C, "x"), draws(C, "w"), draws(N * C, "residual"))
    let epsilon = 1e-5
    let expected = Twin.rmsNorm(x.doubles, w.doubles, C: C, epsilon: epsilon)
    var (plain, added, inPlace) = (x.map { _ in Float.nan }, x.map { _ in Float.nan }, residual)
    var scales = [Float](repeating: .nan, count: N)
    var plainSpan = plain.mutableSpan
    var addedSpan = added.mutableSpan
    var inPlaceSpan = inPlace.mutableSpan
    var scalesSpan = scales.mutableSpan
    rmsNorm(
      into: &plainSpan, scales: &scalesSpan, x.span, weight: w.span, N: N, C: C,
      epsilon: Float(epsilon))
    rmsNorm(
      into: &addedSpan, scales: &scalesSpan, x.span, weight: w.span, residual: residual.span, N: N,
      C: C, epsilon: Float(epsilon))
    rmsNorm(
      addingTo: &inPlaceSpan, scales: &scalesSpan, x.span, weight: w.span, N: N, C: C,
      epsilon: Float(epsilon))
    #expect(error(plain, expected) < bound(C))
    #expect(error(added, zip(expected, residual).map { $0 + Double($1) }) < bound(C))
    #expect(inPlace == added)

    let dY = draws(N * C, "dY")
    for adding in [false, true] {
      var (dX, dW) = (draws(N * C, "dX"), draws(C, "dW"))
      let before = (dX, dW)
      var dXSpan = dX.mutableSpan
      var dWSpan = dW.mutableSpan
      rmsNormBackward(
        into: &dXSpan, dWeight: &dWSpan, dY.span, x.span, scales: scales.span, weight: w.span, N: N,
        C: C, adding: adding, addingParameters: adding)
      func plus(_ start: [Float], _ slopes: [Double]) -> [Double] {
        zip(start, slopes).map { adding ? Double($0) + $1 : $1 }
      }
      let sX = slopes(x, weights: dY) { Twin.rmsNorm($0, w.doubles, C: C, epsilon: epsilon) }
      let sW = slopes(w, weights: dY) { Twin.rmsNorm(x.doubles, $0, C: C, epsilon: epsilon) }
      #expect(error(dX, plus(before.0, sX)) < 2e-4)
      #expect(error(dW, plus(before.1, sW)) < 2e-5)
    }
  }

  /// ε alone decides where a row is zero or nearly so.
  @Test func smallRows() {
    let (x, w): ([Float], [Float]) = ([0, 0, 1e-3, -1e-3], [2, 3])
    var (y, scales) = (x, [Float](repeating: .nan, count: 2))
    var ySpan = y.mutableSpan
    var scalesSpan = scales.mutableSpan
    rmsNorm(into: &ySpan, scales: &scalesSpan, x.span, weight: w.span, N: 2, C: 2, epsilon: 1e-6)
    #expect(y[0] == 0 && y[1] == 0)
    #expect(abs(y[2] - 2 / Float(2).squareRoot()) < 1e-6)
    #expect(abs(y[3] + 3 / Float(2).squareRoot()) < 1e-6)
  }
}

@Suite struct SwiGLUTests {
  @Test(arguments: [0, 1, 15, 16, 17, 100])
  func agreesWithTwin(count: Int) {
    var gate = draws(count, "gate", deviation: 3)
    if count > 1 { (gate[0], gate[1]) = (-100, 60) }
    let (up, dY) = (draws(count, "up"), draws(count, "dY"))
    var y = [Float](repeating: .nan, count: count)
    var ySpan = y.mutableSpan
    swiGLU(into: &ySpan, gate: gate.span, up: up.span)
    let expected = Twin.swiGLU(gate.doubles, up.doubles)
    // σ within 6 roundings, times a gate up to 60 and an up below 4.
    #expect(error(y, expected) < 60 * 4 * 6 / Double(1 << 24))
    var (dGate, dUp) = (dY, y)
    var dGateSpan = dGate.mutableSpan
    var dUpSpan = dUp.mutableSpan
    swiGLUBackward(dGateInPlaceOf: &dGateSpan, dUp: &dUpSpan, gate: gate.span, up: up.span)
    #expect(error(dGate, slopes(gate, weights: dY) { Twin.swiGLU($0, up.doubles) }) < 2e-5)
    #expect(error(dUp, slopes(up, weights: dY) { Twin.swiGLU(gate.doubles, $0) }) < 1e-4)
  }
}

@Suite struct RotaryTests {
  @Test(arguments: [(1, 2), (2, 8), (3, 16), (2, 20), (1, 32), (2, 34), (1, 64)])
  func agreesWithTwin(H: Int, D: Int) {
    let (C, theta) = (H * D, 10_000.0)
    let positions: [Int32] = [0, 1, 2, 0, 39, 7]
    let N = positions.count
    let table = rotations(positions: 40, D: D, theta: theta)
    let (q, k, v) = (draws(N * C, "q"), draws(N * C, "k"), draws(N * C, "v"))
    var qkv = [Float](repeating: .nan, count: 3 * N * C)
    var span = qkv.mutableSpan
    rotaryQKV(
      into: &span, q: q.span, k: k.span, v: v.span, rotations: table.span,
      positions: positions.span, H: H, D: D)
    func part(_ index: Int) -> [Float] {
      (0..<N).flatMap { qkv[($0 * 3 + index) * C..<($0 * 3 + index + 1) * C] }
    }
    func twin(_ x: [Double]) -> [Double] {
      Twin.rotated(x, positions: positions, H: H, D: D, theta: theta)
    }
    // Two products of values below 5, four roundings.
    let bound = 5 * 4 / Double(1 << 24)
    #expect(error(part(0), twin(q.doubles)) < bound)
    #expect(error(part(1), twin(k.doubles)) < bound)
    #expect(part(2) == v)

    // The inverse of a rotation is its transpose: going back gives the inputs and the gradients.
    var (dQ, dK, dV) = (q.map { _ in Float.nan }, k, v)
    var dQSpan = dQ.mutableSpan
    var dKSpan = dK.mutableSpan
    var dVSpan = dV.mutableSpan
    rotaryQKVBackward(
      dQ: &dQSpan, dK: &dKSpan, dV: &dVSpan, qkv.span, rotations: table.span,
      positions: positions.span, H: H, D: D)
    #expect(error(dQ, q.doubles) < 2 * bound)
    #expect(error(dK, k.doubles) < 2 * bound)
    #expect(dV == v)
    #expect(error(dQ, slopes(q, weights: part(0)) { twin($0) }) < 1e-5)
  }

  @Test func anglesAreExact() {
    let table = rotations(positions: 5_001, D: 4, theta: 500_000)
    #expect(Array(table[0..<4]) == [1, 1, 0, 0])
    #expect(table[20_000] == Float(cos(5_000.0)))
    #expect(table[20_003] == Float(sin(5_000 / 500_000.0.squareRoot())))
  }
}
