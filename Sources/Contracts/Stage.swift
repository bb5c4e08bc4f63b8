import Support

/// The stages of the ways of the data, in their order.
package enum Stage: String, CaseIterable, Sendable {
  case sample, vocabulary, tokenize, discover, map, count, `import`, train, materialize, evaluate,
    downstream, report

  /// Part of every id: raised when the stage gives other bytes for the same configuration.
  /// `ott-<stage> --version` prints the same number.
  package var version: Int { self == .report ? 3 : 1 }

  package var command: String { "ott-\(rawValue)" }
}

/// What models learn. It is written as `kind` in figures, configurations and metadata, never left out.
package enum DataKind: String, CaseIterable, Sendable {
  /// A language that a grammar generates: its sentences are sequences of characters.
  case grammar
  /// Text of a corpus: its documents are cut into windows of tokens, which stand for bytes.
  case text

  /// What a batch consists of.
  package var sequences: String {
    switch self {
    case .grammar: "sentences"
    case .text: "windows"
    }
  }

  /// What the material is counted in.
  package var symbols: String {
    switch self {
    case .grammar: "characters"
    case .text: "bytes"
    }
  }
}

/// The streams of sentences that a grammar's models are trained and scored on.
package enum SentenceStream: String, CaseIterable, Sendable {
  case train, heldout
}

/// The sets of text that models are scored on: inputs of stage evaluate.
package enum ScoredSet: String, CaseIterable, Sendable {
  /// Held-out documents of the training corpus.
  case heldout
  /// Documents of another domain.
  case other
}
