import ArgumentParser
import Contracts
import Kernels
import Planning
import Stages
import Support

@main
struct PlanCommand: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-plan",
    abstract:
      "Expands a figure to stage runs: what is stale, why, at what cost, and the make rules.",
    version: versionText("ott-plan"),
    subcommands: [
      Show.self, Together.self, Rules.self, List.self, Explain.self, CorpusCommand.self,
    ],
    defaultSubcommand: Show.self)
}

struct FigureOptions: ParsableArguments {
  @Option(help: "A figure: pipeline/<figure>.yaml.")
  var figure = "figure2"

  @Option(help: "A scale: pipeline/presets/<preset>.yaml.")
  var preset = "laptop"

  func graph() throws -> StageGraph {
    try StageGraph(Experiment(figure: figure, preset: preset))
  }
}

/// `make plan`.
struct Show: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints the run table with states and costs. Writes nothing.")

  @OptionGroup var options: FigureOptions

  @Option(help: "Cores to plan for (default: this machine's).")
  var threads = Host.threads

  func validate() throws {
    try requireCount(threads, of: "--threads", upTo: 1 << 20)
  }

  func run() throws {
    try BLAS.configure()
    let plan = try Plan(options.graph(), rates: Calibration.rates(threads: threads), cores: threads)
    try StandardOutput.write(try plan.text())
    try StandardOutput.write(PublishedVerdicts.advice(plan.graph.experiment))
  }
}

/// `make plan FIGURE=paper`.
struct Together: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints what several figures cost together: what they share counts once.")

  @Option(help: "A scale of each of them.")
  var preset = "laptop"

  @Option(help: "Cores to plan for (default: this machine's).")
  var threads = Host.threads

  @Argument(help: "Figures: pipeline/<figure>.yaml.")
  var figures: [String]

  func validate() throws {
    try requireCount(threads, of: "--threads", upTo: 1 << 20)
  }

  func run() throws {
    try BLAS.configure()
    let rates = Calibration.rates(threads: threads)
    let plans = try figures.map {
      try Plan(
        StageGraph(Experiment(figure: $0, preset: preset)), rates: rates, cores: threads)
    }
    try StandardOutput.write(SharedPlan(plans).text)
  }
}

/// What the Makefile includes.
struct Rules: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes the stages' configurations and the make rules below data/.")

  @OptionGroup var options: FigureOptions

  @Option(help: "Where trainings on a device are to have their n-gram tables.")
  var deviceTables: String?

  func run() throws {
    let graph = try options.graph()
    if let deviceTables { try graph.requireDevice(forTables: deviceTables) }
    // The order of starting needs only ratios: any one rate gives it, and always the same.
    let costs = try CostModel(graph, rates: Rates { _, _, _ in 1e10 }, threads: 1).costs()
    try MakeRules(graph).write(order: Plan.startOrder(of: graph, costs: costs))
  }
}

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints id and name of every run of one stage.")

  @OptionGroup var options: FigureOptions

  @Option(help: "One of \(Stage.allCases.map(\.rawValue).joined(separator: ", ")).")
  var stage: String

  @Option(
    name: .customLong("run"), help: "`all`, `first`, or the name of a run: only what that run uses."
  )
  var runName = "all"

  func run() throws {
    guard let stage = Stage(rawValue: self.stage) else {
      let names = Stage.allCases.map(\.rawValue)
      throw UserError(
        "--stage", expected: "one of \(names.joined(separator: ", "))", found: "'\(self.stage)'",
        remedy: EditDistance.nearest(to: self.stage, among: names).map { "Did you mean '\($0)'?" })
    }
    for node in try options.graph().nodes(of: stage, run: runName) {
      try StandardOutput.line("\(node.id) \(node.label)")
    }
  }
}

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints every setting of one run and the file it came from.")

  @OptionGroup var options: FigureOptions

  @Argument(help: ArgumentHelp("A run as in the plan; without it, the first.", valueName: "run"))
  var runName: String?

  func run() throws {
    let experiment = try Experiment(figure: options.figure, preset: options.preset)
    let run = try runName.map(experiment.run) ?? experiment.runs[0]
    try StandardOutput.line(run.name)
    var table = TextTable(["setting", "value", "from"])
    for (path, entry) in run.settings.entries.sorted(by: { $0.key < $1.key }) {
      table.add([path, entry.value.canonicalJSON, entry.origin])
    }
    try StandardOutput.write(table.text)
  }
}
