import Support
import Tokenization

/// One n-gram input table: which row the last `order` tokens choose.
///
/// With digits x (token ids) and radix R, `code = Σ_{j<order} x_{t−j} Rʲ`, missing tokens counting
/// as 0 (paper, equation 2), and `row = code + bias[min(t, order)]`.
/// * Over 1-gram tokens of A symbols: R = A, and the biases turn the code into the id of the last
///   min(t, order) symbols in `NGramVocabulary(alphabet: A, order: order)`; BOS alone is row 0.
/// * Over any other vocabulary of V tokens: R = V, all biases 0, V^order rows. Missing tokens are
///   indistinguishable from BOS (id 0), which only ever stands in front: nothing collides.
package struct NGramTable: Sendable, Equatable {
  package let order: Int
  package let rows: Int
  let radix: UInt64
  /// R^order modulo 2⁶⁴: weight of the token that leaves the window.
  let leaving: UInt64
  /// (order + 1), added modulo 2⁶⁴.
  let bias: [UInt64]

  /// R.
  package var radixOfTokens: Int { Int(radix) }
  /// What is added to the code at position t, by min(t, order).
  package var biases: [Int] { bias.map { Int(Int64(bitPattern: $0)) } }

  /// Table over 1-gram tokens of an alphabet of A symbols.
  init(characters alphabet: Int, order: Int) throws(UserError) {
    let vocabulary = try NGramVocabulary(alphabet: alphabet, order: order)
    var bias: [UInt64] = [0]
    var ones = 0
    for k in 1...order {
      ones += vocabulary.power[k - 1]
      bias.append(UInt64(bitPattern: Int64(vocabulary.firstID[k] - 2 * ones)))
    }
    self.init(order: order, rows: vocabulary.size, radix: alphabet, bias: bias)
  }

  /// Table over any vocabulary of V tokens.
  init(tokens vocabulary: Int, order: Int) throws(UserError) {
    guard order >= 1, vocabulary >= 1 else {
      throw UserError(
        "order of an n-gram input", expected: "1 or more over a vocabulary of 1 or more",
        found: "order \(order) over \(vocabulary) tokens")
    }
    var rows = 1
    for _ in 0..<order {
      let (next, overflow) = rows.multipliedReportingOverflow(by: vocabulary)
      guard !overflow, next <= IDType.u32.capacity else {
        throw UserError(
          "exact \(order)-gram input table over \(vocabulary) tokens: overflows its id type",
          expected: "at most \(IDType.u32.capacity) rows", found: "\(vocabulary)^\(order)",
          remedy: "Choose a lower order.")
      }
      rows = next
    }
    self.init(
      order: order, rows: rows, radix: vocabulary,
      bias: [UInt64](repeating: 0, count: order + 1))
  }

  private init(order: Int, rows: Int, radix: Int, bias: [UInt64]) {
    self.order = order
    self.rows = rows
    self.radix = UInt64(radix)
    self.bias = bias
    leaving = (0..<order).reduce(UInt64(1)) { power, _ in power &* UInt64(radix) }
  }
}

/// From the tokens of a document to the rows of every input table and the labels of the output.
///
/// A document of T tokens BOS … EOS has T − 1 positions; position t sees tokens 0…t and predicts
/// what follows. A position never sees another document.
package struct RowMapper: Sendable, Equatable {
  /// V of the base tokenizer.
  package let tokenVocabulary: Int
  /// The order of the base tokenizer; nil for one that is no n-gram tokenizer.
  package let tokenizerOrder: Int?
  package let tables: [NGramTable]
  package let outputOrder: Int
  /// Joint n-gram labels over 1-gram tokens; nil when the label is the next token.
  package let joint: NGramVocabulary?

  /// Number of label classes: the joint vocabulary's size, or V.
  package var labels: Int { joint?.size ?? tokenVocabulary }

  /// Mapper over an n-gram tokenizer.
  ///
  /// - Parameters:
  ///   - base: the tokenizer's vocabulary.
  ///   - inputOrders: one table each; `[n]` is the naive n-gram input, `[1, …, n]` the hierarchical
  ///     one, whose rows are summed by the model.
  ///   - outputOrder: labels are the next `outputOrder` symbols, fewer at the end ("then EOS").
  ///     More than 1 needs a 1-gram tokenizer.
  package init(base: NGramVocabulary, inputOrders: [Int], outputOrder: Int) throws(UserError) {
    var tables: [NGramTable] = []
    for order in inputOrders {
      if base.order == 1 {
        tables.append(try NGramTable(characters: base.alphabet, order: order))
      } else {
        tables.append(try NGramTable(tokens: base.size, order: order))
      }
    }
    guard outputOrder == 1 || base.order == 1 else {
      throw UserError(
        "outputOrder", expected: "1 over a \(base.order)-gram tokenizer", found: "\(outputOrder)",
        remedy: "Use the 1-gram tokenizer for a joint n-gram output.")
    }
    let joint =
      base.order == 1 ? try NGramVocabulary(alphabet: base.alphabet, order: outputOrder) : nil
    try self.init(
      tokenVocabulary: base.size, tokenizerOrder: base.order, tables: tables,
      outputOrder: outputOrder, joint: joint)
  }

  /// Mapper over any vocabulary of V tokens in which 0 is BOS; the label is the next token.
  package init(tokenVocabulary: Int, inputOrders: [Int]) throws(UserError) {
    var tables: [NGramTable] = []
    for order in inputOrders {
      tables.append(try NGramTable(tokens: tokenVocabulary, order: order))
    }
    try self.init(
      tokenVocabulary: tokenVocabulary, tokenizerOrder: nil, tables: tables, outputOrder: 1,
      joint: nil)
  }

  private init(
    tokenVocabulary: Int, tokenizerOrder: Int?, tables: [NGramTable], outputOrder: Int,
    joint: NGramVocabulary?
  ) throws(UserError) {
    guard !tables.isEmpty else {
      throw UserError(
        "inputOrders", expected: "at least one order", found: "none", remedy: "Set it to [1].")
    }
    guard Set(tables.map(\.order)).count == tables.count else {
      throw UserError(
        "inputOrders", expected: "different orders", found: "\(tables.map(\.order))")
    }
    self.tokenVocabulary = tokenVocabulary
    self.tokenizerOrder = tokenizerOrder
    self.tables = tables
    self.outputOrder = outputOrder
    self.joint = joint
  }

  /// Checks that a document is BOS, tokens of the vocabulary that are neither mark, EOS.
  /// Everything below relies on it.
  @specialized(where T == UInt8)
  @specialized(where T == UInt16)
  @specialized(where T == UInt32)
  package func validate<T: FixedWidthInteger & UnsignedInteger>(
    _ tokens: Span<T>
  ) throws(UserError) {
    let last = tokens.count - 1
    guard last >= 1, tokens[0] == 0, tokens[last] == 1 else {
      throw UserError(
        "tokens of a document", expected: "BOS (0) … EOS (1)",
        found: last < 0 ? "nothing" : "\(tokens[0]) … \(tokens[last])")
    }
    precondition(tokenVocabulary - 1 <= T.max, "id type too narrow for the vocabulary")
    // id − 2 wraps for the marks, so one comparison finds every bad id.
    let limit = T(truncatingIfNeeded: tokenVocabulary - 2)
    var bad = false
    for t in 1..<last { bad = (tokens[t] &- 2 >= limit) || bad }
    if bad {
      for t in 1..<last where tokens[t] &- 2 >= limit {
        throw UserError(
          "token \(t) of a document", expected: "an id in 2..<\(tokenVocabulary)",
          found: "\(tokens[t])")
      }
    }
  }

  /// Rows of table `table` at the T − 1 positions of one valid document.
  ///
  /// - Parameters:
  ///   - tokens: (T) a document that `validate` accepts.
  ///   - rows: (≥ T − 1) overwritten in front; U must hold the table's rows.
  /// Complexity: O(T) whatever the order: a rolling code, one multiplication a position.
  @specialized(where T == UInt8, U == UInt8)
  @specialized(where T == UInt8, U == UInt16)
  @specialized(where T == UInt8, U == UInt32)
  @specialized(where T == UInt16, U == UInt16)
  @specialized(where T == UInt16, U == UInt32)
  @specialized(where T == UInt32, U == UInt32)
  package func mapRows<T: FixedWidthInteger & UnsignedInteger, U: FixedWidthInteger>(
    table: Int, tokens: Span<T>, into rows: inout MutableSpan<U>
  ) {
    let table = tables[table]
    let order = table.order
    let bias = table.bias.span
    let positions = tokens.count - 1
    let head = min(order, positions)
    var code: UInt64 = 0
    for t in 0..<head {
      code = code &* table.radix &+ UInt64(truncatingIfNeeded: tokens[t])
      rows[t] = U(truncatingIfNeeded: code &+ bias[t])
    }
    let full = bias[order]
    var t = head
    while t < positions {
      let old = UInt64(truncatingIfNeeded: tokens[t - order]) &* table.leaving
      code = code &* table.radix &+ UInt64(truncatingIfNeeded: tokens[t]) &- old
      rows[t] = U(truncatingIfNeeded: code &+ full)
      t += 1
    }
  }

  /// Labels at the T − 1 positions of one valid document; shapes as `mapRows`.
  @specialized(where T == UInt8, U == UInt8)
  @specialized(where T == UInt8, U == UInt16)
  @specialized(where T == UInt8, U == UInt32)
  @specialized(where T == UInt16, U == UInt16)
  @specialized(where T == UInt16, U == UInt32)
  @specialized(where T == UInt32, U == UInt32)
  package func mapLabels<T: FixedWidthInteger & UnsignedInteger, U: FixedWidthInteger>(
    tokens: Span<T>, into labels: inout MutableSpan<U>
  ) {
    let positions = tokens.count - 1
    guard let joint, outputOrder > 1 else {
      for t in 0..<positions { labels[t] = U(truncatingIfNeeded: tokens[t + 1]) }
      return
    }
    let symbols = positions - 1
    let n = min(outputOrder, symbols)
    let radix = UInt64(joint.alphabet)
    let leaving = UInt64(joint.power[n])
    let first = UInt64(joint.firstID[n])
    var code: UInt64 = 0
    for t in 1..<n + 1 { code = code &* radix &+ UInt64(truncatingIfNeeded: tokens[t] &- 2) }
    let whole = symbols - n
    for t in 0..<whole {
      labels[t] = U(truncatingIfNeeded: first &+ code)
      let old = UInt64(truncatingIfNeeded: tokens[t + 1] &- 2) &* leaving
      let new = UInt64(truncatingIfNeeded: tokens[t + n + 1] &- 2)
      code = code &* radix &+ new &- old
    }
    // Fewer than n symbols are left: the gram only loses its first digit.
    for t in whole..<symbols {
      let k = symbols - t
      labels[t] = U(truncatingIfNeeded: joint.firstID[k] &+ Int(truncatingIfNeeded: code))
      let old = UInt64(truncatingIfNeeded: tokens[t + 1] &- 2)
      code = code &- old &* UInt64(joint.power[k - 1])
    }
    labels[symbols] = U(truncatingIfNeeded: NGramVocabulary.eos)
  }
}
