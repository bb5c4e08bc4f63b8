import Support

/// The stage "tokenize": documents of symbols, or a corpus of text, to documents of tokens.
package enum TokenizeStage {
  package static let version = 1

  /// The values of `kind`.
  package enum Kind: String, CaseIterable, Sendable {
    case ngram, bpe
  }

  /// Runs the stage; writes its index last.
  ///
  /// - Parameter isQuiet: show no progress.
  package static func run(
    _ configuration: StageConfiguration, output: String, threads: Int, isQuiet: Bool
  ) throws -> StageSummary {
    var reader = try configuration.reader()
    switch try reader.choice("kind", Kind.self) {
    case .ngram:
      return try SymbolTokenization(configuration, &reader).run(output: output, threads: threads)
    case .bpe:
      return try TextTokenization(configuration, &reader).run(
        output: output, threads: threads, isQuiet: isQuiet)
    }
  }
}
