import NGrams

/// Tokens of tasks as the rows that a model reads: the token, and what its input has behind it.
///
/// F-grams are looked up by what generates, so that all those that tasks have are collected: their rows
/// follow from the weights.
struct TaskRows {
  private var match: LongestMatch?
  private let tables: (mapper: OverEncodingMapper, lookBack: LookBack)?
  /// F-grams that came, in the order of their first occurrence.
  private(set) var fGrams: [[Int32]] = []
  /// By number in the set, 1 + the place in `fGrams`.
  private var places: [Int: Int32] = [:]

  /// - Parameter fGrams: the set whose matches `wanted` has; only then.
  init(_ wanted: TextColumns, fGrams: FGramSet?) {
    precondition((wanted.longestMatch == nil) == (fGrams == nil), "matches of no set")
    match = fGrams.map(LongestMatch.init)
    switch wanted {
    case .tokens, .matches: tables = nil
    case .tables(let layout, let lookBack), .matchesAndTables(_, let layout, let lookBack):
      tables = (OverEncodingMapper(layout), lookBack)
    }
  }

  /// The column of the first table.
  private var firstTable: Int { match == nil ? 1 : 2 }

  /// Columns of a row.
  var width: Int { firstTable + (tables?.mapper.layout.embedders.count ?? 0) }

  /// Whether a stretch that is cut out of a text has the rows of the whole text.
  var looksBack: Bool { match == nil && tables?.lookBack != .window }

  /// (tokens − 1, width): the rows of all tokens but the last.
  mutating func rows(of tokens: [UInt32]) -> [Int32] {
    let (positions, width) = (OverEncodingMapper.positions(ofTokens: tokens.count), width)
    var result = [Int32](repeating: 0, count: positions * width)
    for t in 0..<positions { result[t * width] = Int32(bitPattern: tokens[t]) }
    addMatches(tokens, positions, to: &result)
    guard let mapper = tables?.mapper else { return result }
    var sums = [UInt64](repeating: 0, count: positions)
    var rows = [UInt32](repeating: 0, count: positions)
    for e in mapper.layout.embedders.indices {
      var sumSpan = sums.mutableSpan
      var rowSpan = rows.mutableSpan
      mapper.mapRows(embedder: e, tokens: tokens.span, sums: &sumSpan, into: &rowSpan)
      for t in 0..<positions {
        result[t * width + firstTable + e] = Int32(bitPattern: rows[t])
      }
    }
    return result
  }

  private mutating func addMatches(
    _ tokens: [UInt32], _ positions: Int, to result: inout [Int32]
  ) {
    guard var match else { return }
    match.reset()
    for t in 0..<positions {
      let length = match.push(tokens[t])
      if length < 2 { continue }
      let id = match.id(ofLength: length)
      if places[id] == nil {
        fGrams.append(tokens[t + 1 - length...t].map { Int32(bitPattern: $0) })
        places[id] = Int32(fGrams.count)
      }
      result[t * width + 1] = places[id] ?? 0
    }
  }
}
