import Support

/// A vocabulary as JSON files write it, on the way to a model. Tokens are the bytes of their spelling:
/// spellings that Unicode calls equivalent are different tokens.
struct Vocabulary {
  /// A merge in printable form, with the place to name in an error.
  typealias Merge = (left: [UInt8], right: [UInt8], place: String)

  let source: String
  private(set) var ids: [[UInt8]: UInt32] = [:]
  private var printable: [[UInt8]?] = []

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
      let token = member.key
      guard let id = member.value.int, limit ~= id else {
        throw UserError("\(source): the id of token \(Self.quoted(token)) is no id")
      }
      while printable.count <= id { printable.append(nil) }
      if let other = printable[id] {
        throw UserError(
          "\(source): duplicate id \(id)", found: "\(Self.quoted(other)) and \(Self.quoted(token))")
      }
      printable[id] = token
      if ids.updateValue(UInt32(id), forKey: token) != nil {
        throw UserError("\(source): token \(Self.quoted(token)) has two ids")
      }
    }
  }

  static func quoted(_ token: [UInt8]) -> String { "\"\(String(decoding: token, as: UTF8.self))\"" }

  func token(_ id: Int) -> [UInt8]? { id < printable.count ? printable[id] : nil }

  /// The two tokens of a merge written as one text; nil for a line that names a version, which stands
  /// in front of merges and is skipped wherever it stands, as Hugging Face skips it.
  static func merge(_ text: some Collection<UInt8>, _ place: String) throws -> Merge? {
    if text.starts(with: "#version".utf8) { return nil }
    let parts = text.split(separator: 0x20, omittingEmptySubsequences: false)
    if parts.count != 2 {
      throw UserError(
        "\(place): not a merge", expected: "two tokens",
        found: String(decoding: text.prefix(80), as: UTF8.self))
    }
    return (Array(parts[0]), Array(parts[1]), place)
  }

  func model(
    merges: [Merge], pattern: PretokenPattern, added: [AddedToken], composes: Bool,
    wholePretokens: Bool
  ) throws -> BytePairModel {
    let pairs = PairTable(capacity: merges.count)
    for (rank, merge) in merges.enumerated() {
      func id(_ token: [UInt8]) throws -> UInt32 {
        guard let id = ids[token] else {
          throw UserError(
            "\(merge.place): the merge names a token that is not in the vocabulary",
            expected: "a token of \(source)", found: String(decoding: token, as: UTF8.self))
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
      } else if !special.contains(token) {
        others.append((UInt32(id), token))
      }
    }
    return BytePairModel(
      modelTokens: tokens, unreachable: others, pairs: pairs, rankCount: max(1, merges.count),
      pattern: pattern, addedTokens: added, composes: composes, wholePretokens: wholePretokens)
  }
}
