import NGrams
import Support
import Training

/// How much of a set's text stands in the training part too: what of its score may be memory.
package struct Overlap: Sendable, Equatable {
  /// Tokens running that count as the same text.
  package static let length = 13

  package let tokens: Int
  /// Tokens in a stretch of `length` that the training part has.
  package let tokensInTraining: Int
  package let documents: Int
  /// Documents with such a stretch.
  package let documentsInTraining: Int

  /// Of each set, by hashes of 64 bits: two stretches of other tokens are taken for one with a chance of
  /// about 10⁻⁸ in a corpus of 10⁹ tokens and a set of 10⁶.
  ///
  /// - Parameter data: whole documents, not cut into windows.
  static func measure(of sets: [TextSet], in data: TrainingData) -> [Overlap] {
    let documents = sets.map { set in
      (0..<set.rows.columns.documents).map {
        set.rows.tokens(in: set.rows.columns.rows(ofDocument: $0))
      }
    }
    var wanted = Set<UInt64>()
    for document in documents.joined() { wanted.formUnion(hashes(document)) }
    var found = Set<UInt64>()
    for document in 0..<data.sentences {
      for hash in hashes(data.tokens(of: document)) where wanted.contains(hash) {
        found.insert(hash)
      }
    }
    return documents.map { Overlap($0, in: found) }
  }

  private init(_ documents: [[UInt32]], in found: Set<UInt64>) {
    var (inTraining, touched) = (0, 0)
    for document in documents {
      var (covered, end) = (0, 0)
      for (start, hash) in Self.hashes(document).enumerated() where found.contains(hash) {
        covered += start + Self.length - max(start, end)
        end = start + Self.length
      }
      inTraining += covered
      if covered > 0 { touched += 1 }
    }
    tokens = documents.reduce(0) { $0 + $1.count }
    tokensInTraining = inTraining
    self.documents = documents.count
    documentsInTraining = touched
  }

  /// A hash of every `length` tokens running: their polynomial modulo 2⁶⁴, mixed.
  private static func hashes(_ tokens: [UInt32]) -> [UInt64] {
    guard tokens.count >= length else { return [] }
    let base: UInt64 = 0x9E37_79B9_7F4A_7C15
    let oldest = (1..<length).reduce(1) { (power: UInt64, _) in power &* base }
    var sum: UInt64 = 0
    var result: [UInt64] = []
    result.reserveCapacity(tokens.count - length + 1)
    for (i, token) in tokens.enumerated() {
      if i >= length { sum = sum &- (UInt64(tokens[i - length]) &+ 1) &* oldest }
      sum = sum &* base &+ (UInt64(token) &+ 1)
      if i >= length - 1 { result.append(Permutation.mix(sum)) }
    }
    return result
  }

  var value: ConfigValue {
    [
      "length": .integer(Self.length),
      "tokens": .double(Double(tokensInTraining) / Double(max(1, tokens))),
      "documents": .double(Double(documentsInTraining) / Double(max(1, documents))),
    ]
  }
}
