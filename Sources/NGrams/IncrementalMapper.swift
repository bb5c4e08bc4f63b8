/// The rows of a document that grows token by token: what generation needs.
///
/// After `push` of tokens 0…t, `row(of: g)` equals what `RowMapper.mapRows` writes at position t.
/// State: the last tokens and one rolling code per table; no allocation after `init`.
package struct IncrementalMapper: Sendable {
  package let mapper: RowMapper
  /// Ring of the last tokens, as long as the widest window.
  private var history: [UInt64]
  private var codes: [UInt64]
  /// Tokens pushed so far.
  package private(set) var count = 0

  package init(_ mapper: RowMapper) {
    self.mapper = mapper
    let widest = mapper.tables.reduce(1) { max($0, $1.order) }
    history = [UInt64](repeating: 0, count: widest)
    codes = [UInt64](repeating: 0, count: mapper.tables.count)
  }

  /// Forgets the document: the next token pushed is a BOS.
  package mutating func reset() {
    count = 0
    for g in codes.indices { codes[g] = 0 }
  }

  /// Appends a token. Preconditions: the first is BOS (0) and no later one is; EOS is never
  /// pushed, because nothing follows it.
  package mutating func push(_ token: UInt32) {
    precondition(
      count == 0 ? token == 0 : token >= 2 && Int(token) < mapper.tokenVocabulary,
      "a document is BOS, then tokens that are no marks")
    let token = UInt64(token)
    for g in codes.indices {
      let table = mapper.tables[g]
      var code = codes[g] &* table.radix &+ token
      if count >= table.order {
        code = code &- history[(count - table.order) % history.count] &* table.leaving
      }
      codes[g] = code
    }
    history[count % history.count] = token
    count += 1
  }

  /// Row of table g at the position of the last token. Precondition: something was pushed.
  package func row(of g: Int) -> UInt32 {
    precondition(count > 0, "no token pushed")
    let table = mapper.tables[g]
    return UInt32(truncatingIfNeeded: codes[g] &+ table.bias[min(count - 1, table.order)])
  }
}
