import ArgumentParser
import Foundation
import Fuzzing
import Stages
import Support

@main
struct Fuzz: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-fuzz",
    abstract: "Feeds damaged files to every reader and counts what they make of them.",
    discussion: """
      Inputs are numbered: number i of a reader is a function of --seed, the reader's name and i, so \
      `ott-fuzz show READER i` gives any of them again. A worker process reads them; when one ends it, \
      the input is kept and the next worker goes on behind it. With --output, a run begins behind the \
      last input that the file counts, and adds its own.
      """,
    version: versionText("ott-fuzz"),
    subcommands: [All.self, Worker.self, Show.self, Guide.self, Guided.self],
    defaultSubcommand: All.self)
}

/// `make fuzz`.
struct All: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "all", abstract: "Fuzzes every reader for a while.")

  @Option(help: "Minutes of all readers together.")
  var minutes = 10.0

  @Option(help: "Another seed is another sequence of inputs.")
  var seed: UInt64 = 1

  @Option(help: "Only this reader; can be given several times.")
  var reader: [String] = []

  @Option(help: "Leave out readers of which --output counts so many inputs.")
  var inputs: UInt64?

  @Option(help: "Worker processes at a time.")
  var workers = Host.threads

  @Option(help: "CSV that the counts are added to. Inputs that it counts are not read again.")
  var output: String?

  @Option(help: "Folder for inputs that ended a worker.")
  var findings = "data/fuzz"

  func validate() throws {
    try requireCount(workers, of: "--workers")
    guard minutes > 0, minutes <= 1e6 else {
      throw ValidationError("--minutes: expected more than 0, found \(minutes).")
    }
  }

  func run() throws {
    Interruption.install()
    let scratch = try ScratchDirectory()
    for name in reader { _ = try FuzzTargets.named(name, scratch) }
    let names = try FuzzTargets.all(scratch).map(\.name)
      .filter { reader.isEmpty || reader.contains($0) }
    var campaign = try FuzzCampaign(
      program: CommandLine.arguments[0], seed: seed, workers: workers, scratch: scratch.path,
      findings: findings, output: output)
    try campaign.fuzz(names, seconds: minutes * 60, goal: inputs)
    try campaign.finish()
  }
}

/// A process of its own, started by `all`.
struct Worker: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Reads the inputs of one reader.", shouldDisplay: false)

  @Argument var reader: String
  @Option var seed: UInt64
  @Option var first: UInt64
  @Option var stride: UInt64
  @Option var seconds: Double
  @Option var state: String

  func run() throws {
    let scratch = try ScratchDirectory()
    let target = try FuzzTargets.named(reader, scratch)
    let state = try FuzzState(path: state)
    FuzzWorker.limitMemory()
    do {
      try FuzzWorker.run(
        target, seed: seed, first: first, stride: stride, seconds: seconds, state: state,
        isAlone: true)
    } catch let finding as Finding {
      throw UserError(finding.description)
    }
  }
}

struct Show: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes one input to standard output, or reads it.")

  @Argument var reader: String
  @Argument var number: UInt64
  @Option var seed: UInt64 = 1

  @Flag(help: "Give it to the reader and say what it makes of it.")
  var read = false

  func run() throws {
    let scratch = try ScratchDirectory()
    let target = try FuzzTargets.named(reader, scratch)
    let input = target.input(number, target.mutator(seed: seed))
    guard read else { return try StandardOutput.write(input.bytes) }
    let result = Result { try target.read(input.bytes) }
    switch result {
    case .success: try StandardOutput.line("accepted")
    case .failure(let error): try StandardOutput.line("\(error)")
    }
  }
}
