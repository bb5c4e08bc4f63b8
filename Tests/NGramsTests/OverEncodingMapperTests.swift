import NGrams
import Support
import Testing

private func randomTokens(_ count: Int, below vocabulary: Int) -> [UInt32] {
  var stream = RandomStream(seed: 11, name: "tokens-\(vocabulary)", index: UInt64(count))
  // The largest ids too: they are the ones that overflow.
  return (0..<count).map { _ in
    let token = stream.below(UInt32(vocabulary))
    return stream.below(4) == 0 ? UInt32(vocabulary - 1) : token
  }
}

private func rows(_ mapper: OverEncodingMapper, _ e: Int, _ tokens: [UInt32]) -> [UInt32] {
  let positions = max(0, tokens.count - 1)
  var rows = [UInt32](repeating: .max, count: positions + 3)
  var sums = [UInt64](repeating: .max, count: positions + 3)
  var span = rows.mutableSpan
  var scratch = sums.mutableSpan
  mapper.mapRows(embedder: e, tokens: tokens.span, sums: &scratch, into: &span)
  #expect(rows[positions...].allSatisfy { $0 == .max }, "nothing behind the positions")
  return Array(rows[..<positions])
}

@Suite struct OverEncodingMapperTests {
  /// (V, n, k, m): small, a power of two, the paper's, V^n far beyond 64 bits, and all at their limits.
  static let cases = [
    (2, 2, 1, 1), (3, 4, 2, 7), (256, 3, 1, 255), (4096, 3, 2, 100_000), (50280, 5, 4, 12_800_000),
    (100_278, 9, 1, 3_200_000), (163_840, 64, 1, 20_000_003),
    (Int(Int32.max), 6, 1, Int(Int32.max) - 20), (Int(Int32.max), 64, 1, 2),
  ]

  @Test(arguments: cases.indices, OverEncodingLayout.Moduli.allCases)
  func exactForAnyVocabularyAndOrder(index: Int, moduli: OverEncodingLayout.Moduli) throws {
    let (vocabulary, order, slices, m) = Self.cases[index]
    if moduli == .equal && slices > 1 { return }
    if m > 1 << 30 && moduli == .coprime { return }  // No room for the rule below 2³¹.
    let layout = try OverEncodingLayout(
      vocabulary: vocabulary, order: order, slices: slices, rows: m < 1 << 30 ? m : m - 200,
      width: slices * (order - 1), moduli: moduli)
    let mapper = OverEncodingMapper(layout)
    var history = OverEncodingHistory(mapper)
    for length in [0, 1, 2, 3, 4, 5, 17, 70] {
      let tokens = randomTokens(length, below: vocabulary)
      let grams = (2...order).map { o in
        tokens.dropLast().indices.map {
          DecimalNumber.gram(tokens, $0, order: o, vocabulary: vocabulary)
        }
      }
      let mapped = layout.embedders.indices.map { rows(mapper, $0, tokens) }
      for (e, embedder) in layout.embedders.enumerated() {
        let expected = grams[embedder.order - 2].map { UInt32($0.remainder(embedder.modulus)) }
        #expect(mapped[e] == expected, "embedder \(e), \(length) tokens")
      }
      history.reset()
      for t in tokens.dropLast().indices {
        history.push(tokens[t])
        #expect(layout.embedders.indices.map { history.row(of: $0) } == mapped.map { $0[t] })
      }
    }
  }

  @Test func narrowTypesSayTheSame() throws {
    let layout = try OverEncodingLayout(
      vocabulary: 999, order: 3, slices: 2, rows: 5000, width: 4, moduli: .coprime)
    let mapper = OverEncodingMapper(layout)
    let tokens = randomTokens(33, below: 999)
    let narrow = tokens.map { UInt16($0) }
    for e in 0..<4 {
      var found = [UInt16](repeating: 0, count: 32)
      var sums = [UInt64](repeating: 0, count: 32)
      var span = found.mutableSpan
      var scratch = sums.mutableSpan
      mapper.mapRows(embedder: e, tokens: narrow.span, sums: &scratch, into: &span)
      #expect(found.map(UInt32.init) == rows(mapper, e, tokens))
    }
  }

  @Test(arguments: [
    1, 2, 3, 5, 7, 255, 256, 257, 65_535, 1 << 20, (1 << 31) - 1, 1 << 32, 1 << 62, Int.max,
  ])
  func remaindersAreExact(value: Int) {
    let modulus = Modulus(value)
    let m = UInt64(value)
    var stream = RandomStream(seed: 1, name: "remainders", index: m)
    for base in [0, m, 2 &* m, UInt64.max / m * m, UInt64.max, 1 << 63, 1 << 32] {
      for x in [base &- 2, base &- 1, base, base &+ 1, base &+ 2] {
        #expect(modulus.remainder(x) == x % m)
      }
    }
    for _ in 0..<2000 {
      let x = UInt64(stream.below(.max)) << 32 | UInt64(stream.below(.max))
      #expect(modulus.remainder(x) == x % m)
    }
  }

  @Test(arguments: [(2, 62), (3, 2), (257, 7), (4096, 5), (55_108, 3), (2_097_151, 3)])
  func exactIDs(vocabulary: Int, order: Int) throws {
    let exact = try ExactGrams(vocabulary: vocabulary, order: order)
    for length in [0, 1, 2, 3, 4, 63, 64, 65] {
      let tokens = randomTokens(length, below: vocabulary)
      var shorter = tokens.dropLast().map(UInt64.init)
      for o in 2...order {
        var ids = [UInt64](repeating: .max, count: shorter.count)
        var span = ids.mutableSpan
        exact.extend(to: o, tokens: tokens.span, shorter: shorter.span, into: &span)
        #expect(
          ids.map { "\($0)" }
            == tokens.dropLast().indices.map {
              DecimalNumber.gram(tokens, $0, order: o, vocabulary: vocabulary).text
            })
        #expect(ids.allSatisfy { $0 < exact.cardinality(order: o) })
        shorter = ids
      }
    }
  }

  /// One set of exact ids serves every modulus: what the trainer relies on.
  @Test func rowsAreRemaindersOfExactIDs() throws {
    let tokens = randomTokens(200, below: 4096)
    let exact = try ExactGrams(vocabulary: 4096, order: 3)
    var bigrams = [UInt64](repeating: 0, count: 199)
    var trigrams = bigrams
    var span = bigrams.mutableSpan
    let plain = tokens.dropLast().map(UInt64.init)
    exact.extend(to: 2, tokens: tokens.span, shorter: plain.span, into: &span)
    var last = trigrams.mutableSpan
    exact.extend(to: 3, tokens: tokens.span, shorter: bigrams.span, into: &last)
    for m in [1, 1000, 4096, 1 << 20, 12_800_000] {
      let layout = try OverEncodingLayout(
        vocabulary: 4096, order: 3, slices: 2, rows: m, width: 4, moduli: .paper)
      let mapper = OverEncodingMapper(layout)
      for (e, embedder) in layout.embedders.enumerated() {
        let modulus = Modulus(embedder.modulus)
        let ids = embedder.order == 2 ? bigrams : trigrams
        #expect(rows(mapper, e, tokens) == ids.map { UInt32(modulus.remainder($0)) })
      }
    }
  }

  @Test func idsBeyondSixtyThreeBitsAreRefused() throws {
    _ = try ExactGrams(vocabulary: 3_037_000_499, order: 2)
    let error = #expect(throws: UserError.self) {
      try ExactGrams(vocabulary: 50_280, order: 5)
    }
    #expect(
      error?.description
        == "exact ids of 5-grams over 50280 tokens: expected at most 2^63 - 1 of them, "
        + "found 50280^5. Use content 'overEncoding', or order 4.")
    #expect(throws: UserError.self) { try ExactGrams(vocabulary: 2, order: 63) }
    #expect(throws: UserError.self) { try ExactGrams(vocabulary: 1, order: 2) }
    #expect(throws: UserError.self) { try ExactGrams(vocabulary: 5, order: 1) }
  }
}

@Suite struct RowStatisticsTests {
  /// Everything by dictionaries.
  @Test(arguments: [1, 2, 7, 50, 1000])
  func matchesCounting(m: Int) {
    var stream = RandomStream(seed: 2, name: "grams")
    let grams = (0..<501).map { _ in UInt64(stream.below(1 + stream.below(90))) }
    let found = RowStatistics(sortedGrams: grams.sorted(), modulus: Modulus(m))
    let counts = Dictionary(grams.map { ($0, 1) }, uniquingKeysWith: +)
    let byRow = Dictionary(grouping: counts.keys) { $0 % UInt64(m) }
    func updates(_ row: UInt64) -> Int { byRow[row, default: []].reduce(0) { $0 + counts[$1]! } }
    #expect(found.rows == m)
    #expect(found.positions == 501)
    #expect(found.distinctGrams == counts.count)
    #expect(found.rowsUsed == byRow.count)
    let shared = byRow.values.filter { $0.count > 1 }
    #expect(found.collidingGrams == shared.reduce(0) { $0 + $1.count })
    #expect(
      found.collidingPositions == shared.reduce(0) { $0 + $1.reduce(0) { $0 + counts[$1]! } })
    #expect(
      found.minorityPositions
        == byRow.values.reduce(0) { sum, ids in
          sum + ids.reduce(0) { $0 + counts[$1]! } - (ids.map { counts[$0]! }.max() ?? 0)
        })
    let used = byRow.keys.map(updates).sorted()
    #expect(found.updatesPerUsedRow.first == used.first)
    #expect(found.updatesPerUsedRow[2] == used[used.count / 2])
    #expect(found.updatesPerUsedRow.last == used.last)
    let seen = grams.map { updates($0 % UInt64(m)) }.sorted()
    #expect(found.updatesPerPosition == [0, 125, 250, 375, 500].map { seen[$0] })
  }

  @Test func emptyAndSingle() {
    let empty = RowStatistics(sortedGrams: [], modulus: Modulus(5))
    #expect(empty.rowsUsed == 0)
    #expect(empty.updatesPerUsedRow.isEmpty && empty.updatesPerPosition.isEmpty)
    let one = RowStatistics(sortedGrams: [9], modulus: Modulus(5))
    #expect(one.updatesPerUsedRow == [1, 1, 1, 1, 1])
    #expect(one.updatesPerPosition == [1, 1, 1, 1, 1])
    #expect(one.collidingGrams == 0 && one.minorityPositions == 0)
  }
}
