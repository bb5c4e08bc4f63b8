import Foundation
import Support

/// The result of training: special tokens, then the 256 bytes, then merged tokens, in id order. A
/// special token that is a byte, or that merges lead to, is that token too and stands in its place only.
package struct TrainedTokenizer: Sendable {
  package let training: BytePairTraining
  /// Of special tokens, the bytes that their spelling stands for in the byte alphabet.
  package let tokens: [[UInt8]]
  package let merges: [(left: UInt32, right: UInt32)]
  /// The tokens that ordinary text is made of; nil for special tokens that are marks only.
  private let modelTokens: [[UInt8]?]

  init(
    training: BytePairTraining, tokens: [[UInt8]], merges: [(left: UInt32, right: UInt32)]
  ) {
    self.training = training
    self.tokens = tokens
    self.merges = merges
    let made = Set(merges.map { tokens[Int($0.left)] + tokens[Int($0.right)] })
    modelTokens = tokens.enumerated().map { id, token in
      let isMark = id < training.specialTokens.count && !made.contains(token)
      return isMark && ByteAlphabet.bytes(of: training.specialTokens[id])?.count != 1 ? nil : token
    }
  }

  package var model: BytePairModel {
    let specials = training.specialTokens.enumerated().map {
      AddedToken(id: UInt32($0), content: Array($1.utf8), special: true)
    }
    let table = TokenTable(modelTokens)
    let pairs = PairTable(capacity: merges.count)
    for (rank, merge) in merges.enumerated() {
      guard let merged = table.id(of: tokens[Int(merge.left)] + tokens[Int(merge.right)]) else {
        preconditionFailure("merge \(rank) leads to no token")
      }
      pairs.insert(
        left: merge.left, right: merge.right, rank: UInt32(rank), merged: merged)
    }
    return BytePairModel(
      modelTokens: modelTokens, pairs: pairs, rankCount: max(1, merges.count),
      pattern: training.pattern, addedTokens: specials, composes: false, wholePretokens: false)
  }

  /// Spellings of the tokens in the byte alphabet, special ones as they are.
  private var printable: [String] {
    tokens.enumerated().map { id, token in
      id < training.specialTokens.count
        ? training.specialTokens[id] : ByteAlphabet.printable(token)
    }
  }

  /// `tokenizer.json` as Hugging Face `tokenizers` reads it.
  package var huggingFaceJSON: String {
    var text = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
    let added = training.specialTokens.enumerated().map { id, content in
      "    {\"id\": \(id), \"content\": \(Self.quoted(content)), \"single_word\": false, "
        + "\"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}"
    }
    text += "  \"added_tokens\": [\n\(added.joined(separator: ",\n"))\n  ],\n"
    let byteLevel = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true"
    text += "  \"normalizer\": null,\n  \"pre_tokenizer\": "
    switch training.pattern {
    case .gpt2: text += byteLevel + ", \"use_regex\": true},\n"
    case .none: text += byteLevel + ", \"use_regex\": false},\n"
    case .cl100k, .cl100kTiktoken, .o200k, .llama3, .qwen2:
      text += "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
      text += "{\"Regex\": \(Self.quoted(training.pattern.published[0]))}, "
      text += "\"behavior\": \"Isolated\", \"invert\": false}, "
      text += byteLevel + ", \"use_regex\": false}]},\n"
    }
    text += "  \"post_processor\": null,\n  \"decoder\": \(byteLevel), \"use_regex\": true},\n"
    text += "  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": null,\n"
    text += "    \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n"
    text += "    \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
    let printable = printable
    let entries = printable.enumerated().map { "      \(Self.quoted($1)): \($0)" }
    text += "    \"vocab\": {\n\(entries.joined(separator: ",\n"))\n    },\n"
    // As one text each, which every reader knows, but where one would read as a version.
    let isPlain = mergesText != nil
    let rules = merges.map { merge in
      let (left, right) = (printable[Int(merge.left)], printable[Int(merge.right)])
      return isPlain
        ? "      " + Self.quoted(left + " " + right)
        : "      [" + Self.quoted(left) + ", " + Self.quoted(right) + "]"
    }
    text += "    \"merges\": [\n\(rules.joined(separator: ",\n"))\n    ]\n  }\n}\n"
    return text
  }

  /// `vocab.json`, of which `mergesText` is the other half.
  package var vocabularyJSON: String {
    let entries = printable.enumerated().map { "\(Self.quoted($1)): \($0)" }
    return "{\(entries.joined(separator: ", "))}\n"
  }

  /// `merges.txt`; nil when a merge reads as the line that names the version, which every reader skips.
  package var mergesText: String? {
    let printable = printable
    let lines = merges.map { printable[Int($0.left)] + " " + printable[Int($0.right)] }
    if lines.contains(where: { $0.utf8.starts(with: "#version".utf8) }) { return nil }
    return (["#version: 0.2"] + lines).joined(separator: "\n") + "\n"
  }

  /// The `.tiktoken` form: every token but the marks with its id as rank. There any two
  /// tokens whose joined bytes are a token merge, so ids can differ where training made a token by
  /// one way of joining only.
  package var tiktoken: String {
    var text = ""
    for case (let id, let token?) in modelTokens.enumerated() {
      text += Data(token).base64EncodedString() + " \(id)\n"
    }
    return text
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
