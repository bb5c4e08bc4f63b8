/// Ordinary least squares: y ≈ Xβ with independent errors of one variance.
///
/// Solved by Gram–Schmidt with a second pass (X = QR), so the bits depend only on the values and their
/// order. Costs O(n·p²).
package struct LeastSquares: Sendable, Equatable {
  /// β.
  package let coefficients: [Double]
  /// h[j] with β[j] = Σᵢ h[j][i]·yᵢ: row j of (XᵀX)⁻¹Xᵀ.
  package let contrasts: [[Double]]
  /// yᵢ − (Xβ)ᵢ.
  package let residuals: [Double]
  /// n − p.
  package let degreesOfFreedom: Int
  /// 1 − Σ residual² / Σ (y − ȳ)²; NaN where all y are equal. Meant for designs with a constant.
  package let rSquared: Double

  /// - Parameters:
  ///   - columns: p columns of X, each with n numbers.
  ///   - y: n observations.
  /// - Returns: nil when there are fewer observations than columns or the columns depend on one
  ///   another.
  package init?(columns: [[Double]], _ y: [Double]) {
    precondition(!columns.isEmpty && columns.allSatisfy { $0.count == y.count }, "columns fit y")
    let p = columns.count
    let n = y.count
    guard n >= p else { return nil }
    var q: [[Double]] = []
    // R, upper triangular: r[i][j] for i ≤ j.
    var r = [[Double]](repeating: [Double](repeating: 0, count: p), count: p)
    for (j, column) in columns.enumerated() {
      var rest = column
      for _ in 0..<2 {
        for (i, direction) in q.enumerated() {
          let share = dot(direction, rest)
          r[i][j] += share
          for k in 0..<n { rest[k] -= share * direction[k] }
        }
      }
      let length = dot(rest, rest).squareRoot()
      guard length > 1e-10 * dot(column, column).squareRoot() else { return nil }
      r[j][j] = length
      q.append(rest.map { $0 / length })
    }
    // R h = Qᵀ, from the last row up.
    var contrasts = [[Double]](repeating: [Double](repeating: 0, count: n), count: p)
    for j in stride(from: p - 1, through: 0, by: -1) {
      for k in 0..<n {
        var value = q[j][k]
        for i in j + 1..<p { value -= r[j][i] * contrasts[i][k] }
        contrasts[j][k] = value / r[j][j]
      }
    }
    self.contrasts = contrasts
    let coefficients = contrasts.map { dot($0, y) }
    self.coefficients = coefficients
    residuals = (0..<n).map { k in
      var fitted = 0.0
      for j in 0..<p { fitted += coefficients[j] * columns[j][k] }
      return y[k] - fitted
    }
    degreesOfFreedom = n - p
    let centre = Summary(y)
    rSquared = 1 - dot(residuals, residuals) / (centre.variance * Double(n - 1))
  }

  /// Σ residual² / (n − p); infinite without degrees of freedom.
  package var residualVariance: Double {
    degreesOfFreedom == 0 ? .infinity : dot(residuals, residuals) / Double(degreesOfFreedom)
  }

  /// The weights of the observations in the fitted value at a row `x` of the design.
  package func contrast(at x: [Double]) -> [Double] {
    precondition(x.count == coefficients.count, "a row has a number for every column")
    return residuals.indices.map { k in
      var sum = 0.0
      for j in x.indices { sum += x[j] * contrasts[j][k] }
      return sum
    }
  }

  /// β[j] ± t₀.₉₇₅ · √(s²·Σ h²); nil without degrees of freedom.
  package func interval(_ j: Int, confidence: Double = 0.95) -> Interval? {
    if degreesOfFreedom == 0 { return nil }
    let t = studentQuantile(0.5 + confidence / 2, degreesOfFreedom: Double(degreesOfFreedom))
    let half = t * (residualVariance * dot(contrasts[j], contrasts[j])).squareRoot()
    return Interval(low: coefficients[j] - half, high: coefficients[j] + half)
  }
}

/// Σ aᵢbᵢ from the first to the last.
func dot(_ a: [Double], _ b: [Double]) -> Double {
  var sum = 0.0
  for i in a.indices { sum += a[i] * b[i] }
  return sum
}
