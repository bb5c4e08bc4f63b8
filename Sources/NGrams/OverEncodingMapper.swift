import Support

/// The rows of every over-encoding table, `f(x)_t = (Σ_{j < order} x_{t−j} Vʲ) mod M` with x = 0 before
/// the start of the document (paper, equations 1 to 3), exact for any V, order and M of a layout.
///
/// A document of T tokens has T − 1 positions: position t sees tokens 0…t, and the last token is only
/// ever a label. With one token or none there is no position.
package struct OverEncodingMapper: Sendable, Equatable {
  package let layout: OverEncodingLayout
  /// Per embedder: its modulus, and Vʲ mod M for j = 1 … order − 1.
  private let moduli: [Modulus]
  private let weights: [[UInt64]]
  /// Per embedder: how many terms x·w fit 64 bits on top of a remainder.
  private let termsBetweenReductions: [Int]

  package init(_ layout: OverEncodingLayout) {
    self.layout = layout
    let moduli = layout.embedders.map { Modulus($0.modulus) }
    self.moduli = moduli
    let vocabulary = UInt64(layout.vocabulary)
    weights = layout.embedders.enumerated().map { i, embedder in
      (1..<embedder.order).map { moduli[i].power(vocabulary, $0) }
    }
    termsBetweenReductions = layout.embedders.map { embedder in
      let term = UInt64(layout.vocabulary - 1) * UInt64(max(1, embedder.modulus - 1))
      let start = UInt64(max(embedder.modulus, layout.vocabulary) - 1)
      return Int(clamping: (UInt64.max - start) / term)
    }
  }

  /// Positions of a document of `tokens` tokens.
  package static func positions(ofTokens tokens: Int) -> Int { max(0, tokens - 1) }

  /// Rows of embedder `e` at the positions of one document.
  ///
  /// - Parameters:
  ///   - tokens: (T), all below V.
  ///   - sums: (≥ T − 1) scratch, overwritten in front.
  ///   - rows: (≥ T − 1) overwritten in front; U must hold the rows.
  /// Complexity: O(T · order) multiplications, one remainder a position as long as V · M · order < 2⁶⁴.
  @specialized(where T == UInt16, U == UInt16)
  @specialized(where T == UInt16, U == UInt32)
  @specialized(where T == UInt32, U == UInt16)
  @specialized(where T == UInt32, U == UInt32)
  package func mapRows<T: FixedWidthInteger & UnsignedInteger, U: FixedWidthInteger>(
    embedder e: Int, tokens: Span<T>, sums: inout MutableSpan<UInt64>,
    into rows: inout MutableSpan<U>
  ) {
    let positions = Self.positions(ofTokens: tokens.count)
    var sums = sums._mutatingExtracting(first: positions)
    var rows = rows._mutatingExtracting(first: positions)
    let modulus = moduli[e]
    let most = termsBetweenReductions[e]
    for t in 0..<positions { sums[t] = UInt64(truncatingIfNeeded: tokens[t]) }
    for (k, weight) in weights[e].enumerated() where k + 1 < positions {
      if k > 0 && k % most == 0 {
        for t in 0..<positions { sums[t] = modulus.remainder(sums[t]) }
      }
      let older = tokens.extracting(0..<positions - k - 1)
      var newer = sums._mutatingExtracting(droppingFirst: k + 1)
      for t in 0..<older.count {
        newer[t] = newer[t] &+ UInt64(truncatingIfNeeded: older[t]) &* weight
      }
    }
    for t in 0..<positions { rows[t] = U(truncatingIfNeeded: modulus.remainder(sums[t])) }
  }

  /// The row of embedder `e` where `history` are the last tokens of a document, newest first, as many
  /// as there are and no more than `order` of them matter.
  func row(embedder e: Int, newestFirst history: (_ j: Int) -> UInt64) -> UInt32 {
    let modulus = moduli[e]
    var sum = modulus.remainder(history(0))
    for (k, weight) in weights[e].enumerated() {
      sum = modulus.remainder(sum &+ modulus.remainder(history(k + 1)) &* weight)
    }
    return UInt32(truncatingIfNeeded: sum)
  }
}

/// The rows of a document that grows token by token: what generation needs.
///
/// After `push` of tokens 0…t, `row(of: e)` equals what `OverEncodingMapper.mapRows` writes at position
/// t. State: the last n tokens; no allocation after `init`.
package struct OverEncodingHistory: Sendable {
  package let mapper: OverEncodingMapper
  /// Ring of the last n tokens.
  private var ring: [UInt64]
  /// Tokens pushed so far.
  package private(set) var count = 0

  package init(_ mapper: OverEncodingMapper) {
    self.mapper = mapper
    ring = [UInt64](repeating: 0, count: mapper.layout.order)
  }

  /// Forgets the document.
  package mutating func reset() {
    count = 0
    for i in ring.indices { ring[i] = 0 }
  }

  /// Appends a token. Precondition: below V.
  package mutating func push(_ token: UInt32) {
    precondition(Int(token) < mapper.layout.vocabulary, "a token of the vocabulary")
    ring[count % ring.count] = UInt64(token)
    count += 1
  }

  /// Row of embedder `e` at the position of the last token. Precondition: something was pushed.
  package func row(of e: Int) -> UInt32 {
    precondition(count > 0, "no token pushed")
    return mapper.row(embedder: e) { j in
      j < count && j < ring.count ? ring[(count - 1 - j) % ring.count] : 0
    }
  }
}
