import Contracts
import Support

/// The stage "map": tokens to n-gram rows and labels.
package enum MapStage {
  /// Runs the stage; writes its index last.
  package static func run(
    _ configuration: StageConfiguration, output: String, threads: Int
  ) throws -> StageSummary {
    switch try MapParameters(configuration) {
    case .grammar(let parameters):
      try SymbolMapping(configuration, parameters).run(output: output, threads: threads)
    case .text(let parameters):
      try TextMapping(configuration, parameters, threads: threads).run(
        output: output, threads: threads)
    }
  }
}
