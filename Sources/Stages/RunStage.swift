import Contracts
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
    if !isQuiet { StandardOutput.say("\(title): \(line)") }
  }

  /// Says what a stage has done, and records its rates.
  package func conclude(_ summary: StageSummary) {
    let seconds = evidence.wallSeconds
    for (name, fact) in summary.facts(seconds: seconds) { evidence[name] = fact }
    say(summary.line(seconds: seconds))
  }
}

/// Runs one stage: configuration in, a directory with `index.json` and `evidence.json` out.
///
/// Checks the host, reads the configuration, checks that it is meant for this stage, and takes the
/// lock of the output directory, waiting while another process has it. An output that is finished by
/// then is left as it is. Otherwise removes an index that is not whole and the temporaries of dead
/// runs, writes `evidence.json`, and runs `body`, which must write the index last
/// (`ShardSetWriter.finish`, `StageIndex.write`). Then writes `evidence.json` again, with times.
/// When `body` throws, this run's temporaries are removed and there is no index: the directory does
/// not look finished.
///
/// - Parameter libraries: versions of the libraries that the stage computes with, for the evidence.
/// - Throws: `UserError` for everything its reader can mend, and what `body` throws.
package func runStage(
  _ stage: Stage, options: StageOptions, libraries: [String: String] = [:],
  body: (StageContext) throws -> Void
) throws {
  try Host.requireBuildFeatures()
  let configuration = try StageConfiguration.load(from: options.config)
  guard configuration.stage == stage.rawValue else {
    throw UserError(
      "\(options.config): stage", expected: "'\(stage.rawValue)'",
      found: "'\(configuration.stage)'",
      remedy: "Run: ott-\(configuration.stage) --config \(options.config)")
  }
  guard configuration.version == stage.version else {
    throw UserError(
      "\(options.config): version", expected: "\(stage.version) (of this \(stage.command))",
      found: "\(configuration.version)",
      remedy: "Make the figure again: every make writes the configurations of this version.")
  }
  let title = options.name.map { "\(stage.rawValue) \($0)" } ?? stage.rawValue
  let lock = try takeLock(of: options, for: configuration, title: title)
  defer { lock.release() }
  if isFinished(options.output, configuration) {
    if !options.quiet {
      StandardOutput.say("\(title): \(options.output) is finished; delete it to run it again")
    }
    return
  }
  try prepare(output: options.output, for: configuration)
  let context = StageContext(
    configuration: configuration, output: options.output, threads: options.threads,
    isQuiet: options.quiet, title: title,
    evidence: Evidence(configuration, threads: options.threads, libraries: libraries))
  do {
    try context.evidence.write(to: options.output, isFinished: false)
    try body(context)
  } catch {
    try AtomicFile.removeStaleTemporaries(in: options.output)
    throw error
  }
  precondition(
    FileBytes.exists(options.output + "/" + StageIndex.fileName),
    "stage \(stage.rawValue) ended without writing its index")
  try context.evidence.write(to: options.output, isFinished: true)
}

/// Checks that `options.output` is meant for `configuration`, makes its parent and takes its lock.
private func takeLock(
  of options: StageOptions, for configuration: StageConfiguration, title: String
) throws -> DirectoryLock {
  let name = AtomicFile.name(of: options.output)
  guard !StageConfiguration.isID(name) || name == configuration.id else {
    throw UserError(
      options.config, expected: "the configuration of \(name), the output's name",
      found: "that of \(configuration.id) (altered?)",
      remedy:
        "Run: make data/\(configuration.stage)/\(name)/\(StageIndex.fileName), which writes it anew, or "
        + "choose another --output.")
  }
  try OutputPath.require(
    directory: options.output, apartFrom: configuration.inputs.values.map(\.path).sorted())
  try AtomicFile.makeDirectory(AtomicFile.parent(of: options.output))
  return try DirectoryLock(of: options.output) {
    guard !options.quiet else { return }
    StandardError.write("\(title): another process makes \(options.output); waiting for it\n")
  }
}

/// Whether `output` holds the whole output of `configuration` and the evidence of it.
private func isFinished(_ output: String, _ configuration: StageConfiguration) -> Bool {
  guard FileBytes.exists(output + "/" + StageIndex.fileName),
    let index = try? StageIndex(directory: output), index.id == configuration.id
  else { return false }
  return (try? EvidenceFile(directory: output, id: configuration.id)) != nil
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
