import CKernels
import Support

/// Independent normal draws of mean 0 for a big table, by position, not in turn: element q of the
/// table is a function of (seed, name, q) alone, so any part may be drawn by any thread.
///
///     word      (q mod 64) / 16 of Philox block 16·(q / 64) + q mod 16, counter index 0
///     u         (k + ½)·2⁻²² with k the word's upper 23 bits as a signed number, in (−1, 1)
///     element   deviation · √2 · erf⁻¹(u)
///
/// with erf⁻¹ in fp32 by M. Giles ("Approximating the erfinv function", GPU Computing Gems 2, 2010),
/// relative error below 1e-6; the tails end at 5.2 deviations. Same bits on every machine: integers,
/// and fp32 additions, fused products, divisions and square roots in a fixed order.
package struct TableInitializer: Sendable {
  private let key: SIMD2<UInt32>
  private let deviation: Float

  package init(seed: UInt64, name: String, deviation: Double) {
    key = RandomStream(seed: seed, name: name).philoxKey
    self.deviation = Float(deviation)
  }

  /// Writes elements `range`, whose bounds are multiples of 64 but for the table's last.
  package func fill(_ values: UnsafeMutablePointer<Float>, _ range: Range<Int>) {
    precondition(range.lowerBound % 64 == 0, "parts of a table begin at multiples of 64")
    let factor = Vector(repeating: deviation * Float(2).squareRoot())
    var q = range.lowerBound
    while q < range.upperBound {
      let words = philox(firstBlock: UInt64(q / 4))
      for (j, word) in [words.0, words.1, words.2, words.3].enumerated() {
        let index = q - range.lowerBound + 16 * j
        let lanes = min(16, range.upperBound - q - 16 * j)
        if lanes > 0 { values.store(inverseErf(uniform(word)) * factor, index, lanes) }
      }
      q += 64
    }
  }

  /// Writes any elements: draws that lie beside them are made and thrown away.
  package func fillAny(_ values: UnsafeMutablePointer<Float>, _ range: Range<Int>) {
    if range.lowerBound % 64 == 0 { return fill(values, range) }
    let first = range.lowerBound & ~63
    withUnsafeTemporaryAllocation(of: Float.self, capacity: range.upperBound - first) { drawn in
      guard let drawn = drawn.baseAddress else { return }
      fill(drawn, first..<range.upperBound)
      values.update(from: drawn + (range.lowerBound - first), count: range.count)
    }
  }

  /// Sixteen consecutive blocks; word j of each.
  @inline(__always)
  private func philox(
    firstBlock: UInt64
  ) -> (SIMD16<UInt32>, SIMD16<UInt32>, SIMD16<UInt32>, SIMD16<UInt32>) {
    let lanes = SIMD16<UInt32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    // Multiples of 16: the low word never carries.
    var x0 = SIMD16(repeating: UInt32(truncatingIfNeeded: firstBlock)) &+ lanes
    var x1 = SIMD16(repeating: UInt32(truncatingIfNeeded: firstBlock >> 32))
    var x2 = SIMD16<UInt32>.zero
    var x3 = SIMD16<UInt32>.zero
    var (k0, k1) = (key.x, key.y)
    for _ in 0..<10 {
      let (high0, low0) = (ott_multiply_high(x0, 0xD251_1F53), x0 &* 0xD251_1F53)
      let (high2, low2) = (ott_multiply_high(x2, 0xCD9E_8D57), x2 &* 0xCD9E_8D57)
      (x0, x1, x2, x3) = (
        high2 ^ x1 ^ SIMD16(repeating: k0), low2, high0 ^ x3 ^ SIMD16(repeating: k1), low0
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return (x0, x1, x2, x3)
  }

  @inline(__always)
  private func uniform(_ words: SIMD16<UInt32>) -> Vector {
    let k = SIMD16<Int32>(truncatingIfNeeded: words) &>> 9
    return (Vector(k) + 0.5) * 0x1p-22
  }
}

/// erf⁻¹(x) for −1 < x < 1.
@inline(__always)
private func inverseErf(_ x: Vector) -> Vector {
  let w = logarithm((1 - x) * (1 + x)) * -1
  let isCentral = w .< 5
  var t = squareRoot(w) - 3
  t.replace(with: w - 2.5, where: isCentral)
  let central: [Float] = [
    2.810_226_36e-08, 3.432_739_39e-07, -3.523_387_7e-06, -4.391_506_54e-06, 0.000_218_580_87,
    -0.001_253_725_03, -0.004_177_681_64, 0.246_640_727, 1.501_409_41,
  ]
  let tail: [Float] = [
    -0.000_200_214_257, 0.000_100_950_558, 0.001_349_343_22, -0.003_673_428_44, 0.005_739_507_73,
    -0.007_622_461_3, 0.009_438_870_47, 1.001_674_06, 2.832_976_82,
  ]
  var p = Vector(repeating: tail[0])
  p.replace(with: Vector(repeating: central[0]), where: isCentral)
  for i in 1..<9 {
    var c = Vector(repeating: tail[i])
    c.replace(with: Vector(repeating: central[i]), where: isCentral)
    p = c.plus(p, t)
  }
  return p * x
}

/// Natural logarithm of a positive normal number in each lane, relative error below 1e-6: exponent and
/// mantissa in [√½, √2), of which 2·artanh(s) with s = (f − 1)/(f + 1).
@inline(__always)
private func logarithm(_ x: Vector) -> Vector {
  let bits = unsafeBitCast(x, to: SIMD16<Int32>.self)
  let shifted = bits &- 0x3F35_04F3
  let exponent = shifted &>> 23
  let f = unsafeBitCast(bits &- (exponent &<< 23), to: Vector.self)
  let s = (f - 1) / (f + 1)
  let z = s * s
  var p = Vector(repeating: 2.0 / 9)
  p = Vector(repeating: 2.0 / 7).plus(p, z)
  p = Vector(repeating: 2.0 / 5).plus(p, z)
  p = Vector(repeating: 2.0 / 3).plus(p, z)
  p = Vector(repeating: 2).plus(p, z)
  return (p * s).plus(Vector(exponent), Vector(repeating: 0.693_147_18))
}
