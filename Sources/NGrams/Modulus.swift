/// Remainders by a fixed number without a division.
///
/// With μ = ⌊(2⁶⁴ − 1)/M⌋ and q = ⌊x·μ/2⁶⁴⌋ the remainder of x is x − q·M, less M where that is not below
/// it (Barrett reduction). Exact for every x < 2⁶⁴ and M ≥ 1: 2⁶⁴ = μ·M + e with 1 ≤ e ≤ M, so
/// x/M − x·μ/2⁶⁴ = x·e/(M·2⁶⁴) < 1, and q is the quotient or one less.
package struct Modulus: Sendable, Equatable {
  /// M.
  package let value: UInt64
  private let reciprocal: UInt64

  package init(_ value: Int) {
    precondition(value >= 1, "a modulus is positive")
    self.value = UInt64(value)
    reciprocal = UInt64.max / self.value
  }

  /// x mod M. Exact where M ≤ 2⁶³, as every `Int` is.
  @inline(__always)
  package func remainder(_ x: UInt64) -> UInt64 {
    let quotient = x.multipliedFullWidth(by: reciprocal).high
    let rest = x &- quotient &* value
    return rest < value ? rest : rest &- value
  }

  /// base^exponent mod M. Precondition: M < 2³².
  func power(_ base: UInt64, _ exponent: Int) -> UInt64 {
    precondition(value < 1 << 32, "products of remainders fit 64 bits")
    let base = remainder(base)
    return (0..<exponent).reduce(remainder(1)) { power, _ in remainder(power &* base) }
  }
}
