import Support

/// Stage evaluate.
package typealias EvaluateParameters = ByKind<GrammarEvaluateParameters, TextEvaluateParameters>

/// A run on a grammar's sentences: generation, and held-out sentences against the truth.
package struct GrammarEvaluateParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.evaluate

  /// Path of the grammar file, and SHA-256 of its bytes.
  @Key() package var grammar: String
  @Key() package var grammarDigest: String
  @Key(in: 1...99_999) package var root: Int
  /// Sentences generated at each snapshot but the last, and at the last.
  @Key(in: 1...1 << 30) package var samples: Int
  @Key(in: 1...1 << 30) package var finalSamples: Int
  /// Held-out sentences scored at each snapshot: the first of the set.
  @Key(in: 1...1 << 30) package var heldoutSentences: Int
  /// Of these, the first that are compared with the exact next-token distributions.
  @Key(in: 0...1 << 30) package var prefixSentences: Int
  @Key() package var seed: UInt64
  /// Sequences generated side by side by a worker; changes memory and speed, not a bit.
  @Key(in: 1...1 << 16) package var batch: Int
  /// Symbols after which a sentence is given up; the grammar's longest sentence unless given.
  @Key(in: 0...1 << 30) package var maxLength: Int?
  /// Tokens that the model's further heads propose at a step of generation; none unless given. It
  /// changes speed and adds what became of the proposals, but no sentence.
  @Key(in: 1...63) package var drafts: Int?
  /// What computes the scores; nil for the CPU. Part of the identity: it decides bits.
  @Key() package var device: TorchDevice?

  package init() {}

  package func check(_ reader: ConfigReader) throws {
    if let device, drafts != nil {
      throw reader.fault(
        "drafts", expected: "no proposals where libtorch computes", found: device.rawValue)
    }
    guard prefixSentences <= heldoutSentences else {
      throw reader.fault(
        "prefixSentences", expected: "at most heldoutSentences = \(heldoutSentences)",
        found: "\(prefixSentences)")
    }
  }
}

/// A run on text: its loss on map sets.
package struct TextEvaluateParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.evaluate

  /// Rows by which a window begins behind the one before.
  @Key(in: 1...10_000_000) package var stride: Int
  /// Rows of one pass through the model. Part of the identity: last bits may depend on it.
  @Key(in: 1...1 << 24) package var batchPositions: Int
  /// Rows of each set that are scored, the first ones, at snapshots before the last and at the last;
  /// 0 for all.
  @Key(in: 0...1 << 50) package var positions: Int
  @Key(in: 0...1 << 50) package var finalPositions: Int
  /// Whether only the last snapshot is scored.
  @Key() package var onlyLast: Bool
  /// What computes the scores; nil for the CPU. Part of the identity: it decides bits.
  @Key() package var device: TorchDevice?

  package init() {}
}
