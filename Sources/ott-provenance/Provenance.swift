import ArgumentParser
import Provenance
import Stages
import Support

@main
struct ProvenanceCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-provenance",
    abstract: "Says where a number comes from, and checks outputs and results by their digests.",
    version: versionText("ott-provenance"), subcommands: [Explain.self, Verify.self])
}

/// `make explain`.
struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Walks from a number back to settings, seeds, digests, code, libraries and machine.")

  @Argument(
    help: ArgumentHelp(
      "figure2.json:claims/0/accuracy/effect, or figure2.csv:17/accuracy (line, column).",
      valueName: "number"))
  var number: String

  @Option(help: "Where the file is, if it is only named: results/<preset>.")
  var preset = "laptop"

  func run() throws {
    for line in try Explanation(NumberAddress(number, preset: preset)).lines {
      try StandardOutput.line(line)
    }
  }
}

/// `make verify`.
struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks every finished output and every published result against its digests.")

  @Option(help: "Outputs, laid out as <stage>/<id>.")
  var data = "data"

  @Option(help: "Published results, laid out as <preset>/<file>.")
  var results = "results"

  @Option(help: "Worker threads.")
  var threads = Host.threads

  func validate() throws {
    try requireCount(threads, of: "--threads")
  }

  func run() throws {
    var verification = Verification(threads: threads)
    try verification.check(cache: data)
    try verification.check(results: results)
    for path in verification.unchecked {
      try StandardOutput.line("\(path): no evidence vouches for it, not checked")
    }
    try StandardOutput.line(
      "\(verification.outputs) outputs, \(verification.files) files, \(verification.bytes) bytes: "
        + (verification.faults.isEmpty ? "ok" : "\(verification.faults.count) faults"))
    guard let first = verification.faults.first else { return }
    for fault in verification.faults.dropFirst() { try StandardOutput.line(fault) }
    throw UserError(first)
  }
}
