/// A random stream that is addressed, not consumed: Philox4x32-10 with a key from (seed, name) and a
/// counter from (index, block).
///
///     key      = first 8 bytes, little-endian, of SHA-256("overtoken stream" 0 seed₆₄ name)
///     counter  = (block low, block high, index low, index high), four 32-bit words
///
/// So sentence *i* of the stream "train" has draws of its own, whoever asks for them and when, and a
/// new stream changes no other. Same bits on every machine: only integer arithmetic, and for
/// `normal` additions, multiplications, divisions and square roots in a fixed order.
///
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), Random123.
package struct RandomStream: Sendable {
  @usableFromInline let key: SIMD2<UInt32>
  @usableFromInline let index: UInt64
  @usableFromInline var block: UInt64 = 0
  @usableFromInline var words = SIMD4<UInt32>()
  @usableFromInline var used = 4

  /// The stream `name` of `seed`, at counter `index`.
  package init(seed: UInt64, name: String, index: UInt64 = 0) {
    var hash = SHA256()
    hash.update(Array("overtoken stream\0".utf8))
    hash.update((0..<8).map { UInt8(truncatingIfNeeded: seed >> (8 * UInt64($0))) })
    hash.update(Array(name.utf8))
    let digest = hash.finalize()
    let word = { (i: Int) in (0..<4).reduce(UInt32(0)) { $0 | UInt32(digest[i + $1]) << (8 * $1) } }
    self.init(key: SIMD2(word(0), word(4)), index: index)
  }

  @inlinable
  init(key: SIMD2<UInt32>, index: UInt64) {
    self.key = key
    self.index = index
  }

  /// The stream of the same seed and name that belongs to `index`, from its first draw. Costs nothing.
  @inlinable
  package func at(index: UInt64) -> RandomStream {
    RandomStream(key: key, index: index)
  }

  /// The key that (seed, name) gave, for code that runs many counters at a time.
  package var philoxKey: SIMD2<UInt32> { key }

  /// The next 32 random bits.
  @inlinable
  package mutating func next32() -> UInt32 {
    if used == 4 { refill() }
    let word = words[used]
    used &+= 1
    return word
  }

  /// The next 64 random bits: two words, low word first.
  @inlinable
  package mutating func next64() -> UInt64 {
    let low = UInt64(next32())
    return low | UInt64(next32()) << 32
  }

  /// Uniform on [0, 1), a multiple of 2⁻⁵³.
  @inlinable
  package mutating func uniform() -> Double {
    Double(next64() >> 11) * 0x1p-53
  }

  /// Uniform on 0..<n without bias (Lemire's multiplication with rejection).
  /// - Precondition: n > 0.
  @inlinable
  package mutating func below(_ n: UInt32) -> UInt32 {
    precondition(n > 0, "below: n must be positive")
    var product = UInt64(next32()) &* UInt64(n)
    if UInt32(truncatingIfNeeded: product) < n {
      let threshold = (0 &- n) % n
      while UInt32(truncatingIfNeeded: product) < threshold {
        product = UInt64(next32()) &* UInt64(n)
      }
    }
    return UInt32(truncatingIfNeeded: product >> 32)
  }

  /// A standard normal draw: the inverse distribution function at one 53-bit uniform number, so that
  /// each draw costs exactly one `next64`.
  package mutating func normal() -> Double {
    Normal.quantile((Double(next64() >> 11) + 0.5) * 0x1p-53)
  }

  @inlinable
  mutating func refill() {
    words = RandomStream.philox(
      counter: SIMD4(
        UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32),
        UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32)),
      key: key)
    block &+= 1
    used = 0
  }

  /// Ten rounds of Philox4x32 on `counter` under `key`.
  @inlinable
  package static func philox(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (x0, x1, x2, x3) = (counter.x, counter.y, counter.z, counter.w)
    var (k0, k1) = (key.x, key.y)
    for _ in 0..<10 {
      let a = UInt64(x0) &* 0xD251_1F53
      let b = UInt64(x2) &* 0xCD9E_8D57
      (x0, x1, x2, x3) = (
        UInt32(truncatingIfNeeded: b >> 32) ^ x1 ^ k0, UInt32(truncatingIfNeeded: b),
        UInt32(truncatingIfNeeded: a >> 32) ^ x3 ^ k1, UInt32(truncatingIfNeeded: a)
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return SIMD4(x0, x1, x2, x3)
  }
}
