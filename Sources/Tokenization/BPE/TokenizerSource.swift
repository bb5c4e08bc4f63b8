import Foundation
import Support

/// The bytes of a tokenizer's files, all that are read when one path is named: what its identity is
/// taken of, and what `BytePairModel` is made of. docs/TOKENIZERS.md says which files are read.
package struct TokenizerSource: Sendable {
  enum Content: Sendable {
    /// tokenizer.json
    case huggingFace(JSONText.Value)
    /// vocab.json, and the path and bytes of merges.txt
    case pair(JSONText.Value, merges: String, [UInt8])
    /// Base64 of tokens with their ranks: `.tiktoken`, and `tokenizer.model` of Llama 3.
    case ranks
  }

  /// The file that was named, or found in the directory that was named.
  package let path: String
  let bytes: [UInt8]
  let content: Content

  private static let forms =
    "tokenizer.json, vocab.json with merges.txt, .tiktoken, or tokenizer.model in tiktoken's form"
  private static let names = ["tokenizer.json", "vocab.json", "encoder.json", "tokenizer.model"]
  private static let remedy =
    "Save it as tokenizer.json: transformers' AutoTokenizer.from_pretrained(…).save_pretrained(…)."

  /// Reads the tokenizer at `path`, a file or a directory with one.
  package init(path named: String) throws {
    let path = try Self.file(named)
    self.path = path
    let read = try FileBytes.read(path)
    bytes = Array(ByteLines.unmarked(read))
    let isBinary = bytes.prefix(1 << 12).contains { $0 < 0x20 && !(0x09...0x0D ~= $0) }
    if isBinary {
      throw UserError(
        "\(path): a binary file, as SentencePiece's tokenizer.model is, is not read",
        expected: Self.forms,
        remedy: "Only byte-level BPE is read; Llama 2's and T5's tokenizers are another kind.")
    }
    if BytePath(path).hasSuffix(".tiktoken") || BytePath(path).hasSuffix(".model") {
      content = .ranks
      return
    }
    guard bytes.first(where: { $0 > 0x20 }) == UInt8(ascii: "{") else {
      let isMerges = ["merges.txt", "vocab.bpe"].contains {
        BytePath(path).lastComponent.elementsEqual($0.utf8)
      }
      throw UserError(
        "\(path): not a tokenizer file", expected: Self.forms,
        found: isMerges ? "the merges of a vocabulary" : "text that is no JSON object",
        remedy: isMerges ? "Name vocab.json, beside which merges.txt is found." : nil)
    }
    let json = try BytePairModel.parse(bytes, source: path)
    if json["model"] != nil {
      content = .huggingFace(json)
      return
    }
    let beside = { (name: String) in BytePath(path).sibling(name).description }
    let candidates = ["merges.txt", "vocab.bpe"].map(beside)
    guard let merges = candidates.first(where: FileBytes.exists) else {
      throw UserError(
        "\(path): a vocabulary without its merges", expected: candidates.joined(separator: " or "))
    }
    if FileBytes.exists(beside("added_tokens.json")) {
      throw UserError(
        "\(beside("added_tokens.json")): tokens that are added to vocab.json are not read",
        expected: "a tokenizer.json, which holds them", remedy: Self.remedy)
    }
    content = .pair(
      json, merges: merges, Array(ByteLines.unmarked(try FileBytes.read(merges))))
  }

  /// `named`, or the file of the directory `named` that is meant.
  private static func file(_ named: String) throws -> String {
    guard let status = BytePath(named).status, status.st_mode & S_IFMT == S_IFDIR else {
      return named
    }
    if let name = names.first(where: { FileBytes.exists("\(named)/\($0)") }) {
      return "\(named)/\(name)"
    }
    let others = try AtomicFile.names(in: named).sorted()
    let ranks = others.filter { BytePath($0).hasSuffix(".tiktoken") }
    if ranks.count == 1 { return "\(named)/\(ranks[0])" }
    let models = others.filter { BytePath($0).hasSuffix(".model") }
    throw UserError(
      "\(named): no tokenizer in this directory", expected: names.joined(separator: " or "),
      found: ranks.count > 1
        ? "\(ranks.count) .tiktoken files"
        : models.first.map { "\($0), as SentencePiece has it, which is not read" },
      remedy: ranks.count > 1 ? "Name one of them." : models.isEmpty ? nil : remedy)
  }

  /// The bytes of a `tokenizer.json`; nil where the tokenizer has another form.
  package var huggingFaceFile: [UInt8]? {
    if case .huggingFace = content { bytes } else { nil }
  }

  /// SHA-256 of the file, or of the names and digests of both where there are two.
  package var digest: String {
    guard case .pair(_, let merges, let mergeBytes) = content else { return SHA256.hex(of: bytes) }
    var all = SHA256()
    for (name, bytes) in [(path, bytes), (merges, mergeBytes)] {
      all.update(
        Array(BytePath(name).lastComponent) + Array("\0\(SHA256.hex(of: bytes))\n".utf8))
    }
    return all.finalizeHex()
  }

  /// The model.
  ///
  /// - Parameter pattern: for files that do not name theirs, which are `.tiktoken` files and vocab.json
  ///   with merges.txt. Asked of another, it must be the file's own.
  package func model(pattern: PretokenPattern? = nil) throws -> BytePairModel {
    switch content {
    case .ranks: return try .tiktoken(bytes, source: path, pattern: pattern)
    case .pair(let json, let mergesPath, let merges):
      return try .vocabularyAndMerges(
        json, source: path, bytes: bytes.count, merges: merges, mergesSource: mergesPath,
        pattern: pattern)
    case .huggingFace(let json):
      let model = try BytePairModel.huggingFace(json, source: path, fileBytes: bytes.count)
      if let pattern, !pattern.cuts(as: model.pattern) {
        throw UserError(
          "\(path): brings its own pre-tokenizer pattern", expected: model.pattern.rawValue,
          found: "pattern \(pattern.rawValue)", remedy: "Leave the pattern out.")
      }
      return model
    }
  }
}
