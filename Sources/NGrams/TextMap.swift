import Support

/// What the metadata of a map set over byte-pair tokens says: the vocabulary, and what its columns can
/// feed.
package struct TextMap: Sendable, Equatable {
  /// What the columns between token and label hold: `content` in a configuration and in the metadata.
  package enum Content: String, CaseIterable, Sendable {
    /// "gram2" … "gram<n>": exact ids, which serve tables of any size.
    case ngramIDs
    /// "input1" …: the rows of one choice of tables.
    case overEncoding
  }

  package enum Columns: Sendable, Equatable {
    case grams(order: Int)
    /// The widths of the layout mean nothing.
    case rows(OverEncodingLayout)
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
    }
  }

  /// The column that row ids of an embedder are read from, and the modulus still to be taken.
  package struct Source: Sendable, Equatable {
    package let column: String
    package let modulus: Modulus?
  }

  /// Where the rows of each embedder of `layout` come from.
  ///
  /// - Parameter path: the index of the set, for messages.
  /// - Throws: `UserError` when the set is of another vocabulary, lacks an order, or holds the rows of
  ///   other tables.
  package func sources(
    of layout: OverEncodingLayout, in path: String
  ) throws(UserError) -> [Source] {
    guard layout.vocabulary == vocabulary else {
      throw UserError(
        "\(path): map set of another vocabulary",
        expected: "\(layout.vocabulary) tokens, as the model", found: "\(vocabulary)",
        remedy: "Map the tokens of the model's tokenizer.")
    }
    switch columns {
    case .grams(let order):
      guard layout.order <= order else {
        throw UserError(
          "\(path): map set without the model's n-grams",
          expected: "order \(layout.order) or more", found: "order \(order)",
          remedy: "Map with order \(layout.order).")
      }
      return layout.embedders.map {
        Source(column: "gram\($0.order)", modulus: Modulus($0.modulus))
      }
    case .rows(let mapped):
      guard mapped.hasSameRows(as: layout) else {
        throw UserError(
          "\(path): map set of other over-encoding tables",
          expected: Self.tables(layout), found: Self.tables(mapped),
          remedy: "Map with the model's order, slices, rows and moduli, or with content ngramIDs.")
      }
      return layout.embedders.indices.map { Source(column: "input\($0 + 1)", modulus: nil) }
    }
  }

  private static func tables(_ layout: OverEncodingLayout) -> String {
    "(order, modulus) "
      + layout.embedders.map { "(\($0.order), \($0.modulus))" }.joined(separator: " ")
  }
}
