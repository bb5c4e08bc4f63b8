/// bfloat16 as it is stored: the upper half of an fp32 number.

/// The bfloat16 nearest to each lane, ties to even; NaN stays NaN.
@inline(__always)
func roundedToBFloat16(_ x: Vector) -> SIMD16<UInt16> {
  let bits = unsafeBitCast(x, to: SIMD16<UInt32>.self)
  var rounded = (bits &+ 0x7FFF &+ (bits &>> 16 & 1)) &>> 16
  rounded.replace(with: bits &>> 16 | 0x40, where: x .!= x)
  return SIMD16<UInt16>(truncatingIfNeeded: rounded)
}

/// y = the bfloat16 nearest to each x, ties to even; NaN stays NaN.
package func roundToBFloat16(into y: inout MutableSpan<UInt16>, _ x: Span<Float>) {
  precondition(y.count == x.count, "\(x.count) numbers into \(y.count) places")
  for i in 0..<x.count {
    let bits = x[i].bitPattern
    y[i] = UInt16(
      truncatingIfNeeded: x[i].isNaN
        ? bits >> 16 | 0x40 : (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
  }
}

/// Y = the fp32 number of each bfloat16 x.
package func widenBFloat16(
  _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<UInt16>, count: Int
) {
  for i in 0..<count { y[i] = Float(bitPattern: UInt32(x[i]) &<< 16) }
}
