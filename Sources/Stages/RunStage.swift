import Foundation
import Support

/// What the body of a stage gets.
package struct StageContext {
  package let configuration: StageConfiguration
  /// The output directory: exists, writable, without an index.
  package let output: String
  package let threads: Int
  package let isQuiet: Bool
  /// What messages call this run, so that the lines of parallel runs can be told apart: the stage,
  /// and the name that the command line gives.
  package let title: String
  /// Facts for `evidence.json`: rates, library versions, anything that is not identity.
  package let evidence: Evidence

  /// Prints one line to standard output unless the user wants quiet.
  package func say(_ line: String) {
    if !isQuiet { print("\(title): \(line)") }
  }
}

/// Runs one stage: configuration in, a directory with `index.json` and `evidence.json` out.
///
/// Checks the host, reads the configuration, checks that it is meant for this stage, opens the output
/// directory, removes an older index and the temporaries of dead runs, and runs `body`, which must
/// write the index last (`ShardSetWriter.finish`, `StageIndex.write`). Then writes `evidence.json`.
/// When `body` throws, this run's temporaries are removed and there is no index: the directory does
/// not look finished.
///
/// - Throws: `UserError` for everything its reader can mend, and what `body` throws.
package func runStage(
  _ stage: String, version: Int, options: StageOptions, body: (StageContext) throws -> Void
) throws {
  try Host.requireBuildFeatures()
  let configuration = try StageConfiguration.load(from: options.config)
  guard configuration.stage == stage else {
    throw UserError(
      "\(options.config): stage", expected: "'\(stage)'", found: "'\(configuration.stage)'",
      remedy: "Run: ott-\(configuration.stage) --config \(options.config)")
  }
  guard configuration.version == version else {
    throw UserError(
      "\(options.config): version", expected: "\(version) (of this ott-\(stage))",
      found: "\(configuration.version)", remedy: "Write the configuration anew: make figure2")
  }
  try prepare(output: options.output, for: configuration)
  let context = StageContext(
    configuration: configuration, output: options.output, threads: options.threads,
    isQuiet: options.quiet, title: options.name.map { "\(stage) \($0)" } ?? stage,
    evidence: Evidence())
  do {
    try body(context)
  } catch {
    try AtomicFile.removeStaleTemporaries(in: options.output)
    throw error
  }
  precondition(
    FileBytes.exists(options.output + "/" + StageIndex.fileName),
    "stage \(stage) ended without writing its index")
  try context.evidence.write(
    to: options.output, configuration: configuration, threads: options.threads)
}

/// Makes `output` a directory in which this stage may begin.
private func prepare(output: String, for configuration: StageConfiguration) throws {
  try AtomicFile.makeDirectory(output)
  guard access(output, W_OK | X_OK) == 0 else {
    throw FileFault.error(
      "\(output): cannot write into this directory",
      remedy: "Choose another --output or change its permissions.")
  }
  let path = output + "/" + StageIndex.fileName
  if FileBytes.exists(path) {
    if let older = try? StageIndex(directory: output), older.id != configuration.id {
      throw UserError(
        "\(output): holds another finished output", expected: "id \(configuration.id)",
        found: "id \(older.id) of stage '\(older.stage)'",
        remedy: "Choose another --output or delete \(output).")
    }
    guard unlink(path) == 0 else { throw FileFault.error("cannot remove \(path)") }
    try AtomicFile.syncDirectory(of: path)
  }
  try AtomicFile.removeStaleTemporaries(in: output)
}
