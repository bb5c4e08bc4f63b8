import Foundation
import Support

/// The result of training: special tokens, then the 256 bytes, then merged tokens, in id order.
package struct TrainedTokenizer: Sendable {
  package let training: BytePairTraining
  package let tokens: [[UInt8]]
  package let merges: [(left: UInt32, right: UInt32)]

  package var model: BytePairModel {
    let specials = training.specialTokens.enumerated().map {
      AddedToken(id: UInt32($0), content: Array($1.utf8), special: true)
    }
    let table = TokenTable(tokens.enumerated().map { $0 < specials.count ? nil : $1 })
    let pairs = PairTable(capacity: merges.count)
    for (rank, merge) in merges.enumerated() {
      guard let merged = table.id(of: tokens[Int(merge.left)] + tokens[Int(merge.right)]) else {
        preconditionFailure("merge \(rank) leads to no token")
      }
      pairs.insert(
        left: merge.left, right: merge.right, rank: UInt32(rank), merged: merged)
    }
    return BytePairModel(
      modelTokens: tokens.enumerated().map { $0 < specials.count ? nil : $1 }, pairs: pairs,
      rankCount: max(1, merges.count), pattern: training.pattern, addedTokens: specials,
      composes: false, wholePretokens: false)
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
    case .cl100k, .cl100kTiktoken:
      text += "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
      text += "{\"Regex\": \(Self.quoted(training.pattern.published[0]))}, "
      text += "\"behavior\": \"Isolated\", \"invert\": false}, "
      text += byteLevel + ", \"use_regex\": false}]},\n"
    }
    text += "  \"post_processor\": null,\n  \"decoder\": \(byteLevel), \"use_regex\": true},\n"
    text += "  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": null,\n"
    text += "    \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n"
    text += "    \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
    let printable = tokens.enumerated().map { id, token in
      id < training.specialTokens.count
        ? training.specialTokens[id] : ByteAlphabet.printable(token)
    }
    let entries = printable.enumerated().map { "      \(Self.quoted($1)): \($0)" }
    text += "    \"vocab\": {\n\(entries.joined(separator: ",\n"))\n    },\n"
    let rules = merges.map {
      "      " + Self.quoted(printable[Int($0.left)] + " " + printable[Int($0.right)])
    }
    text += "    \"merges\": [\n\(rules.joined(separator: ",\n"))\n    ]\n  }\n}\n"
    return text
  }

  /// The `.tiktoken` form: every token but the special ones with its id as rank. There any two
  /// tokens whose joined bytes are a token merge, so ids can differ where training made a token by
  /// one way of joining only.
  package var tiktoken: String {
    var text = ""
    for (id, token) in tokens.enumerated().dropFirst(training.specialTokens.count) {
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
