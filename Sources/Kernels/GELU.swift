/// The GELU of GPT-2, ½x(1 + tanh(√(2/π)(x + 0.044715x³))), written as x·σ(2u) with
/// u = √(2/π)(x + 0.044715x³), which is the same function.

/// σ(2u) for the GELU's u.
@inline(__always)
private func gate(_ x: Vector) -> Vector {
  let square = x * x
  let u = x * Vector(repeating: 1).plus(square, Vector(repeating: 0.044_715))
  let e = exponential(u * Vector(repeating: -1.595_769_1))
  return Vector(repeating: 1) / (Vector(repeating: 1) + e)
}

/// H += b, then Y = gelu(H), for N rows of F columns. `h` keeps what the backward pass needs.
package func biasGELU(
  into y: inout MutableSpan<Float>, _ h: inout MutableSpan<Float>, _ b: Span<Float>, N: Int, F: Int
) {
  precondition(
    y.count == N * F && h.count == N * F && b.count == F,
    "biasGELU: y \(y.count), h \(h.count), b \(b.count) for N \(N), F \(F)")
  let (target, hidden, bias) = (y.base, h.base, b.base)
  for row in 0..<N {
    let (to, inner) = (target + row * F, hidden + row * F)
    @inline(__always)
    func activate(_ index: Int, _ lanes: Int) {
      let x = inner.load(index, lanes) + bias.load(index, lanes)
      inner.store(x, index, lanes)
      to.store(x * gate(x), index, lanes)
    }
    for index in stride(from: 0, to: F & ~15, by: 16) { activate(index, 16) }
    if F & 15 != 0 { activate(F & ~15, F & 15) }
  }
}

/// dH = dY ∘ gelu′(H), in the place of dY.
package func geluBackward(inPlace dY: inout MutableSpan<Float>, _ h: Span<Float>) {
  precondition(dY.count == h.count, "geluBackward: dY \(dY.count), h \(h.count)")
  let (target, hidden) = (dY.base, h.base)
  @inline(__always)
  func descend(_ index: Int, _ lanes: Int) {
    let x = hidden.load(index, lanes)
    let s = gate(x)
    // d(2u)/dx = 2√(2/π)(1 + 3·0.044715·x²)
    let slope = Vector(repeating: 1.595_769_1)
      .plus(x * x, Vector(repeating: 3 * 0.044_715 * 1.595_769_1))
    let derivative = s.plus(x * s * (Vector(repeating: 1) - s), slope)
    target.store(target.load(index, lanes) * derivative, index, lanes)
  }
  let count = h.count
  for index in stride(from: 0, to: count & ~15, by: 16) { descend(index, 16) }
  if count & 15 != 0 { descend(count & ~15, count & 15) }
}
