/// LayerNorm over the C columns of each row: y = w ∘ (x − μ)·r + b, r = 1/√(σ² + ε).
///
/// Mean and variance are two passes of sixteen lane sums over the row. Bit-reproducible: a row's
/// result depends on that row alone.

/// - Parameters:
///   - y: (N, C).
///   - statistics: (N, 2), μ and r of each row, for the backward pass.
package func layerNorm(
  into y: inout MutableSpan<Float>, statistics: inout MutableSpan<Float>, _ x: Span<Float>,
  weight: Span<Float>, bias: Span<Float>, N: Int, C: Int, epsilon: Float = 1e-5
) {
  precondition(
    y.count == N * C && x.count == N * C && statistics.count == 2 * N && weight.count == C
      && bias.count == C,
    "layerNorm: y \(y.count), x \(x.count), statistics \(statistics.count) for N \(N), C \(C)")
  let (target, stats, source) = (y.base, statistics.base, x.base)
  let (w, b) = (weight.base, bias.base)
  let scale = 1 / Float(max(C, 1))
  for row in 0..<N {
    let (from, to) = (source + row * C, target + row * C)
    var total = Vector.zero
    forEachVector(C) { total += from.load($0, $1) }
    let mean = sum(total) * scale
    var squares = Vector.zero
    forEachVector(C) { index, lanes in
      var centred = from.load(index, lanes) - Vector(repeating: mean)
      if lanes < 16 { centred = firstLanes(lanes, of: centred, else: 0) }
      squares.add(product: centred, centred)
    }
    let r = 1 / (sum(squares) * scale + epsilon).squareRoot()
    stats[2 &* row] = mean
    stats[2 &* row &+ 1] = r
    forEachVector(C) { index, lanes in
      let unit = (from.load(index, lanes) - Vector(repeating: mean)) * Vector(repeating: r)
      to.store(b.load(index, lanes).plus(unit, w.load(index, lanes)), index, lanes)
    }
  }
}

/// dX = or += the gradient of `layerNorm`, dw and db = or += their sums over rows, in row order.
///
/// dX = r·(g − mean(g) − x̂·mean(g∘x̂)) with g = dY ∘ w. `dX` overlaps no input.
package func layerNormBackward(
  into dX: inout MutableSpan<Float>, dWeight: inout MutableSpan<Float>,
  dBias: inout MutableSpan<Float>, _ dY: Span<Float>, _ x: Span<Float>, statistics: Span<Float>,
  weight: Span<Float>, N: Int, C: Int, adding: Bool, addingParameters: Bool
) {
  precondition(
    dX.count == N * C && dY.count == N * C && x.count == N * C && statistics.count == 2 * N
      && weight.count == C && dWeight.count == C && dBias.count == C,
    "layerNormBackward: dX \(dX.count), dY \(dY.count), x \(x.count) for N \(N), C \(C)")
  let (target, upstream, source, stats) = (dX.base, dY.base, x.base, statistics.base)
  let (w, dw, db) = (weight.base, dWeight.base, dBias.base)
  if !addingParameters {
    dw.update(repeating: 0, count: C)
    db.update(repeating: 0, count: C)
  }
  let scale = 1 / Float(max(C, 1))
  for row in 0..<N {
    let (from, up, to) = (source + row * C, upstream + row * C, target + row * C)
    let mean = Vector(repeating: stats[2 &* row])
    let r = Vector(repeating: stats[2 &* row &+ 1])
    var sumG = Vector.zero
    var sumGX = Vector.zero
    // Missing lanes of the last vector have dY = 0, hence g = 0.
    forEachVector(C) { index, lanes in
      let unit = (from.load(index, lanes) - mean) * r
      let dy = up.load(index, lanes)
      let g = dy * w.load(index, lanes)
      sumG += g
      sumGX.add(product: g, unit)
      dw.store(dw.load(index, lanes).plus(dy, unit), index, lanes)
      db.store(db.load(index, lanes) + dy, index, lanes)
    }
    let meanG = Vector(repeating: sum(sumG) * scale)
    let meanGX = Vector(repeating: sum(sumGX) * scale)
    forEachVector(C) { index, lanes in
      let unit = (from.load(index, lanes) - mean) * r
      let g = up.load(index, lanes) * w.load(index, lanes)
      let d = r * (g - meanG - unit * meanGX)
      to.store(adding ? to.load(index, lanes) + d : d, index, lanes)
    }
  }
}
