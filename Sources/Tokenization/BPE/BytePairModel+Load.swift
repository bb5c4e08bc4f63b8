import Foundation
import Support

extension BytePairModel {
  /// Reads a tokenizer: `*.json` of Hugging Face tokenizers, `*.tiktoken`, or `vocab.json` (also
  /// `encoder.json`) with `merges.txt` (`vocab.bpe`) beside it; a directory is searched for the
  /// first of these.
  ///
  /// `pattern` is asked of `.tiktoken` files only, which do not name theirs; those with the sizes
  /// of GPT-2 and cl100k_base need none. Post-processors, truncation and padding are not applied.
  package static func load(path: String, pattern: PretokenPattern? = nil) throws -> BytePairModel {
    var isDirectory: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
      isDirectory.boolValue
    {
      let names = ["tokenizer.json", "vocab.json", "encoder.json"]
      guard
        let name = names.first(where: {
          FileManager.default.fileExists(atPath: path + "/" + $0)
        })
      else {
        throw UserError(
          "\(path): no tokenizer in this directory", expected: names.joined(separator: " or "))
      }
      return try load(path: path + "/" + name, pattern: pattern)
    }
    let bytes = try read(path)
    if path.hasSuffix(".tiktoken") {
      return try tiktoken(bytes, source: path, pattern: pattern)
    }
    let json = try parse(bytes, source: path)
    if json["model"] != nil {
      return try huggingFace(json, source: path, fileBytes: bytes.count)
    }
    let directory = (path as NSString).deletingLastPathComponent
    let candidates = ["merges.txt", "vocab.bpe"].map {
      directory.isEmpty ? $0 : directory + "/" + $0
    }
    guard let merges = candidates.first(where: { FileManager.default.fileExists(atPath: $0) })
    else {
      throw UserError(
        "\(path): a vocabulary without its merges",
        expected: candidates.joined(separator: " or "))
    }
    return try vocabularyAndMerges(
      json, source: path, bytes: bytes.count, merges: try read(merges), mergesSource: merges)
  }

  private static func read(_ path: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw UserError("\(path): cannot be read", expected: "a tokenizer file")
    }
    return Array(data)
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

  private static func vocabularyAndMerges(
    _ json: JSONText.Value, source: String, bytes: Int, merges: [UInt8], mergesSource: String
  ) throws -> BytePairModel {
    var vocabulary = try Vocabulary(json, source: source, fileBytes: bytes)
    let end = "<|endoftext|>"
    var added: [AddedToken] = []
    if let id = vocabulary.ids[end] {
      added.append(AddedToken(id: id, content: Array(end.utf8), special: true))
    }
    var pairs: [(String, String, String)] = []
    for (index, line) in String(decoding: merges, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    {
      if line.isEmpty || (index == 0 && line.hasPrefix("#version")) { continue }
      let parts = line.split(separator: " ", omittingEmptySubsequences: false)
      let place = "\(mergesSource):\(index + 1)"
      if parts.count != 2 {
        throw UserError("\(place): not a merge", expected: "two tokens", found: String(line))
      }
      pairs.append((String(parts[0]), String(parts[1]), place))
    }
    return try vocabulary.model(
      merges: pairs, pattern: .gpt2, added: added, composes: false, wholePretokens: false)
  }

  // MARK: .tiktoken

  private static func tiktoken(
    _ bytes: [UInt8], source: String, pattern: PretokenPattern?
  ) throws -> BytePairModel {
    let limit = Vocabulary.ids(inFileOf: bytes.count)
    var tokens: [[UInt8]?] = []
    var seen: [[UInt8]: Int] = [:]
    for (index, line) in bytes.split(separator: 0x0A).enumerated() {
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
    var added: [(String, UInt32)] = []
    var pattern = pattern
    if tokens.count == 50256, pattern ?? .gpt2 == .gpt2 {
      pattern = .gpt2
      added = [("<|endoftext|>", 50256)]
    } else if tokens.count == 100256, pattern ?? .cl100kTiktoken == .cl100kTiktoken {
      pattern = .cl100kTiktoken
      added = [
        ("<|endoftext|>", 100257), ("<|fim_prefix|>", 100258), ("<|fim_middle|>", 100259),
        ("<|fim_suffix|>", 100260), ("<|endofprompt|>", 100276),
      ]
    }
    guard let pattern else {
      throw UserError(
        "\(source): \(tokens.count) tokens, and .tiktoken files do not name their pattern",
        remedy: "Pass --pattern \(PretokenPattern.allCases.map(\.rawValue).joined(separator: "|"))")
    }
    return BytePairModel(
      modelTokens: tokens, pairs: ranked(TokenTable(tokens)), rankCount: tokens.count,
      pattern: pattern,
      addedTokens: added.map { AddedToken(id: $1, content: Array($0.utf8), special: true) },
      composes: false, wholePretokens: true)
  }
}

/// A vocabulary as JSON files write it, on the way to a model.
struct Vocabulary {
  let source: String
  private(set) var ids: [String: UInt32] = [:]
  private var printable: [String?] = []

  /// The ids that a file of so many bytes may name: each of its tokens takes some bytes of it, so a
  /// larger id is damage, and a table up to it would cost what the file is too small to fill.
  static func ids(inFileOf bytes: Int) -> Range<Int> { 0..<min(1 << 24, max(1 << 12, bytes)) }

  init(_ json: JSONText.Value?, source: String, fileBytes: Int) throws {
    self.source = source
    let limit = Self.ids(inFileOf: fileBytes)
    guard case .object(let members)? = json else {
      throw UserError("\(source): no vocabulary", expected: "an object from token to id")
    }
    ids.reserveCapacity(members.count)
    for member in members {
      let token = String(decoding: member.key, as: UTF8.self)
      guard let id = member.value.int, limit ~= id else {
        throw UserError("\(source): the id of token \"\(token)\" is no id")
      }
      while printable.count <= id { printable.append(nil) }
      if let other = printable[id] {
        throw UserError("\(source): duplicate id \(id)", found: "\"\(other)\" and \"\(token)\"")
      }
      printable[id] = token
      if ids.updateValue(UInt32(id), forKey: token) != nil {
        throw UserError("\(source): token \"\(token)\" has two ids")
      }
    }
  }

  func token(_ id: Int) -> String? { id < printable.count ? printable[id] : nil }

  /// The model; `merges` are pairs in printable form, with the place to name in an error.
  mutating func model(
    merges: [(left: String, right: String, place: String)], pattern: PretokenPattern,
    added: [AddedToken], composes: Bool, wholePretokens: Bool
  ) throws -> BytePairModel {
    let pairs = PairTable(capacity: merges.count)
    for (rank, merge) in merges.enumerated() {
      func id(_ token: String) throws -> UInt32 {
        guard let id = ids[token] else {
          throw UserError(
            "\(merge.place): the merge names a token that is not in the vocabulary",
            expected: "a token of \(source)", found: token)
        }
        return id
      }
      pairs.insert(
        left: try id(merge.left), right: try id(merge.right), rank: UInt32(rank),
        merged: try id(merge.left + merge.right))
    }
    let special = Set(added.map(\.content))
    var tokens = [[UInt8]?](repeating: nil, count: printable.count)
    var others: [(UInt32, [UInt8])] = []
    for (id, token) in printable.enumerated() {
      guard let token else { continue }
      if let bytes = ByteAlphabet.bytes(of: token), !bytes.isEmpty {
        tokens[id] = bytes
      } else if !special.contains(Array(token.utf8)) {
        others.append((UInt32(id), Array(token.utf8)))
      }
    }
    return BytePairModel(
      modelTokens: tokens, unreachable: others, pairs: pairs, rankCount: max(1, merges.count),
      pattern: pattern, addedTokens: added, composes: composes, wholePretokens: wholePretokens)
  }
}
