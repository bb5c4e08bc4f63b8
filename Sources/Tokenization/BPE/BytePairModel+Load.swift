import Foundation
import Support

extension BytePairModel {
  /// Reads a tokenizer: `tokenizer.json` of Hugging Face tokenizers, `*.tiktoken`, or `vocab.json` (also
  /// `encoder.json`) with `merges.txt` (`vocab.bpe`) beside it; of a directory the first of these.
  ///
  /// `pattern` is for files that do not name theirs: `.tiktoken` files, of which those of published
  /// sizes need none, and `vocab.json`, for which it is GPT-2's unless given. Post-processors,
  /// truncation and padding are not applied.
  package static func load(path: String, pattern: PretokenPattern? = nil) throws -> BytePairModel {
    try TokenizerSource(path: path).model(pattern: pattern)
  }

  static func parse(_ bytes: [UInt8], source: String) throws -> JSONText.Value {
    do {
      return try bytes.withUnsafeBufferPointer {
        (bytes) throws(JSONText.Malformed) in try JSONText.parse(bytes)
      }
    } catch {
      let line = bytes.prefix(error.offset).count { $0 == 0x0A } + 1
      throw UserError("\(source):\(line): not JSON: \(error.what)")
    }
  }

  // MARK: vocab.json and merges.txt

  static func vocabularyAndMerges(
    _ json: JSONText.Value, source: String, bytes: Int, merges: [UInt8], mergesSource: String,
    pattern: PretokenPattern?
  ) throws -> BytePairModel {
    let vocabulary = try Vocabulary(json, source: source, fileBytes: bytes)
    let end = Array("<|endoftext|>".utf8)
    var added: [AddedToken] = []
    if let id = vocabulary.ids[end] {
      added.append(AddedToken(id: id, content: end, special: true))
    }
    let pairs = try ByteLines(merges).enumerated().compactMap { index, line in
      line.isEmpty ? nil : try Vocabulary.merge(line, "\(mergesSource):\(index + 1)")
    }
    return try vocabulary.model(
      merges: pairs, pattern: pattern ?? .gpt2, added: added, composes: false,
      wholePretokens: false)
  }

  // MARK: .tiktoken

  static func tiktoken(
    _ bytes: [UInt8], source: String, pattern: PretokenPattern?
  ) throws -> BytePairModel {
    let limit = Vocabulary.ids(inFileOf: bytes.count)
    var tokens: [[UInt8]?] = []
    var seen: [[UInt8]: Int] = [:]
    for (index, line) in ByteLines(bytes).enumerated() where !line.isEmpty {
      let parts = line.split(separator: 0x20)
      guard parts.count == 2, let token = Data(base64Encoded: Data(parts[0])), !token.isEmpty,
        let rank = Int(String(decoding: parts[1], as: UTF8.self)), limit ~= rank
      else {
        throw UserError(
          "\(source):\(index + 1): not a token", expected: "base64 of its bytes, a space, its rank",
          found: String(decoding: line.prefix(80), as: UTF8.self))
      }
      while tokens.count <= rank { tokens.append(nil) }
      if tokens[rank] != nil { throw UserError("\(source):\(index + 1): duplicate id \(rank)") }
      if let other = seen.updateValue(rank, forKey: Array(token)) {
        throw UserError("\(source):\(index + 1): ids \(other) and \(rank) have the same bytes")
      }
      tokens[rank] = Array(token)
    }
    let published = PublishedRanks.all.first { $0.count == tokens.count }
    guard let pattern = pattern ?? published?.pattern else {
      throw UserError(
        "\(source): \(tokens.count) tokens, and .tiktoken files do not name their pattern",
        remedy: "Pass --pattern \(PretokenPattern.allCases.map(\.rawValue).joined(separator: "|"))")
    }
    let special = published?.pattern == pattern ? published?.special ?? [] : []
    return BytePairModel(
      modelTokens: tokens, pairs: ranked(TokenTable(tokens)), rankCount: tokens.count,
      pattern: pattern,
      addedTokens: special.map { AddedToken(id: $1, content: Array($0.utf8), special: true) },
      composes: false, wholePretokens: true)
  }
}

/// What is known of a published file of ranks, told by its size, and written in no such file.
private struct PublishedRanks {
  let count: Int
  let pattern: PretokenPattern
  let special: [(String, UInt32)]

  static let all = [
    PublishedRanks(count: 50_256, pattern: .gpt2, special: [("<|endoftext|>", 50_256)]),
    PublishedRanks(
      count: 100_256, pattern: .cl100kTiktoken,
      special: [
        ("<|endoftext|>", 100_257), ("<|fim_prefix|>", 100_258), ("<|fim_middle|>", 100_259),
        ("<|fim_suffix|>", 100_260), ("<|endofprompt|>", 100_276),
      ]),
    PublishedRanks(
      count: 199_998, pattern: .o200k,
      special: [("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)]),
    // Llama 3: the tokens that all its releases have in common.
    PublishedRanks(
      count: 128_000, pattern: .llama3,
      special: [
        ("<|begin_of_text|>", 128_000), ("<|end_of_text|>", 128_001),
        ("<|start_header_id|>", 128_006), ("<|end_header_id|>", 128_007), ("<|eot_id|>", 128_009),
      ]),
    // Llama 4.
    PublishedRanks(
      count: 200_000, pattern: .o200k,
      special: [("<|begin_of_text|>", 200_000), ("<|end_of_text|>", 200_001)]),
    // qwen.tiktoken
    PublishedRanks(
      count: 151_643, pattern: .qwen2,
      special: [
        ("<|endoftext|>", 151_643), ("<|im_start|>", 151_644), ("<|im_end|>", 151_645),
      ]),
  ]
}
