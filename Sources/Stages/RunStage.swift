import Contracts
import Foundation
import Parallel
import Ranks
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
  /// Facts for `evidence.json`: rates, library versions, anything that is not identity. Those of rank 0
  /// are written.
  package let evidence: Evidence
  /// The ranks that run this stage together. Rank 0 alone writes into `output`; the others are quiet.
  package let ranks: any Communicator

  /// What rank 0 finds, on every rank: for signals, clocks, and what lies on disk. All ranks ask at
  /// the same place.
  package func agreed(_ condition: () throws -> Bool) throws -> Bool {
    let found = ranks.decides ? try condition() : false
    return try ranks.broadcast(found ? 1 : 0) == 1
  }

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
/// Several ranks may run a stage together. Rank 0 alone reads the configuration, takes the lock, decides
/// whether there is anything to do, and writes evidence; the others wait for its verdict. When any rank
/// fails, all end with the same exit status and one message. `body` runs on every rank.
///
/// - Parameters:
///   - libraries: versions of the libraries that the stage computes with, for the evidence.
///   - ranks: nil for a stage that one process runs: where a launcher has started several, the others do
///     nothing.
/// - Throws: `UserError` for everything its reader can mend, and what `body` throws.
package func runStage(
  _ stage: Stage, options: StageOptions, libraries: [String: String] = [:],
  ranks given: (any Communicator)? = nil, body: (StageContext) throws -> Void
) throws {
  if given == nil, let launch = Launch(environment: ProcessInfo.processInfo.environment),
    launch.rank != 0
  {
    return
  }
  let ranks = given ?? LocalCommunicator()
  var libraries = libraries
  libraries["mpi"] = ranks.implementation
  try StageRanks(ranks).together {
    try Host.requireBuildFeatures()
    try RankAgreement.require(ranks, options, libraries: libraries)
    guard let run = try begin(stage, options: options, ranks: ranks) else {
      return
    }
    defer { run.lock?.release() }
    let context = StageContext(
      configuration: run.configuration, output: options.output, threads: options.threads,
      isQuiet: options.quiet || !ranks.decides, title: run.title,
      evidence: Evidence(
        run.configuration, threads: options.threads, ranks: ranks.size, libraries: libraries),
      ranks: ranks)
    do {
      if ranks.decides { try context.evidence.write(to: options.output, isFinished: false) }
      try RankAgreement.requireShared("\(options.output)/\(EvidenceFile.fileName)", ranks)
      try body(context)
      // The index tells what every rank has done.
      try ranks.barrier()
    } catch {
      if ranks.decides { try AtomicFile.removeStaleTemporaries(in: options.output) }
      throw error
    }
    guard ranks.decides else { return }
    precondition(
      FileBytes.exists(options.output + "/" + StageIndex.fileName),
      "stage \(stage.rawValue) ended without writing its index")
    try context.evidence.write(to: options.output, isFinished: true)
  }
}

/// What a run begins with.
private struct StageRun {
  let configuration: StageConfiguration
  let title: String
  /// Of rank 0.
  let lock: DirectoryLock?
}

/// The beginning of a run, on every rank; nil where there is nothing to do.
private func begin(
  _ stage: Stage, options: StageOptions, ranks: any Communicator
) throws -> StageRun? {
  var own: StageRun?
  var verdict: ConfigValue = .null
  if ranks.decides {
    own = try decide(stage, options: options)
    if let own { verdict = own.configuration.file }
  }
  let bytes = try ranks.broadcast(Array(verdict.canonicalJSON.utf8))
  if ranks.decides { return own }
  verdict = try ConfigValue.parse(json: bytes, source: options.config)
  if verdict == .null { return nil }
  return StageRun(
    configuration: try StageConfiguration(verdict, source: options.config),
    title: runTitle(stage, options), lock: nil)
}

/// What messages call a run.
private func runTitle(_ stage: Stage, _ options: StageOptions) -> String {
  options.name.map { "\(stage.rawValue) \($0)" } ?? stage.rawValue
}

/// What rank 0 does before a run: nil, said, where the output is finished.
private func decide(_ stage: Stage, options: StageOptions) throws -> StageRun? {
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
  let title = runTitle(stage, options)
  let lock = try takeLock(of: options, for: configuration, title: title)
  if isFinished(options.output, configuration) {
    lock.release()
    if !options.quiet {
      StandardOutput.say("\(title): \(options.output) is finished; delete it to run it again")
    }
    return nil
  }
  try prepare(output: options.output, for: configuration)
  return StageRun(configuration: configuration, title: title, lock: lock)
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
