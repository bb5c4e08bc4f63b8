import NGrams

/// Tokens of tasks as the rows that a model reads: the token, and what its input has behind it.
///
/// F-grams are looked up by what generates, so that all those that tasks have are collected: their rows
/// follow from the weights.
struct TaskRows {
  private enum Columns {
    case tokens
    case tables(OverEncodingMapper, LookBack)
    case fGrams(LongestMatch)
  }

  private var columns: Columns
  /// F-grams that came, in the order of their first occurrence.
  private(set) var fGrams: [[Int32]] = []
  /// By number in the set, 1 + the place in `fGrams`.
  private var places: [Int: Int32] = [:]

  /// - Parameter fGrams: the set whose matches `wanted` has; only then.
  init(_ wanted: TextColumns, fGrams: FGramSet?) {
    switch wanted {
    case .tokens: columns = .tokens
    case .tables(let layout, let lookBack):
      columns = .tables(OverEncodingMapper(layout), lookBack)
    case .matches:
      guard let fGrams else { preconditionFailure("matches of no set") }
      columns = .fGrams(LongestMatch(fGrams))
    }
  }

  /// Columns of a row.
  var width: Int {
    switch columns {
    case .tokens: 1
    case .tables(let mapper, _): 1 + mapper.layout.embedders.count
    case .fGrams: 2
    }
  }

  /// Whether a stretch that is cut out of a text has the rows of the whole text.
  var looksBack: Bool {
    switch columns {
    case .tokens: true
    case .tables(_, let lookBack): lookBack == .document
    case .fGrams: false
    }
  }

  /// (tokens − 1, width): the rows of all tokens but the last.
  mutating func rows(of tokens: [UInt32]) -> [Int32] {
    let (positions, width) = (OverEncodingMapper.positions(ofTokens: tokens.count), width)
    var result = [Int32](repeating: 0, count: positions * width)
    for t in 0..<positions { result[t * width] = Int32(bitPattern: tokens[t]) }
    switch columns {
    case .tokens: break
    case .tables(let mapper, _):
      var sums = [UInt64](repeating: 0, count: positions)
      var rows = [UInt32](repeating: 0, count: positions)
      for e in 1..<width {
        var sumSpan = sums.mutableSpan
        var rowSpan = rows.mutableSpan
        mapper.mapRows(embedder: e - 1, tokens: tokens.span, sums: &sumSpan, into: &rowSpan)
        for t in 0..<positions { result[t * width + e] = Int32(bitPattern: rows[t]) }
      }
    case .fGrams(var match):
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
    return result
  }
}
