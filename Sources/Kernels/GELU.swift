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

/// What a factor of a product goes through first.
package enum Activation: Sendable, Equatable {
  case none
  case gelu
}

/// Y = gelu(H). The bits of an element depend on nothing else.
package func gelu(into y: inout MutableSpan<Float>, _ h: Span<Float>) {
  precondition(y.count == h.count, "gelu: y \(y.count), h \(h.count)")
  gelu(y.base, h.base, count: h.count)
}

func gelu(_ y: UnsafeMutablePointer<Float>, _ h: UnsafePointer<Float>, count: Int) {
  @inline(__always)
  func activate(_ index: Int, _ lanes: Int) {
    let x = h.load(index, lanes)
    y.store(x * gate(x), index, lanes)
  }
  for index in stride(from: 0, to: count & ~15, by: 16) { activate(index, 16) }
  if count & 15 != 0 { activate(count & ~15, count & 15) }
}

/// dH = dY ∘ gelu′(H), in the place of dY.
package func geluBackward(inPlace dY: inout MutableSpan<Float>, _ h: Span<Float>) {
  precondition(dY.count == h.count, "geluBackward: dY \(dY.count), h \(h.count)")
  geluBackward(dY.base, h.base, count: h.count)
}

func geluBackward(
  _ target: UnsafeMutablePointer<Float>, _ hidden: UnsafePointer<Float>, count: Int
) {
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
  for index in stride(from: 0, to: count & ~15, by: 16) { descend(index, 16) }
  if count & 15 != 0 { descend(count & ~15, count & 15) }
}
