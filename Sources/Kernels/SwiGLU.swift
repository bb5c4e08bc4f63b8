/// SwiGLU (Shazeer 2020): y = silu(gate) ∘ up, silu(x) = x·σ(x). Element by element.

/// σ(x).
@inline(__always)
private func sigmoid(_ x: Vector) -> Vector {
  Vector(repeating: 1) / (Vector(repeating: 1) + exponential(-x))
}

/// Y = silu(gate) ∘ up; all of one count. `y` overlaps no input.
package func swiGLU(into y: inout MutableSpan<Float>, gate: Span<Float>, up: Span<Float>) {
  let count = y.count
  precondition(
    gate.count == count && up.count == count,
    "swiGLU: y \(count), gate \(gate.count), up \(up.count)")
  let (target, gates, ups) = (y.base, gate.base, up.base)
  @inline(__always)
  func activate(_ index: Int, _ lanes: Int) {
    let x = gates.load(index, lanes)
    target.store(x * sigmoid(x) * ups.load(index, lanes), index, lanes)
  }
  for index in stride(from: 0, to: count & ~15, by: 16) { activate(index, 16) }
  if count & 15 != 0 { activate(count & ~15, count & 15) }
}

/// dUp = dY ∘ silu(gate), and dGate = dY ∘ up ∘ silu′(gate) in the place of dY, with
/// silu′(x) = σ(x)(1 + x(1 − σ(x))).
package func swiGLUBackward(
  dGateInPlaceOf dY: inout MutableSpan<Float>, dUp: inout MutableSpan<Float>, gate: Span<Float>,
  up: Span<Float>
) {
  let count = dY.count
  precondition(
    dUp.count == count && gate.count == count && up.count == count,
    "swiGLUBackward: dY \(count), dUp \(dUp.count), gate \(gate.count), up \(up.count)")
  let (target, targetUp, gates, ups) = (dY.base, dUp.base, gate.base, up.base)
  @inline(__always)
  func descend(_ index: Int, _ lanes: Int) {
    let (x, d) = (gates.load(index, lanes), target.load(index, lanes))
    let s = sigmoid(x)
    let silu = x * s
    // s + x·s·(1 − s)
    let slope = s.plus(silu, Vector(repeating: 1) - s)
    targetUp.store(d * silu, index, lanes)
    target.store(d * ups.load(index, lanes) * slope, index, lanes)
  }
  for index in stride(from: 0, to: count & ~15, by: 16) { descend(index, 16) }
  if count & 15 != 0 { descend(count & ~15, count & 15) }
}

/// h = factor · silu(gate) ∘ up of one row of F columns.
@inline(__always)
func scaledSwiGLU(
  _ h: UnsafeMutablePointer<Float>, gate: UnsafePointer<Float>, up: UnsafePointer<Float>,
  factor: Float, F: Int
) {
  let scale = Vector(repeating: factor)
  forEachVector(F) { index, lanes in
    let x = gate.load(index, lanes)
    h.store(scale * (x * sigmoid(x) * up.load(index, lanes)), index, lanes)
  }
}

/// From dH, the gradient of h, in one row of F columns: dGate, dUp, and h in the place of dH. Returns the
/// gradient of the factor, Σ dH ∘ silu(gate) ∘ up in sixteen lanes.
@inline(__always)
func scaledSwiGLUBackward(
  hInPlaceOf dH: UnsafeMutablePointer<Float>, dGate: UnsafeMutablePointer<Float>,
  dUp: UnsafeMutablePointer<Float>, gate: UnsafePointer<Float>, up: UnsafePointer<Float>,
  factor: Float, F: Int
) -> Float {
  let scale = Vector(repeating: factor)
  var products = Vector.zero
  forEachVector(F) { index, lanes in
    let (x, u, d) = (gate.load(index, lanes), up.load(index, lanes), dH.load(index, lanes))
    let s = sigmoid(x)
    let silu = x * s
    let slope = s.plus(silu, Vector(repeating: 1) - s)
    let (product, dScaled) = (silu * u, d * scale)
    products.add(product: d, product)
    dH.store(scale * product, index, lanes)
    dUp.store(dScaled * silu, index, lanes)
    dGate.store(dScaled * u * slope, index, lanes)
  }
  return sum(products)
}
