import Foundation
import Support

/// The slow twins: straight loops in Double.
enum Twin {
  /// (n, k) · (k, m), either side given by its element function.
  static func product(
    _ n: Int, _ k: Int, _ m: Int, _ a: (Int, Int) -> Double, _ b: (Int, Int) -> Double
  ) -> [Double] {
    var c = [Double](repeating: 0, count: n * m)
    for i in 0..<n {
      for j in 0..<m {
        for t in 0..<k { c[i * m + j] += a(i, t) * b(t, j) }
      }
    }
    return c
  }

  static func gelu(_ x: Double) -> Double {
    0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  }

  static func layerNorm(_ x: [Double], _ w: [Double], _ b: [Double], C: Int) -> [Double] {
    var y = x
    for row in stride(from: 0, to: x.count, by: C) {
      let values = x[row..<row + C]
      let mean = values.reduce(0, +) / Double(C)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(C)
      for c in 0..<C {
        y[row + c] = (x[row + c] - mean) / (variance + 1e-5).squareRoot() * w[c] + b[c]
      }
    }
    return y
  }

  static func attention(_ qkv: [Double], lengths: [Int], H: Int, D: Int) -> [Double] {
    let C = H * D
    var o = [Double](repeating: 0, count: qkv.count / 3)
    var first = 0
    for T in lengths {
      for h in 0..<H {
        for i in 0..<T {
          let q = (first + i) * 3 * C + h * D
          var weights = (0...i).map { j -> Double in
            let k = (first + j) * 3 * C + C + h * D
            return exp(
              (0..<D).reduce(0) { $0 + qkv[q + $1] * qkv[k + $1] } / Double(D).squareRoot())
          }
          let total = weights.reduce(0, +)
          weights = weights.map { $0 / total }
          for (j, weight) in weights.enumerated() {
            let v = (first + j) * 3 * C + 2 * C + h * D
            for d in 0..<D { o[(first + i) * C + h * D + d] += weight * qkv[v + d] }
          }
        }
      }
      first += T
    }
    return o
  }

  /// −log softmax(x·Wᵀ)[label] for each row.
  static func losses(_ x: [Double], _ w: [Double], _ labels: [Int32], C: Int, V: Int) -> [Double] {
    labels.indices.map { n in
      let logits = (0..<V).map { v in (0..<C).reduce(0) { $0 + x[n * C + $1] * w[v * C + $1] } }
      let top = logits.max() ?? 0
      return top + log(logits.reduce(0) { $0 + exp($1 - top) }) - logits[Int(labels[n])]
    }
  }
}

/// Normal draws of a standard deviation.
func draws(_ count: Int, _ name: String, deviation: Double = 1) -> [Float] {
  var stream = RandomStream(seed: 1, name: name)
  return (0..<count).map { _ in Float(stream.normal() * deviation) }
}

extension [Float] {
  var doubles: [Double] { map(Double.init) }
}

/// Largest |a − b|; infinite for different counts or NaN.
func error(_ a: [Float], _ b: [Double]) -> Double {
  if a.count != b.count || a.contains(where: { !$0.isFinite }) { return .infinity }
  return zip(a, b).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
}

/// Largest |a|.
func size(_ a: [Double]) -> Double { a.reduce(1e-30) { max($0, abs($1)) } }

/// Central differences of Σ f(x)·weights for each element of x.
func slopes(_ x: [Float], weights: [Float], _ f: ([Double]) -> [Double]) -> [Double] {
  let h = 1e-5
  let base = x.doubles
  func value(_ x: [Double]) -> Double {
    zip(f(x), weights).reduce(0) { $0 + $1.0 * Double($1.1) }
  }
  return base.indices.map { i in
    var (up, down) = (base, base)
    up[i] += h
    down[i] -= h
    return (value(up) - value(down)) / (2 * h)
  }
}
