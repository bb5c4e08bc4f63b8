import Support

/// Which tables an over-encoded input has: k slices for each order of n-gram, the number of rows of
/// each, and their width (paper, section 3 and Algorithm 1).
///
/// Embedder i = (position of the order)·k + slice looks up row
/// `f(x)_t = (Σ_{j < order} x_{t−j} Vʲ) mod M_i`, tokens before the start of the document being 0, in a
/// table of (M_i, width) and projects it by (width, C). See `OverEncodingMapper` for the rows.
///
/// Of the places where the paper contradicts itself:
/// * Width: Algorithm 1 has D/(k(n−1)), equation 5 has D/(kn). The default is Algorithm 1's, the one
///   that fits the sizes the paper reports; `columns` sets any other.
/// * Moduli: see `Moduli`.
/// * Algorithm 1 pads with token 0, which is a token too: an n-gram that reaches over the start of a
///   document shares its row with the n-gram that has token 0 there.
package struct OverEncodingLayout: Sendable, Equatable {
  /// The rule by which embedder i gets its number of rows M_i out of m.
  package enum Moduli: String, CaseIterable, Sendable {
    /// M_i = m + 2i: Algorithm 1. Even where m is even, so not coprime to an even V, and a multiple of
    /// V where m is one (the paper's Table 4).
    case paper
    /// The nearest M_i ≥ m, ascending, all different, that are odd, coprime to V and at least
    /// `clearance(of: V)` away from every multiple of V.
    case coprime
    /// M_i = m: equations 3 and 4 as written. One slice an order only: slices of the same order and
    /// rows would look up the same rows.
    case equal
  }

  /// One table and its projection.
  package struct Embedder: Sendable, Equatable {
    /// Tokens of the n-gram.
    package let order: Int
    /// Number of the slice within its order.
    package let slice: Int
    /// M: rows of the table.
    package let modulus: Int
    /// Columns of the table.
    package let width: Int

    package init(order: Int, slice: Int, modulus: Int, width: Int) {
      self.order = order
      self.slice = slice
      self.modulus = modulus
      self.width = width
    }

    /// Elements of the table.
    package var tableParameterCount: Int { modulus * width }
  }

  /// V: tokens of the base vocabulary.
  package let vocabulary: Int
  /// n: the highest order.
  package let order: Int
  /// The orders that have tables, ascending.
  package let orders: [Int]
  /// k: tables an order.
  package let slices: Int
  /// m: rows asked for.
  package let rows: Int
  /// C: width of the model.
  package let width: Int
  /// Columns of all tables together: what a position reads.
  package let columns: Int
  package let moduli: Moduli
  /// By order, then slice.
  package let embedders: [Embedder]

  /// - Parameters:
  ///   - orders: those of 2…n that have tables; all of them unless given, as in the paper but for its
  ///     Table 3, where one is left out.
  ///   - columns: columns of all tables together, shared equally; C unless given.
  /// - Throws: `UserError` for a number out of range, orders that are not ascending within 2…n, two
  ///   tables of the same order and modulus, a width that does not divide, and moduli beyond 2³¹ − 1.
  package init(
    vocabulary: Int, order: Int, slices: Int, rows: Int, width: Int, moduli: Moduli,
    orders: [Int]? = nil, columns: Int? = nil
  ) throws(UserError) {
    try Self.check("base vocabulary V", vocabulary, in: 2...Self.largestModulus)
    try Self.check("order n of the over-encoding", order, in: 2...64)
    try Self.check("slices k of the over-encoding", slices, in: 1...1024)
    try Self.check("rows m of an over-encoding table", rows, in: 1...Self.largestModulus)
    try Self.check("width C of the model", width, in: 1...1 << 24)
    let orders = orders ?? Array(2...order)
    guard let last = orders.last, last == order, orders[0] >= 2,
      zip(orders, orders.dropFirst()).allSatisfy(<)
    else {
      throw UserError(
        "orders of the over-encoding", expected: "ascending, from 2 or more up to n = \(order)",
        found: "\(orders)")
    }
    self.vocabulary = vocabulary
    self.order = order
    self.orders = orders
    self.slices = slices
    self.rows = rows
    self.width = width
    self.moduli = moduli
    let count = slices * orders.count
    let columns = columns ?? width
    try Self.check("columns of the over-encoding tables", columns, in: 1...1 << 24)
    self.columns = columns
    guard columns % count == 0 else {
      throw UserError(
        "columns of the over-encoding tables: not to be shared equally",
        expected: "a multiple of k · orders = \(slices) · \(orders.count) = \(count)",
        found: "\(columns)",
        remedy: "Set the width to \((columns + count - 1) / count * count) or change slices.")
    }
    let found = try Self.moduli(moduli, count: count, rows: rows, vocabulary: vocabulary)
    if moduli == .equal && slices > 1 {
      throw UserError(
        "two over-encoding tables of the same order and modulus",
        expected: "different rows for the \(slices) slices of an order",
        found: "(\(orders[0]), \(rows)) \(slices) times",
        remedy: "Choose moduli 'coprime' or 'paper', or one slice.")
    }
    embedders = (0..<count).map { i in
      Embedder(
        order: orders[i / slices], slice: i % slices, modulus: found[i],
        width: columns / count)
    }
  }

  // MARK: - Counts

  /// Elements of all tables, Σ M_i · width. With the rule `paper` and K tables: K·width·(m + K − 1).
  package var tableParameterCount: Int { embedders.reduce(0) { $0 + $1.tableParameterCount } }

  /// Elements of all projections, Σ width · C = columns · C: C² by Algorithm 1. No biases
  /// (equation 4).
  package var projectionParameterCount: Int { columns * width }

  /// All parameters but those of the 1-gram table, which is the model's own.
  package var parameterCount: Int { tableParameterCount + projectionParameterCount }

  // MARK: - Moduli

  /// Rows are 32-bit signed ids in the engine.
  package static let largestModulus = Int(Int32.max)

  /// How far a modulus of the rule `coprime` stays away from multiples of V: ⌊V/16⌋, at least 1.
  ///
  /// With M = cV ± r the bigrams (x, y) and (x ∓ r, y + c) share a row. Ids of a BPE vocabulary are
  /// ordered by merges, so frequent tokens have near ids: the smaller r, the more often both bigrams
  /// of such a pair are frequent (with r = 0 the row hardly says more than the last token). Measured
  /// on 12 million tokens with V = 4096 and M = 16V + r, share of positions whose row belongs mostly to
  /// other bigrams: r = 0 51.6 %, 1 39.5 %, 15 32.6 %, V/32 30.4 %, V/16 30.6 %, V/4 32.1 %,
  /// V/2 35.7 %.
  package static func clearance(of vocabulary: Int) -> Int { max(1, vocabulary / 16) }

  private static func moduli(
    _ rule: Moduli, count: Int, rows: Int, vocabulary: Int
  ) throws(UserError) -> [Int] {
    var result: [Int] = []
    switch rule {
    case .paper: result = (0..<count).map { rows + 2 * $0 }
    case .equal: result = [Int](repeating: rows, count: count)
    case .coprime:
      let clearance = clearance(of: vocabulary)
      var candidate = rows | 1
      while result.count < count {
        let rest = candidate % vocabulary
        // Zero is no multiple to stay away from: below V only V itself is.
        let distance = candidate < vocabulary ? vocabulary - rest : min(rest, vocabulary - rest)
        if distance >= clearance && greatestCommonDivisor(candidate, vocabulary) == 1 {
          result.append(candidate)
        }
        candidate += 2
      }
    }
    guard let largest = result.last, largest <= largestModulus else {
      throw UserError(
        "rows of the last over-encoding table", expected: "at most \(largestModulus)",
        found: "\(result.last ?? 0)", remedy: "Lower rows.")
    }
    return result
  }

  private static func check(
    _ what: String, _ value: Int, in range: ClosedRange<Int>
  ) throws(UserError) {
    guard range.contains(value) else {
      throw UserError(
        what, expected: "\(range.lowerBound) to \(range.upperBound)", found: "\(value)")
    }
  }
}

/// Euclid's algorithm; gcd(a, 0) = a.
func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
  var (a, b) = (a, b)
  while b != 0 { (a, b) = (b, a % b) }
  return a
}
