import CKernels

/// Sixteen floats: the fixed lane count of every kernel, whatever the width of the machine's
/// registers, so that the order of each reduction is a fact of the source.
typealias Vector = SIMD16<Float>

extension SIMD16<Float> {
  /// self + a·b in each lane, rounded once.
  @inline(__always)
  func plus(_ a: Self, _ b: Self) -> Self { ott_fma(a, b, self) }

  @inline(__always)
  mutating func add(product a: Self, _ b: Self) { self = ott_fma(a, b, self) }
}

/// `count` rounded up to whole vectors.
@inline(__always)
package func padded(_ count: Int) -> Int { (count + 15) & ~15 }

extension Span where Element: BitwiseCopyable {
  /// The address of the first element, for the inner loops of this module only: valid for as long
  /// as the span itself, that is for the whole kernel call.
  @inline(__always)
  var base: UnsafePointer<Element> {
    withUnsafeBufferPointer { $0.baseAddress ?? UnsafePointer(emptyBuffer()) }
  }
}

extension MutableSpan where Element: BitwiseCopyable {
  /// The address of the first element; see `Span.base`.
  @inline(__always)
  var base: UnsafeMutablePointer<Element> {
    mutating get { withUnsafeMutableBufferPointer { $0.baseAddress ?? emptyBuffer() } }
  }
}

/// An address for spans of no elements, never read nor written.
@inline(__always)
private func emptyBuffer<Element>() -> UnsafeMutablePointer<Element> {
  UnsafeMutablePointer(bitPattern: 64).unsafelyUnwrapped
}

extension UnsafePointer<Float> {
  @inline(__always)
  func vector(_ index: Int) -> Vector {
    UnsafeRawPointer(self + index).loadUnaligned(as: Vector.self)
  }

  /// The first `count < 16` floats, and zeros.
  @inline(__always)
  func vector(_ index: Int, count: Int) -> Vector {
    let source = UnsafeRawPointer(self + index)
    if count == 8 {
      return Vector(lowHalf: source.loadUnaligned(as: SIMD8<Float>.self), highHalf: .zero)
    }
    if count == 4 {
      let four = source.loadUnaligned(as: SIMD4<Float>.self)
      return Vector(lowHalf: SIMD8(lowHalf: four, highHalf: .zero), highHalf: .zero)
    }
    var result = Vector.zero
    for i in 0..<count { result[i] = self[index + i] }
    return result
  }
}

extension UnsafeMutablePointer<Float> {
  @inline(__always)
  func vector(_ index: Int) -> Vector { UnsafePointer(self).vector(index) }

  @inline(__always)
  func vector(_ index: Int, count: Int) -> Vector {
    UnsafePointer(self).vector(index, count: count)
  }

  @inline(__always)
  func store(_ vector: Vector, _ index: Int) {
    UnsafeMutableRawPointer(self + index).storeBytes(of: vector, as: Vector.self)
  }

  /// Stores the first `count < 16` lanes.
  @inline(__always)
  func store(_ vector: Vector, _ index: Int, count: Int) {
    let target = UnsafeMutableRawPointer(self + index)
    if count == 8 {
      target.storeBytes(of: vector.lowHalf, as: SIMD8<Float>.self)
    } else if count == 4 {
      target.storeBytes(of: vector.lowHalf.lowHalf, as: SIMD4<Float>.self)
    } else {
      for i in 0..<count { self[index + i] = vector[i] }
    }
  }
}

/// Calls `body(index, lanes)` for each vector of `0..<count`; `lanes` is 16 but for a last partial
/// one. The branch on `lanes` is free in the vector part since it is a constant there.
@inline(__always)
func forEachVector(_ count: Int, _ body: (_ index: Int, _ lanes: Int) -> Void) {
  var index = 0
  while index &+ 16 <= count {
    body(index, 16)
    index &+= 16
  }
  if index < count { body(index, count &- index) }
}

extension UnsafePointer<Float> {
  @inline(__always)
  func load(_ index: Int, _ lanes: Int) -> Vector {
    lanes == 16 ? vector(index) : vector(index, count: lanes)
  }
}

extension UnsafeMutablePointer<Float> {
  @inline(__always)
  func load(_ index: Int, _ lanes: Int) -> Vector {
    lanes == 16 ? vector(index) : vector(index, count: lanes)
  }

  @inline(__always)
  func store(_ vector: Vector, _ index: Int, _ lanes: Int) {
    if lanes == 16 { store(vector, index) } else { store(vector, index, count: lanes) }
  }
}

/// The sum of the lanes, by halves: (lane i + lane i + 8), and so on.
@inline(__always)
func sum(_ x: Vector) -> Float {
  let eight = x.lowHalf + x.highHalf
  let four = eight.lowHalf + eight.highHalf
  let two = four.lowHalf + four.highHalf
  return two.x + two.y
}

/// √x in each lane, correctly rounded.
@inline(__always)
func squareRoot(_ x: Vector) -> Vector { ott_square_root(x) }

/// The largest lane; NaN lanes may be passed over.
@inline(__always)
func maximum(_ x: Vector) -> Float { ott_largest(x) }

/// The lanes below `count` of `x`, and `other` in the rest.
@inline(__always)
func firstLanes(_ count: Int, of x: Vector, else other: Float) -> Vector {
  ott_first_lanes(x, Int32(truncatingIfNeeded: count), other)
}

/// e^x for each lane: 2^n · p(f) with n = round(x / ln 2), f = x − n·ln 2 in two parts and p of
/// degree 6 (Cephes). Relative error below 2e-7 in [−87, 88], outside of which x is clamped. NaN
/// stays NaN.
@inline(__always)
func exponential(_ x: Vector) -> Vector {
  var x = x
  x.replace(with: Vector(repeating: -87), where: x .< -87)
  x.replace(with: Vector(repeating: 88), where: x .> 88)
  let magic = Vector(repeating: 12_582_912)
  let shifted = magic.plus(x, Vector(repeating: 1.442_695_04))
  let n = shifted - magic
  var f = x.plus(n, Vector(repeating: -0.693_359_375))
  f = f.plus(n, Vector(repeating: 2.121_944_4e-4))
  var p = Vector(repeating: 1.987_569_15e-4)
  p = Vector(repeating: 1.398_199_95e-3).plus(p, f)
  p = Vector(repeating: 8.333_451_9e-3).plus(p, f)
  p = Vector(repeating: 4.166_579_6e-2).plus(p, f)
  p = Vector(repeating: 1.666_666_55e-1).plus(p, f)
  p = Vector(repeating: 0.5).plus(p, f)
  p = Vector(repeating: 1).plus(f, Vector(repeating: 1).plus(p, f))
  let exponent = unsafeBitCast(shifted, to: SIMD16<Int32>.self) &<< 23
  return unsafeBitCast(unsafeBitCast(p, to: SIMD16<Int32>.self) &+ exponent, to: Vector.self)
}
