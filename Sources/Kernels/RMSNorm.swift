/// RMSNorm over the C columns of each row (Zhang and Sennrich 2019, as OLMo 2 uses it, without a
/// bias): y = w ∘ x·r, r = 1/√(mean(x²) + ε).
///
/// The mean is sixteen lane sums over the row. Bit-reproducible: a row's result depends on that row
/// alone. Over the full width of queries or keys, before the cut into heads, it is OLMo 2's QK-norm.

/// - Parameters:
///   - y: (N, C), overlaps no input.
///   - scales: (N), r of each row, for the backward pass.
package func rmsNorm(
  into y: inout MutableSpan<Float>, scales: inout MutableSpan<Float>, _ x: Span<Float>,
  weight: Span<Float>, N: Int, C: Int, epsilon: Float
) {
  precondition(
    y.count == N * C && x.count == N * C && scales.count == N && weight.count == C,
    "rmsNorm: y \(y.count), x \(x.count), scales \(scales.count) for N \(N), C \(C)")
  normalize(y.base, scales.base, x.base, weight.base, nil, N: N, C: C, epsilon: epsilon)
}

/// y = residual + w ∘ x·r.
package func rmsNorm(
  into y: inout MutableSpan<Float>, scales: inout MutableSpan<Float>, _ x: Span<Float>,
  weight: Span<Float>, residual: Span<Float>, N: Int, C: Int, epsilon: Float
) {
  precondition(
    y.count == N * C && x.count == N * C && residual.count == N * C && scales.count == N
      && weight.count == C,
    "rmsNorm: y \(y.count), x \(x.count), residual \(residual.count) for N \(N), C \(C)")
  normalize(y.base, scales.base, x.base, weight.base, residual.base, N: N, C: C, epsilon: epsilon)
}

/// y += w ∘ x·r.
package func rmsNorm(
  addingTo y: inout MutableSpan<Float>, scales: inout MutableSpan<Float>, _ x: Span<Float>,
  weight: Span<Float>, N: Int, C: Int, epsilon: Float
) {
  precondition(
    y.count == N * C && x.count == N * C && scales.count == N && weight.count == C,
    "rmsNorm: y \(y.count), x \(x.count), scales \(scales.count) for N \(N), C \(C)")
  let target = y.base
  normalize(
    target, scales.base, x.base, weight.base, UnsafePointer(target), N: N, C: C, epsilon: epsilon)
}

/// `residual` may be `y` itself.
private func normalize(
  _ y: UnsafeMutablePointer<Float>, _ scales: UnsafeMutablePointer<Float>,
  _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ residual: UnsafePointer<Float>?,
  N: Int, C: Int, epsilon: Float
) {
  let share = 1 / Float(max(C, 1))
  for row in 0..<N {
    let (from, to) = (x + row &* C, y + row &* C)
    var squares = Vector.zero
    forEachVector(C) { index, lanes in
      let values = from.load(index, lanes)
      squares.add(product: values, values)
    }
    let r = 1 / (sum(squares) * share + epsilon).squareRoot()
    scales[row] = r
    let factor = Vector(repeating: r)
    if let residual {
      let base = residual + row &* C
      forEachVector(C) { index, lanes in
        let unit = from.load(index, lanes) * factor
        to.store(base.load(index, lanes).plus(unit, weight.load(index, lanes)), index, lanes)
      }
    } else {
      forEachVector(C) { index, lanes in
        let unit = from.load(index, lanes) * factor
        to.store(unit * weight.load(index, lanes), index, lanes)
      }
    }
  }
}

/// dX = or += the gradient of `rmsNorm` in x, dw = or += its sum over rows, in row order.
///
/// dX = r·(g − x̂·mean(g∘x̂)) with g = dY ∘ w and x̂ = x·r. `dX` overlaps no
/// input.
package func rmsNormBackward(
  into dX: inout MutableSpan<Float>, dWeight: inout MutableSpan<Float>, _ dY: Span<Float>,
  _ x: Span<Float>, scales: Span<Float>, weight: Span<Float>, N: Int, C: Int, adding: Bool,
  addingParameters: Bool
) {
  precondition(
    dX.count == N * C && dY.count == N * C && x.count == N * C && scales.count == N
      && weight.count == C && dWeight.count == C,
    "rmsNormBackward: dX \(dX.count), dY \(dY.count), x \(x.count) for N \(N), C \(C)")
  let (target, upstream, source, factors) = (dX.base, dY.base, x.base, scales.base)
  let (w, dw) = (weight.base, dWeight.base)
  if !addingParameters { dw.update(repeating: 0, count: C) }
  let share = 1 / Float(max(C, 1))
  for row in 0..<N {
    let (from, up, to) = (source + row &* C, upstream + row &* C, target + row &* C)
    let r = Vector(repeating: factors[row])
    var products = Vector.zero
    forEachVector(C) { index, lanes in
      let dYUnit = up.load(index, lanes) * (from.load(index, lanes) * r)
      products.add(product: dYUnit, w.load(index, lanes))
      dw.store(dw.load(index, lanes) + dYUnit, index, lanes)
    }
    let mean = Vector(repeating: sum(products) * share)
    forEachVector(C) { index, lanes in
      let unit = from.load(index, lanes) * r
      let d = r * (up.load(index, lanes) * w.load(index, lanes) - unit * mean)
      to.store(adding ? to.load(index, lanes) + d : d, index, lanes)
    }
  }
}
