import Support

/// The pre-tokenizer patterns that are implemented by hand.
///
/// Text is cut into consecutive pretokens, and merges never cross a cut. Each case stands for the
/// regular expressions in `published`, all of which cut every text the same way.
package enum PretokenPattern: String, CaseIterable, Sendable {
  /// GPT-2, GPT-NeoX: runs of letters, numbers or other characters, with one space in front.
  case gpt2
  /// cl100k_base and OLMo 2 in `tokenizer.json` files.
  case cl100k
  /// cl100k_base as tiktoken publishes it: white space at the end of the text is one pretoken even
  /// when it holds line ends.
  case cl100kTiktoken = "cl100k-tiktoken"
  /// The whole text is one pretoken.
  case none

  /// The regular expressions, as vocabularies name them; the first is the one written to files.
  package var published: [String] {
    switch self {
    case .gpt2:
      [
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
        #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
        #"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
        #"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"#,
      ]
    case .cl100k:
      [
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#,
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      ]
    case .cl100kTiktoken:
      [
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"#
      ]
    case .none: []
    }
  }

  /// The case that cuts as `regex` does. Throws when no implemented pattern does.
  package init(regex: String, source: String) throws {
    guard let pattern = Self.allCases.first(where: { $0.published.contains(regex) }) else {
      throw UserError(
        "\(source): this pre-tokenizer pattern is not implemented",
        expected: "the published pattern of GPT-2 or cl100k", found: regex,
        remedy: "Use a tokenizer with one of these patterns.")
    }
    self = pattern
  }
}
