import Contracts
import Shards
import Support

/// A token set of kind bpe, opened and checked.
struct TextTokens {
  let set: ShardSet
  let vocabulary: Int
  /// Id of the tokenizer that made it.
  let tokenizer: String
  /// The token behind every document, if there is one.
  let endOfText: Int?

  /// - Throws: `UserError` for any other set.
  init(_ set: ShardSet) throws {
    var metadata = try set.metadataReader()
    let kind = try metadata.string("kind")
    guard kind == DataKind.text.rawValue, set.columns.map(\.name) == ["token"],
      set.element == .u16 || set.element == .u32
    else {
      throw UserError(
        "\(set.directory): token set", expected: "byte-pair tokens in one column 'token'",
        found: "kind '\(kind)', columns \(set.columns.map(\.name)) of \(set.element.rawValue)",
        remedy: "Give the output of ott-tokenize with kind \(DataKind.text.rawValue).")
    }
    vocabulary = try metadata.int("vocabulary", in: 1...1 << 31)
    guard set.columns[0].cardinality == vocabulary else {
      throw metadata.fault(
        "vocabulary", expected: "\(set.columns[0].cardinality ?? 0), the ids of column 'token'",
        found: "\(vocabulary)", remedy: StageIndex.remedy(set.directory))
    }
    tokenizer = try metadata.string("tokenizer")
    endOfText = try metadata.optionalInt("endOfText")
    self.set = set
  }
}
