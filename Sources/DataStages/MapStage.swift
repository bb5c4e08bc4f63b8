import NGrams
import Support

/// The stage "map": tokens to n-gram rows and labels.
package enum MapStage {
  package static let version = 1

  /// Runs the stage; writes its index last.
  package static func run(
    _ configuration: StageConfiguration, output: String, threads: Int
  ) throws -> StageSummary {
    var reader = try configuration.reader()
    if let kind = try reader.optionalChoice("kind", TextMap.Kind.self) {
      return try TextMapping(configuration, kind, &reader).run(output: output, threads: threads)
    }
    return try SymbolMapping(configuration, &reader).run(output: output, threads: threads)
  }
}
