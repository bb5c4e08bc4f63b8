import NGrams
import Shards
import Support
import Tokenization

/// The held-out sentences of an evaluation as the stages left them: the map set that a model reads, and
/// the sample set that it was made from, which the grammar is asked about.
struct HeldOutSet {
  private let mapped: ShardSet
  private let symbols: ShardSet
  private let variant: Variant
  /// Sentences that are scored: the first ones.
  private let count: Int

  /// - Parameters:
  ///   - variant: how the model reads and writes.
  ///   - grammarDigest: of the grammar that the sentences must be sampled from, below `root`.
  /// - Throws: `UserError` when the sets are of another kind, grammar or variant, have different
  ///   numbers of sentences, or fewer than `count`.
  init(
    mapped: StageConfiguration.Input, symbols: StageConfiguration.Input, variant: Variant,
    count: Int, grammarDigest: String, root: Int
  ) throws {
    self.mapped = try ShardSet(input: mapped)
    self.symbols = try ShardSet(input: symbols)
    self.variant = variant
    self.count = count
    try checkGrammar(grammarDigest, root: root)
    guard self.mapped.stage.stage == "map" else {
      throw UserError(
        "\(mapped.path): held-out sentences", expected: "a map set",
        found: "a set of stage '\(self.mapped.stage.stage)'",
        remedy: "Give the output of ott-map as input 'heldout'.")
    }
    let found = try Variant(
      mapMetadata: self.mapped.metadata, source: "\(mapped.path)/\(StageIndex.fileName): metadata")
    guard found == variant else {
      throw UserError(
        "\(mapped.path): held-out sentences for another model than the run's",
        expected: variant.summary, found: found.summary,
        remedy: "Tokenize and map them as the run's data.")
    }
    guard self.mapped.documents == self.symbols.documents else {
      throw unequal("\(self.symbols.documents) sentences", "\(self.mapped.documents)")
    }
    guard self.symbols.documents >= count else {
      throw UserError(
        "\(symbols.path): held-out sentences", expected: "at least heldoutSentences = \(count)",
        found: "\(self.symbols.documents)", remedy: "Sample more or score fewer.")
    }
  }

  private func checkGrammar(_ expected: String, root: Int) throws {
    var metadata = try symbols.metadataReader()
    let digest = try metadata.string("grammarDigest")
    let foundRoot = try metadata.int("root")
    guard digest == expected, foundRoot == root else {
      throw UserError(
        "\(symbols.directory): held-out sentences of another grammar",
        expected: "root \(root) of SHA-256 \(expected)",
        found: "root \(foundRoot) of SHA-256 \(digest)",
        remedy: "Sample held-out sentences from the grammar of the evaluation.")
    }
  }

  /// The sentences that are scored.
  ///
  /// - Throws: `UserError` when what was mapped is not what was sampled.
  func sentences() throws -> [HeldOut.Sentence] {
    var sampled: [[UInt8]] = []
    try symbols.forEachPiece(ofDocuments: 0..<count) { loaded, documents in
      let column = loaded.buffer(try loaded.column("symbol"), as: UInt8.self)
      for d in documents { sampled.append(Array(column[loaded.rows(ofDocument: d)])) }
    }
    let tables = variant.mapper.tables.indices
    var result: [HeldOut.Sentence] = []
    try mapped.forEachPiece(ofDocuments: 0..<count) { loaded, documents in
      let columns = try tables.map { try loaded.column("input\($0)") }
      let label = try loaded.column("label")
      for d in documents {
        let range = loaded.rows(ofDocument: d)
        let sentence = HeldOut.Sentence(
          symbols: sampled[result.count],
          rows: columns.map { loaded.integers(column: $0, rows: range).map(UInt32.init) },
          next: loaded.integers(column: label, rows: range).map(variant.token(ofLabel:)))
        guard variant.spells(sentence.next, sentence.symbols) else {
          throw unequal(
            "the \(sentence.symbols.count) symbols of sentence \(result.count)", "others")
        }
        result.append(sentence)
      }
    }
    return result
  }

  private func unequal(_ expected: String, _ found: String) -> UserError {
    UserError(
      "\(mapped.directory): not mapped from the sentences of \(symbols.directory)",
      expected: expected, found: found,
      remedy: "Give as input 'symbols' the sample set that 'heldout' was made from.")
  }
}

extension Variant {
  /// The next token that a label speaks of; of a joint label that of its first symbol.
  fileprivate func token(ofLabel label: Int) -> UInt32 {
    switch outcome(ofLabel: label) {
    case .end: UInt32(NGramVocabulary.eos)
    case .malformed: UInt32(NGramVocabulary.bos)
    case .token(let token): token
    }
  }

  /// Whether these are exactly the tokens that the tokenizer makes of a sentence, EOS included.
  fileprivate func spells(_ next: [UInt32], _ symbols: [UInt8]) -> Bool {
    (try? tokenizer.decode([UInt32(NGramVocabulary.bos)] + next)) == symbols
  }

  fileprivate var summary: String {
    let vocabulary = tokenizer.vocabulary
    return "\(vocabulary.order)-gram tokens of \(vocabulary.alphabet) symbols, input orders "
      + "\(mapper.tables.map(\.order)), output order \(mapper.outputOrder)"
  }
}
