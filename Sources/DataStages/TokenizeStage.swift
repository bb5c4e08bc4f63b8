import Contracts
import Support

/// The stage "tokenize": documents of symbols, or a corpus of text, to documents of tokens.
package enum TokenizeStage {
  /// Runs the stage; writes its index last.
  ///
  /// - Parameter isQuiet: show no progress.
  package static func run(
    _ configuration: StageConfiguration, output: String, threads: Int, isQuiet: Bool
  ) throws -> StageSummary {
    switch try TokenizeParameters(configuration) {
    case .grammar(let parameters):
      try SymbolTokenization(configuration, parameters).run(output: output, threads: threads)
    case .text(let parameters):
      try TextTokenization(configuration, parameters).run(
        output: output, threads: threads, isQuiet: isQuiet)
    }
  }
}
