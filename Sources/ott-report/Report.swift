import ArgumentParser
import Contracts
import Reporting
import Stages
import Support

/// Scores to figures. Running the stage is the default.
@main
struct Report: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-report",
    abstract:
      "Makes a figure's CSV, verdicts on the paper's claims, and picture from evaluated runs.",
    version: versionText("ott-report", stage: Stage.report.version),
    subcommands: [
      ReportStage.self, PageCommand.self, DrawCommand.self, JudgeCommand.self,
      SimulateCommand.self, TensorBoardCommand.self,
    ],
    defaultSubcommand: ReportStage.self)
}

/// The stage "report".
struct ReportStage: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage", abstract: "Report a figure as a configuration says (the default).")

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage(.report, options: options, libraries: Drawing.libraries) { context in
      let claims = try FigureReport.write(context.configuration, to: context.output)
      context.evidence["published"] = try FigureReport.published(from: context.output)
      context.evidence["seconds"] = try FigureReport.seconds(context.configuration)
      for claim in claims { context.say(claim) }
    }
  }
}

/// `make pages`.
struct PageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "page",
    abstract: "Write README.md and index.html of results folders from the results in them.")

  @Flag(help: "Write nothing; fail if a page that is there is not what its results give.")
  var check = false

  @Option(help: "A document whose marked tables are written too, as README.md.")
  var excerpts: String?

  @Argument(help: "Folders: results/<preset>.")
  var folders: [String]

  func run() throws {
    for folder in folders {
      for (name, text) in try ResultsFolder(path: folder).pages() {
        try put(text, to: "\(folder)/\(name)")
      }
    }
    if let excerpts, FileBytes.exists(excerpts) {
      let document = String(decoding: try FileBytes.read(excerpts), as: UTF8.self)
      try put(Excerpt.filled(document, source: excerpts), to: excerpts)
    }
  }

  private func put(_ text: String, to path: String) throws {
    if FileBytes.exists(path), try FileBytes.read(path) == Array(text.utf8) { return }
    guard !check else {
      guard FileBytes.exists(path) else { return }
      throw UserError(
        path, expected: "what the results give", found: "another text", remedy: "Run: make pages")
    }
    try AtomicFile.write(text, to: path)
    try StandardOutput.line("\(path): written")
  }
}

/// `make pictures`.
struct DrawCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "draw",
    abstract: "Draw the pictures of results folders again, from the published CSVs.")

  @Argument(help: "Folders: results/<preset>.")
  var folders: [String]

  func run() throws {
    let environment = try Evidence.environment(libraries: Drawing.libraries)
    for folder in folders {
      for figure in try ResultsFolder(path: folder).figures {
        let redrawing = try Redrawing(figure: figure.name, in: folder)
        if try redrawing.run(environment: environment) == true {
          try StandardOutput.line("\(folder)/\(figure.name).svg: drawn")
        }
      }
    }
  }
}

/// `make verdicts`.
struct JudgeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "judge",
    abstract: "Judge the figures of results folders again, from the published CSVs.")

  @Argument(help: "Folders: results/<preset>.")
  var folders: [String]

  func run() throws {
    let environment = try Evidence.environment(libraries: [:])
    for folder in folders {
      for figure in try ResultsFolder(path: folder).figures {
        let rejudging = try Rejudging(figure: figure.name, in: folder)
        for name in try rejudging.run(environment: environment) {
          try StandardOutput.line("\(folder)/\(name): judged")
        }
      }
    }
  }
}

/// `make simulations`.
struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Try the rules of intervals and verdicts on made-up data whose truth is known.")

  @Option(help: "Draws of every row.")
  var draws = 2000

  @Option(help: "A CSV.")
  var output: String

  func validate() throws {
    guard (1...1_000_000).contains(draws) else {
      throw ValidationError("--draws: expected 1...1000000, found \(draws)")
    }
  }

  func run() throws {
    try AtomicFile.write(Simulation.csv(draws: draws), to: output)
    try StandardOutput.line("\(output): written")
  }
}
