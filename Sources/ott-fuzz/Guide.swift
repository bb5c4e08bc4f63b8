import ArgumentParser
import Foundation
import Fuzzing
import Stages
import Support

/// `make fuzz-guided`.
struct Guide: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fuzzes readers guided by coverage, in a build that is made for it.",
    discussion: """
      Inputs that reach new branches are kept in --corpus, a folder a reader, and are where the next \
      run begins. With --keep, the few of them that reach everything are added to that folder instead.
      """)

  @Option(help: "Minutes of all readers together.")
  var minutes = 10.0

  @Option(help: "Seed of the first choice.")
  var seed: UInt32 = 1

  @Option(help: "Only this reader; can be given several times.")
  var reader: [String] = []

  @Option(help: "CSV that the counts are added to.")
  var output: String?

  @Option(help: "Folder of inputs.")
  var corpus = "data/fuzz/corpus"

  @Option(help: "Folder to keep a few inputs in, as tests.")
  var keep: String?

  @Option(help: "Folder for what readers must not do, and logs.")
  var findings = "data/fuzz"

  func run() throws {
    guard GuidedRun.isPossible else {
      throw UserError("this build of ott-fuzz has no guide", remedy: "Run: make fuzz-guided")
    }
    Interruption.install()
    let scratch = try ScratchDirectory()
    for name in reader { _ = try FuzzTargets.named(name, scratch) }
    let names = try FuzzTargets.all(scratch).map(\.name)
      .filter { reader.isEmpty || reader.contains($0) }
    try AtomicFile.makeDirectory(findings)
    var problems: [String] = []
    for name in names {
      let state = try FuzzState(path: "\(scratch.path)/state-\(name)")
      state.reset(to: 0)
      let start = Host.monotonicSeconds
      let log = "\(findings)/\(name)-guided.log"
      let process = try ChildProcess(
        CommandLine.arguments[0],
        [
          "guided", name, "--seed", "\(seed)", "--seconds",
          "\(Int(max(1, minutes * 60 / Double(names.count))))", "--corpus", "\(corpus)/\(name)",
          "--findings", findings, "--state", "\(scratch.path)/state-\(name)",
          "--scratch", scratch.path,
        ] + (keep.map { ["--keep", "\($0)/\(name)"] } ?? []),
        environment: ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) {
          $1
        }, errors: log)
      while process.isRunning {
        usleep(50_000)
        if Interruption.requested { process.send(SIGTERM) }
      }
      var counts = FuzzCounts()
      counts.accepted = state.accepted
      counts.refused = state.refused
      counts.seconds = Host.monotonicSeconds - start
      let ending = process.wait()
      if ending != .exited(0), !Interruption.requested {
        counts.crashes = 1
        problems.append(name)
      }
      counts.inputs = counts.accepted + counts.refused + counts.crashes
      if let output, keep == nil {
        try FuzzTable.add(counts, reader: "\(name) guided", seed: UInt64(seed), end: 0, to: output)
      }
      StandardOutput.say("\(name): \(counts.inputs) inputs, \(try lastCoverage(in: log))")
      try Interruption.check()
    }
    guard problems.isEmpty else {
      throw UserError(
        "\(problems.joined(separator: ", ")): findings", expected: "readers that return or refuse",
        found: "inputs kept in \(findings)",
        remedy: "Mend the reader and keep the input as a test (Tests/FuzzingTests/Resources).")
    }
  }

  /// "cov: 1234 ft: 5678 corp: 90/12Kb" of the last line that says it.
  private func lastCoverage(in log: String) throws -> String {
    let lines = String(decoding: try FileBytes.read(log), as: UTF8.self).split(separator: "\n")
    guard let line = lines.last(where: { $0.contains("cov: ") }),
      let start = line.range(of: "cov: ")
    else { return "see \(log)" }
    return line[start.lowerBound...].split(separator: " ").prefix(6).joined(separator: " ")
  }
}

/// A process of its own, started by `guide`.
struct Guided: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fuzzes one reader by coverage.", shouldDisplay: false)

  @Argument var reader: String
  @Option var seed: UInt32
  @Option var seconds: Int
  @Option var corpus: String
  @Option var keep: String?
  @Option var findings: String
  @Option var state: String
  /// A folder that the parent removes: libFuzzer ends the process itself.
  @Option var scratch: String
  /// What libFuzzer calls itself with, to read inputs that may end it in a process of their own.
  @Argument(parsing: .postTerminator) var passed: [String] = []

  func run() throws {
    let folder = try ScratchDirectory(in: scratch)
    try GuidedRun.run(
      FuzzTargets.named(reader, folder), called: command, seed: seed, seconds: seconds,
      corpus: corpus, kept: keep, passed: passed, findings: findings, scratch: folder,
      state: FuzzState(path: state))
  }

  /// This command, as a shell takes it: libFuzzer puts its own options behind it.
  private var command: String {
    let words = [
      CommandLine.arguments[0], "guided", reader, "--seed", "\(seed)", "--seconds", "\(seconds)",
      "--corpus", corpus, "--findings", findings, "--state", state, "--scratch", scratch, "--",
    ]
    return words.map { "'" + $0.replacing("'", with: #"'\''"#) + "'" }.joined(separator: " ")
  }
}
