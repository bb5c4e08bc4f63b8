import Support

/// Exact ids of n-grams over a vocabulary of V tokens: `id_t = Σ_{j < order} x_{t−j} Vʲ`, tokens before
/// the start of the document being 0 (paper, equation 2 with p = V).
///
/// Modulo M they are the rows of an over-encoding table of M rows, so one set of ids serves every M.
package struct ExactGrams: Sendable, Equatable {
  package let vocabulary: Int
  /// n: ids are made for the orders 2…n.
  package let order: Int
  /// V^o for o = 1…n.
  private let powers: [UInt64]

  /// - Throws: `UserError` for V below 2, n below 2, and where Vⁿ exceeds 2⁶³ − 1.
  package init(vocabulary: Int, order: Int) throws(UserError) {
    guard vocabulary >= 2, order >= 2 else {
      throw UserError(
        "exact n-gram ids", expected: "order 2 or more over a vocabulary of 2 or more",
        found: "order \(order) over \(vocabulary) tokens")
    }
    var powers = [vocabulary]
    while powers.count < order {
      let (next, overflow) = powers[powers.count - 1].multipliedReportingOverflow(by: vocabulary)
      guard !overflow else {
        throw UserError(
          "exact ids of \(order)-grams over \(vocabulary) tokens",
          expected: "at most 2^63 - 1 of them", found: "\(vocabulary)^\(order)",
          remedy: "Use content 'overEncoding', or order \(powers.count).")
      }
      powers.append(next)
    }
    self.vocabulary = vocabulary
    self.order = order
    self.powers = powers.map(UInt64.init)
  }

  /// V^order: ids of that order lie below it.
  package func cardinality(order: Int) -> Int { Int(powers[order - 1]) }

  /// Ids of the order `order` at the positions of one document, from those of the order below.
  ///
  /// - Parameters:
  ///   - tokens: (T), all below V.
  ///   - shorter: (≥ T − 1) the ids of order − 1; the tokens themselves for order 2.
  ///   - ids: (≥ T − 1) overwritten in front; U must hold the ids.
  @specialized(where T == UInt16, U == UInt16)
  @specialized(where T == UInt16, U == UInt32)
  @specialized(where T == UInt16, U == UInt64)
  @specialized(where T == UInt32, U == UInt32)
  @specialized(where T == UInt32, U == UInt64)
  package func extend<T: FixedWidthInteger & UnsignedInteger, U: FixedWidthInteger>(
    to order: Int, tokens: Span<T>, shorter: Span<U>, into ids: inout MutableSpan<U>
  ) {
    precondition((2...self.order).contains(order), "an order of these ids")
    let positions = OverEncodingMapper.positions(ofTokens: tokens.count)
    let power = U(truncatingIfNeeded: powers[order - 2])
    let back = order - 1
    let shorter = shorter.extracting(first: positions)
    var ids = ids._mutatingExtracting(first: positions)
    for t in 0..<min(back, positions) { ids[t] = shorter[t] }
    if positions <= back { return }
    let older = tokens.extracting(0..<positions - back)
    let newer = shorter.extracting(droppingFirst: back)
    var tail = ids._mutatingExtracting(droppingFirst: back)
    for t in 0..<older.count {
      tail[t] = newer[t] &+ U(truncatingIfNeeded: older[t]) &* power
    }
  }
}
