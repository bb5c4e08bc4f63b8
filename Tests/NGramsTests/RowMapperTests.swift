import NGrams
import Support
import Testing
import Tokenization

/// Rows and labels by their definition, position by position.
private struct SlowMapper {
  let base: NGramVocabulary
  let inputOrders: [Int]
  let outputOrder: Int

  func row(_ tokens: [UInt32], _ t: Int, order: Int) throws -> UInt32 {
    if base.order == 1 {
      if t == 0 { return 0 }
      let digits = tokens[max(1, t - order + 1)...t].map { Int($0) - 2 }
      return UInt32(try NGramVocabulary(alphabet: base.alphabet, order: order).id(of: digits))
    }
    var code = 0
    var weight = 1
    for j in 0..<order {
      code += (t - j >= 0 ? Int(tokens[t - j]) : 0) * weight
      weight *= base.size
    }
    return UInt32(code)
  }

  func label(_ tokens: [UInt32], _ t: Int) throws -> UInt32 {
    if base.order > 1 || outputOrder == 1 { return tokens[t + 1] }
    let digits = tokens[t + 1..<min(t + 1 + outputOrder, tokens.count - 1)].map { Int($0) - 2 }
    if digits.isEmpty { return 1 }
    return UInt32(try NGramVocabulary(alphabet: base.alphabet, order: outputOrder).id(of: digits))
  }
}

private func randomTokens(_ tokenizer: NGramTokenizer, length: Int, seed: UInt64) throws -> [UInt32]
{
  var stream = RandomStream(seed: seed, name: "tokens", index: UInt64(length))
  let values = tokenizer.alphabet.values
  return try tokenizer.encode(
    (0..<length).map { _ in values[Int(stream.below(UInt32(values.count)))] })
}

@Suite struct RowMapperTests {
  /// (base order, input orders, output order): both Figure 2 panels, Figure 7 (a), (b), (c).
  static let cases: [(Int, [Int], Int)] = [
    (1, [1], 1), (1, [3], 1), (1, [1, 2, 3], 1), (1, [1], 3), (1, [3], 3), (1, [1], 2), (1, [5], 4),
    (2, [1], 1), (2, [2], 1), (2, [1, 2], 1), (3, [1], 1), (3, [2], 1), (3, [3], 1),
  ]

  @Test(arguments: cases.indices)
  func matchesTheDefinitionAndTheIncrementalWay(index: Int) throws {
    let (baseOrder, inputOrders, outputOrder) = Self.cases[index]
    let tokenizer = try NGramTokenizer(alphabet: Alphabet([1, 2, 3]), order: baseOrder)
    let mapper = try RowMapper(
      base: tokenizer.vocabulary, inputOrders: inputOrders, outputOrder: outputOrder)
    let slow = SlowMapper(
      base: tokenizer.vocabulary, inputOrders: inputOrders, outputOrder: outputOrder)
    var incremental = IncrementalMapper(mapper)
    for length in 0..<30 {
      let tokens = try randomTokens(tokenizer, length: length, seed: 3)
      try mapper.validate(tokens.span)
      let positions = tokens.count - 1
      for (g, order) in inputOrders.enumerated() {
        var rows = [UInt32](repeating: .max, count: positions)
        var span = rows.mutableSpan
        mapper.mapRows(table: g, tokens: tokens.span, into: &span)
        let expected = try (0..<positions).map { try slow.row(tokens, $0, order: order) }
        #expect(rows == expected)
        #expect(rows.allSatisfy { Int($0) < mapper.tables[g].rows })
        incremental.reset()
        let pushed = tokens.dropLast().map { token in
          incremental.push(token)
          return incremental.row(of: g)
        }
        #expect(pushed == expected)
      }
      var labels = [UInt32](repeating: .max, count: positions)
      var span = labels.mutableSpan
      mapper.mapLabels(tokens: tokens.span, into: &span)
      #expect(labels == (try (0..<positions).map { try slow.label(tokens, $0) }))
      #expect(labels.allSatisfy { Int($0) < mapper.labels && $0 != 0 })
    }
  }

  @Test func tableSizesOfThePaper() throws {
    let one = try NGramVocabulary(alphabet: 3, order: 1)
    let hierarchical = try RowMapper(base: one, inputOrders: [1, 2, 3], outputOrder: 3)
    #expect(hierarchical.tables.map(\.rows) == [5, 14, 41])
    #expect(hierarchical.labels == 41)
    #expect(try RowMapper(base: one, inputOrders: [1], outputOrder: 1).labels == 5)
    let two = try RowMapper(
      base: NGramVocabulary(alphabet: 3, order: 2), inputOrders: [2], outputOrder: 1)
    #expect(two.tables.map(\.rows) == [14 * 14] && two.labels == 14)
    let three = try RowMapper(
      base: NGramVocabulary(alphabet: 3, order: 3), inputOrders: [2], outputOrder: 1)
    #expect(three.tables.map(\.rows) == [41 * 41] && three.labels == 41)
  }

  /// Different windows never share a row, not even at the start of a document.
  @Test func nothingCollides() throws {
    for baseOrder in [1, 2] {
      let tokenizer = try NGramTokenizer(alphabet: Alphabet([1, 2]), order: baseOrder)
      let mapper = try RowMapper(base: tokenizer.vocabulary, inputOrders: [2], outputOrder: 1)
      var windows: [UInt32: [UInt32]] = [:]
      for length in 0..<7 {
        for bits in 0..<(1 << length) {
          let tokens = try tokenizer.encode((0..<length).map { UInt8((bits >> $0) & 1) + 1 })
          var rows = [UInt32](repeating: 0, count: tokens.count - 1)
          var span = rows.mutableSpan
          mapper.mapRows(table: 0, tokens: tokens.span, into: &span)
          for t in rows.indices {
            // Over 1-grams the row of a full window does not say whether BOS stands before it.
            let start = max(baseOrder == 1 && t > 0 ? 1 : 0, t - 1)
            let window = Array(tokens[start...t])
            #expect(windows[rows[t], default: window] == window)
            windows[rows[t]] = window
          }
        }
      }
    }
  }

  @Test func anyVocabulary() throws {
    let mapper = try RowMapper(tokenVocabulary: 1000, inputOrders: [1, 2, 3])
    #expect(mapper.tables.map(\.rows) == [1000, 1_000_000, 1_000_000_000])
    let tokens: [UInt32] = [0, 999, 998, 997, 1]
    var rows = [UInt32](repeating: 0, count: 4)
    var span = rows.mutableSpan
    mapper.mapRows(table: 2, tokens: tokens.span, into: &span)
    #expect(rows == [0, 999, 999_998, 999_998_997])
  }

  @Test func refusesBadOrdersAndOverflow() throws {
    let one = try NGramVocabulary(alphabet: 3, order: 1)
    let three = try NGramVocabulary(alphabet: 3, order: 3)
    #expect(throws: UserError.self) { try RowMapper(base: one, inputOrders: [0], outputOrder: 1) }
    #expect(throws: UserError.self) { try RowMapper(base: three, inputOrders: [0], outputOrder: 1) }
    #expect(throws: UserError.self) { try RowMapper(base: one, inputOrders: [], outputOrder: 1) }
    #expect(throws: UserError.self) {
      try RowMapper(base: one, inputOrders: [2, 2], outputOrder: 1)
    }
    #expect(throws: UserError.self) { try RowMapper(base: one, inputOrders: [1], outputOrder: 0) }
    #expect(throws: UserError.self) { try RowMapper(base: three, inputOrders: [1], outputOrder: 2) }
    #expect(throws: UserError.self) { try RowMapper(base: three, inputOrders: [6], outputOrder: 1) }
    #expect(throws: UserError.self) { try RowMapper(base: one, inputOrders: [20], outputOrder: 1) }
    #expect(throws: UserError.self) { try RowMapper(tokenVocabulary: 65537, inputOrders: [2]) }
    #expect(throws: Never.self) { try RowMapper(tokenVocabulary: 65536, inputOrders: [2]) }
  }

  @Test(arguments: [
    [], [0], [0, 2], [2, 1], [0, 0, 1], [0, 1, 1], [0, 5, 1], [0, 2, 255, 1], [1, 1],
  ])
  func refusesForeignDocuments(tokens: [UInt32]) throws {
    let mapper = try RowMapper(
      base: NGramVocabulary(alphabet: 3, order: 1), inputOrders: [1], outputOrder: 1)
    #expect(throws: UserError.self) { try mapper.validate(tokens.span) }
  }
}
