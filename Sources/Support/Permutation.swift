/// A keyed permutation of 0..<count in constant memory: a Feistel network on the smallest power of two
/// that holds `count`, walked along its cycles until it lands inside.
///
/// `permutation[i]` is a bijection of 0..<count; on average fewer than two walks of `rounds` rounds.
/// Own arithmetic, same bits everywhere.
package struct Permutation: Sendable {
  package let count: Int
  private let leftBits: UInt64
  private let rightBits: UInt64
  private let keys: [UInt64]

  private static let rounds = 8

  /// - Precondition: count ≥ 0.
  package init(count: Int, seed: UInt64, name: String) {
    precondition(count >= 0, "a permutation has no negative count")
    self.count = count
    let bits = max(2, count <= 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount)
    leftBits = UInt64(bits / 2)
    rightBits = UInt64(bits - bits / 2)
    var stream = RandomStream(seed: seed, name: name)
    keys = (0..<Self.rounds).map { _ in stream.next64() }
  }

  /// Where position `i` goes.
  /// - Precondition: 0 ≤ i < count.
  package subscript(i: Int) -> Int {
    precondition(i >= 0 && i < count, "permutation of \(count) read at \(i)")
    var value = UInt64(i)
    repeat { value = encipher(value) } while value >= UInt64(count)
    return Int(value)
  }

  /// One pass of the network: the halves may differ in width, which a Feistel network permits as long
  /// as each half is only XORed with a function of the other.
  private func encipher(_ value: UInt64) -> UInt64 {
    let leftMask = (1 << leftBits) - 1 as UInt64
    let rightMask = (1 << rightBits) - 1 as UInt64
    var left = value >> rightBits & leftMask
    var right = value & rightMask
    for round in stride(from: 0, to: Self.rounds, by: 2) {
      left ^= Self.mix(right ^ keys[round]) & leftMask
      right ^= Self.mix(left ^ keys[round + 1]) & rightMask
    }
    return left << rightBits | right
  }

  /// The finaliser of SplitMix64.
  package static func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
