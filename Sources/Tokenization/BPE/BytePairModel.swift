/// A byte-level BPE tokenizer: vocabulary, merge rules, pre-tokenizer pattern and added tokens.
///
/// Immutable; `BytePairEncoder` applies it, one encoder per thread. Read from files by
/// `BytePairModel.load(path:)`.
package final class BytePairModel: Sendable {
  /// The file of a tokenizer in the output of stage vocabulary.
  package static let fileName = "tokenizer.json"

  package let tokens: TokenTable
  package let pattern: PretokenPattern
  package let addedTokens: [AddedToken]
  /// Text is brought to normalization form C first.
  package let composes: Bool
  /// A pretoken that is a vocabulary entry becomes that entry even where no merges lead to it:
  /// tiktoken's rule, and Hugging Face's `ignore_merges`.
  package let wholePretokens: Bool
  let pairs: PairTable
  let byteTokens: [UInt32]
  let rankCount: Int
  /// Tokens that are part of the model proper, not only added: the ones merges can produce.
  let modelTokens: TokenTable

  /// One more than the largest id.
  package var vocabularySize: Int { tokens.count }

  /// `unreachable` are vocabulary entries outside the byte alphabet, which only decoding knows.
  init(
    modelTokens: [[UInt8]?], unreachable: [(id: UInt32, bytes: [UInt8])] = [], pairs: PairTable,
    rankCount: Int, pattern: PretokenPattern,
    addedTokens: [AddedToken], composes: Bool, wholePretokens: Bool
  ) {
    self.modelTokens = TokenTable(modelTokens)
    var all = modelTokens
    for (id, bytes) in addedTokens.map({ ($0.id, $0.content) }) + unreachable {
      while all.count <= Int(id) { all.append(nil) }
      // What merges can produce stands for its own bytes, however the added token is spelled.
      if all[Int(id)] == nil { all[Int(id)] = bytes }
    }
    tokens = TokenTable(all)
    self.pairs = pairs
    self.rankCount = rankCount
    self.pattern = pattern
    self.addedTokens = addedTokens
    self.composes = composes
    self.wholePretokens = wholePretokens
    let table = self.modelTokens
    byteTokens = (0...255).map { table.id(of: [UInt8($0)]) ?? .max }
  }

  /// Bytes of text that each id stands for; 0 for special tokens, which stand for none, unless they are
  /// tokens of ordinary text too: bytes or results of merges.
  package var textBytes: [Int] {
    let special = Set(addedTokens.filter { $0.special }.map(\.id))
      .subtracting(byteTokens).subtracting(pairs.merged)
    return (0..<UInt32(vocabularySize)).map { special.contains($0) ? 0 : tokens.length(of: $0) }
  }

  /// Bytes of the tokens, one after another. Precondition: every id is below `vocabularySize`.
  package func decode(_ ids: some Sequence<UInt32>) -> [UInt8] {
    var bytes: [UInt8] = []
    for id in ids { bytes.append(contentsOf: tokens.bytes(of: id)) }
    return bytes
  }

  /// Rules of a vocabulary whose ids are its ranks: any two tokens whose joined bytes are a token
  /// merge into it, lowest id first.
  static func ranked(_ table: TokenTable) -> PairTable {
    var rules: [(left: UInt32, right: UInt32, merged: UInt32)] = []
    for id in 0..<UInt32(table.count) {
      let token = Array(table.bytes(of: id))
      token.withUnsafeBufferPointer { token in
        guard let base = token.baseAddress, token.count > 1 else { return }
        for cut in 1..<token.count {
          if let left = table.id(base, cut), let right = table.id(base + cut, token.count - cut) {
            rules.append((left, right, id))
          }
        }
      }
    }
    let pairs = PairTable(capacity: rules.count)
    for rule in rules {
      pairs.insert(left: rule.left, right: rule.right, rank: rule.merged, merged: rule.merged)
    }
    return pairs
  }
}
