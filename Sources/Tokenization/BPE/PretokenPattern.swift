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
  /// o200k_base, GPT-4o, gpt-oss, Llama 4: words end where lower case is followed by upper case.
  case o200k
  /// Llama 3, which cuts as cl100k in `tokenizer.json` files does.
  case llama3
  /// Qwen, Qwen 2 and later: as cl100k, each digit by itself.
  case qwen2
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
    case .o200k:
      [
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
      ]
    case .llama3: [PretokenPattern.cl100k.published[0]]
    case .qwen2:
      [
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
      ]
    case .none: []
    }
  }

  /// Whether both cut every text the same way.
  package func cuts(as other: PretokenPattern) -> Bool {
    let own: PretokenPattern = self == .llama3 ? .cl100k : self
    return own == (other == .llama3 ? .cl100k : other)
  }

  /// The case that cuts as `regex` does, the first of those that do. Throws when no implemented pattern
  /// does.
  package init(regex: [UInt8], source: String) throws {
    let found = Self.allCases.first { pattern in
      pattern.published.contains { $0.utf8.elementsEqual(regex) }
    }
    guard let found else {
      throw UserError(
        "\(source): this pre-tokenizer pattern is not implemented",
        expected: "the published pattern of GPT-2, cl100k, o200k, Llama 3 or Qwen 2",
        found: String(decoding: regex, as: UTF8.self),
        remedy: "Use a tokenizer with one of these patterns.")
    }
    self = found
  }
}
