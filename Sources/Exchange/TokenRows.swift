import Evaluation
import Models
import NGrams
import Support

/// How the tokens of a document become the rows that a run's model reads, one document at a time.
enum TokenRows {
  /// Each token is its own row.
  case tokens(vocabulary: Int)
  /// A token, and its rows in the tables of over-encoding.
  case overEncoded(OverEncodingMapper)
  /// The rows of n-grams of a grammar's tokens.
  case nGrams(RowMapper, name: String)
  /// A token, 1 + the number of the longest f-gram that ends there, or 0, and rows of tables beside it.
  case fGrams(FGramSet, OverEncodingMapper?)

  /// - Parameters:
  ///   - data: metadata of the map set that the run was trained on.
  ///   - fGrams: of a model that has them.
  ///   - source: the run's index, for messages.
  init(
    _ model: ModelConfiguration, data: ConfigValue, fGrams: FGramSet?, source: String
  ) throws {
    let mapper = model.overEncoding.map { OverEncodingMapper($0.layout) }
    if let fGrams {
      self = .fGrams(fGrams, mapper)
    } else if let mapper {
      self = .overEncoded(mapper)
    } else if try TextMap(data, source: source) != nil {
      self = .tokens(vocabulary: model.labels)
    } else {
      self = .nGrams(
        try Variant(mapMetadata: data, source: source).mapper,
        name: type(of: model.trunk).tokenTable)
    }
  }

  /// Tokens that a document may have.
  var vocabulary: Int {
    switch self {
    case .tokens(let vocabulary): vocabulary
    case .overEncoded(let mapper): mapper.layout.vocabulary
    case .nGrams(let mapper, _): mapper.tokenVocabulary
    case .fGrams(let set, _): set.vocabulary
    }
  }

  /// Tokens of a label.
  var labelTokens: Int {
    if case .nGrams(let mapper, _) = self { mapper.outputOrder } else { 1 }
  }

  /// Columns of a position.
  var columns: Int {
    switch self {
    case .tokens: 1
    case .overEncoded(let mapper): 1 + mapper.layout.embedders.count
    case .nGrams(let mapper, _): mapper.tables.count
    case .fGrams(_, let mapper): 2 + (mapper?.layout.embedders.count ?? 0)
    }
  }

  /// All f-grams by number; none of other inputs.
  var fGrams: [[Int32]] {
    guard case .fGrams(let set, _) = self else { return [] }
    return (0..<set.count).map { set.tokens(of: $0).map { Int32(bitPattern: $0) } }
  }

  /// The tables, but for a token's own.
  ///
  /// - Parameter width: columns of the model.
  func published(width: Int) -> [PublishedTable] {
    switch self {
    case .tokens, .fGrams: []
    case .overEncoded(let mapper):
      mapper.layout.embedders.enumerated().map { i, embedder in
        PublishedTable(
          name: "oe_embedders.\(i)", order: embedder.order, radix: mapper.layout.vocabulary,
          rows: embedder.modulus, width: embedder.width, modulus: embedder.modulus, bias: [])
      }
    case .nGrams(let mapper, let name):
      mapper.tables.map { table in
        PublishedTable(
          name: table.order == 1 ? name : "\(name)_\(table.order)", order: table.order,
          radix: table.radixOfTokens, rows: table.rows, width: width, modulus: nil,
          bias: table.biases)
      }
    }
  }
}

/// The rows of a document that grows token by token.
struct TokenHistory {
  private var state: State

  private enum State {
    case token(UInt32)
    case overEncoded(OverEncodingHistory, UInt32)
    case nGrams(IncrementalMapper)
    case fGrams(LongestMatch, OverEncodingHistory?, UInt32)
  }

  init(_ rows: TokenRows) {
    switch rows {
    case .tokens: state = .token(0)
    case .overEncoded(let mapper): state = .overEncoded(OverEncodingHistory(mapper), 0)
    case .nGrams(let mapper, _): state = .nGrams(IncrementalMapper(mapper))
    case .fGrams(let set, let mapper):
      state = .fGrams(LongestMatch(set), mapper.map(OverEncodingHistory.init), 0)
    }
  }

  /// Precondition: below the vocabulary; of a grammar's, 0 at first and no mark later.
  mutating func push(_ token: UInt32) {
    switch state {
    case .token: state = .token(token)
    case .overEncoded(var history, _):
      history.push(token)
      state = .overEncoded(history, token)
    case .nGrams(var mapper):
      mapper.push(token)
      state = .nGrams(mapper)
    case .fGrams(var match, var history, _):
      match.push(token)
      history?.push(token)
      state = .fGrams(match, history, token)
    }
  }

  /// The row in column `column` at the position of the last token.
  func row(_ column: Int) -> UInt32 {
    switch state {
    case .token(let token): token
    case .overEncoded(let history, let token): column == 0 ? token : history.row(of: column - 1)
    case .nGrams(let mapper): mapper.row(of: column)
    case .fGrams(let match, let history, let token):
      switch column {
      case 0: token
      case 1: match.length < 2 ? 0 : UInt32(match.id(ofLength: match.length) + 1)
      default: history?.row(of: column - 2) ?? 0
      }
    }
  }
}
