import Support

/// How far the n-grams of a window look back, which is cut from a longer document.
package enum LookBack: String, CaseIterable, Sendable {
  /// To tokens before the window, which a trunk does not see.
  case document
  /// To the window's first token: before it all are 0, as before the start of a document.
  case window
}

/// What a model's lanes hold of a map set of text behind the token.
package enum TextColumns: Sendable, Equatable {
  /// Nothing.
  case tokens
  /// The row in each table of over-encoding, whose n-grams look back so far.
  case tables(OverEncodingLayout, LookBack)
  /// The length of the longest f-gram that ends there, up to so many tokens; 1 where there is none.
  case matches(longest: Int)
  /// Both, the length first.
  case matchesAndTables(longest: Int, OverEncodingLayout, LookBack)

  package var longestMatch: Int? {
    switch self {
    case .tokens, .tables: nil
    case .matches(let longest), .matchesAndTables(let longest, _, _): longest
    }
  }
}

/// What the metadata of a map set over byte-pair tokens says: the vocabulary, and what its columns can
/// feed.
package struct TextMap: Sendable, Equatable {
  /// What the columns between token and label hold: `content` in a configuration and in the metadata.
  package enum Content: String, CaseIterable, Sendable {
    /// "gram2" … "gram<n>": exact ids, which serve tables of any size.
    case ngramIDs
    /// "input1" …: the rows of one choice of tables.
    case overEncoding
    /// "match": the length of the longest f-gram that ends there, 1 where there is none; behind it the columns
    /// of `ngramIDs` where there is an order.
    case fGrams
  }

  package enum Columns: Sendable, Equatable {
    case grams(order: Int)
    /// The widths of the layout mean nothing.
    case rows(OverEncodingLayout)
    /// Of a set of f-grams up to so many tokens, the `size` most frequent ones of the discover set `id`; and
    /// exact ids up to an order, where there is one.
    case matches(longest: Int, size: Int, id: String, order: Int?)

    /// Of exact n-gram ids.
    var order: Int? {
      switch self {
      case .grams(let order): order
      case .matches(_, _, _, let order): order
      case .rows: nil
      }
    }
  }

  /// V.
  package let vocabulary: Int
  /// Id of the tokenizer.
  package let tokenizer: String
  /// Bytes of text of each label.
  package let labelBytes: [Int]
  package let columns: Columns

  /// Reads the metadata; nil for a set without `content`, of a grammar's symbols.
  ///
  /// - Throws: `UserError` for metadata that contradict themselves.
  package init?(_ metadata: ConfigValue, source: String) throws {
    var reader = try ConfigReader(metadata, source: source, path: "metadata")
    guard let content = try reader.optionalChoice("content", Content.self) else { return nil }
    vocabulary = try reader.int("vocabulary", in: 2...OverEncodingLayout.largestModulus)
    tokenizer = try reader.string("tokenizer")
    labelBytes = try reader.ints("labelBytes", in: 0...Int.max)
    guard labelBytes.count == vocabulary else {
      throw reader.fault(
        "labelBytes", expected: "\(vocabulary) counts, one a token", found: "\(labelBytes.count)",
        remedy: nil)
    }
    switch content {
    case .ngramIDs: columns = .grams(order: try reader.int("order", in: 2...64))
    case .overEncoding:
      columns = .rows(try OverEncodingLayout(rowsOf: &reader, vocabulary: vocabulary))
    case .fGrams:
      columns = .matches(
        longest: try reader.int("longest", in: 2...8),
        size: try reader.int("size", in: 0...Int(Int32.max)), id: try reader.string("fgrams"),
        order: reader.has("order") ? try reader.int("order", in: 2...64) : nil)
    }
  }

  /// The column that row ids of an embedder are read from, and the moduli still to be taken.
  package struct Source: Sendable, Equatable {
    package let column: String
    package let modulus: Modulus?
    /// Of the ids of a window's first rows, before that: V, V², …; none for ids that look further back.
    package let cuts: [Modulus]
  }

  /// Where what lanes hold behind the token comes from, and the number of its rows or lengths.
  ///
  /// - Parameter path: the index of the set, for messages.
  /// - Throws: `UserError` when the set does not have it.
  package func sources(
    of wanted: TextColumns, in path: String
  ) throws(UserError) -> [(source: Source, rows: Int)] {
    switch wanted {
    case .tokens: return []
    case .tables(let layout, let lookBack):
      return zip(
        try sources(of: layout, lookBack: lookBack, in: path), layout.embedders.map(\.modulus)
      ).map { ($0, $1) }
    case .matches(let longest): return [try match(longest, in: path)]
    case .matchesAndTables(let longest, let layout, let lookBack):
      return [try match(longest, in: path)]
        + (try sources(of: .tables(layout, lookBack), in: path))
    }
  }

  private func match(
    _ longest: Int, in path: String
  ) throws(UserError) -> (source: Source, rows: Int) {
    guard case .matches(longest, _, _, _) = columns else {
      throw UserError(
        "\(path): map set without the model's f-grams",
        expected: "content \(Content.fGrams.rawValue) with longest \(longest)",
        found: columns.description,
        remedy: "Map with content \(Content.fGrams.rawValue), and model.fGrams.longest as there.")
    }
    return (Source(column: "match", modulus: nil, cuts: []), longest + 1)
  }

  /// Where the rows of each embedder of `layout` come from.
  ///
  /// - Parameter path: the index of the set, for messages.
  /// - Throws: `UserError` when the set is of another vocabulary, lacks an order, holds the rows of
  ///   other tables, or rows where look-back is to be cut.
  package func sources(
    of layout: OverEncodingLayout, lookBack: LookBack = .document, in path: String
  ) throws(UserError) -> [Source] {
    guard layout.vocabulary == vocabulary else {
      throw UserError(
        "\(path): map set of another vocabulary",
        expected: "\(layout.vocabulary) tokens, as the model", found: "\(vocabulary)",
        remedy: "Map the tokens of the model's tokenizer.")
    }
    switch columns {
    case .grams, .matches:
      let order = columns.order ?? 1
      guard layout.order <= order else {
        throw UserError(
          "\(path): map set without the model's n-grams",
          expected: "order \(layout.order) or more", found: columns.description,
          remedy: "Map with order \(layout.order).")
      }
      // The oldest tokens of an id are its highest digits to base V.
      let grams = try ExactGrams(vocabulary: vocabulary, order: order)
      return layout.embedders.map { embedder in
        let cuts = lookBack == .window ? 1..<embedder.order : 1..<1
        return Source(
          column: "gram\(embedder.order)", modulus: Modulus(embedder.modulus),
          cuts: cuts.map { Modulus(grams.cardinality(order: $0)) })
      }
    case .rows(let mapped):
      guard mapped.hasSameRows(as: layout) else {
        throw UserError(
          "\(path): map set of other over-encoding tables",
          expected: Self.tables(layout), found: Self.tables(mapped),
          remedy: "Map with the model's order, slices, rows and moduli, or with content ngramIDs.")
      }
      guard lookBack == .document else {
        throw UserError(
          "\(path): map set of rows of tables",
          expected: "exact n-gram ids, which can be cut at the start of a window",
          found: "content \(Content.overEncoding.rawValue)",
          remedy: "Map with content \(Content.ngramIDs.rawValue), or set "
            + "model.overEncoding.lookBack to \(LookBack.document.rawValue).")
      }
      return layout.embedders.indices.map {
        Source(column: "input\($0 + 1)", modulus: nil, cuts: [])
      }
    }
  }

  private static func tables(_ layout: OverEncodingLayout) -> String {
    "(order, modulus) "
      + layout.embedders.map { "(\($0.order), \($0.modulus))" }.joined(separator: " ")
  }
}

extension TextMap.Columns: CustomStringConvertible {
  /// For messages.
  package var description: String {
    switch self {
    case .grams(let order): "n-gram ids up to order \(order)"
    case .rows: "rows of over-encoding tables"
    case .matches(let longest, let size, let id, let order):
      "f-grams of longest \(longest), size \(size), of \(id)"
        + (order.map { ", and n-gram ids up to order \($0)" } ?? "")
    }
  }
}
