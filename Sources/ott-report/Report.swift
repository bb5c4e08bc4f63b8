import ArgumentParser
import Contracts
import Reporting
import Stages
import Support

@main
struct Report: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-report",
    abstract:
      "Makes a figure's CSV, verdicts on the paper's claims, and picture from evaluated runs.",
    version: versionText("ott-report", stage: Stage.report.version))

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage(.report, options: options) { context in
      let claims = try FigureReport.write(context.configuration, to: context.output)
      context.evidence["published"] = try FigureReport.published(from: context.output)
      context.evidence["seconds"] = try FigureReport.seconds(context.configuration)
      for claim in claims { context.say(claim) }
    }
  }
}
