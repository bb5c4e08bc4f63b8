import ArgumentParser
import Contracts
import Engine
import Foundation
import Kernels
import Stages
import Support
import Torch
import Training

@main
struct Train: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-train",
    abstract: "Trains a model on a map set.",
    discussion: """
      Writes weights at the evaluation points, metrics.jsonl and, last, index.json. A run that was \
      interrupted or killed goes on from its checkpoint when the same command is given again, and \
      ends with the same bytes as an undisturbed one. Processes that mpirun or srun has started \
      share the work.
      """,
    version: versionText("ott-train", stage: Stage.train.version))

  @OptionGroup var options: StageOptions
  @OptionGroup var ranks: RankOptions

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Write a checkpoint after this step and exit with 0; the same command without it goes on.",
      valueName: "step"))
  var stopAfter: Int?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "How ranks hold n-gram tables: sharded, each row on one of them, or replicated, all rows on all. "
        + "Results do not depend on it.", valueName: "how"))
  var tables = TablePlacement.sharded

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Where n-gram tables lie that a GPU trains: device, or host, this machine's memory "
        + "(default: on the device if it has room for them). Results do not depend on it.",
      valueName: "where"))
  var deviceTables: DeviceTablePlace?

  func validate() throws {
    if let stopAfter, stopAfter < 0 {
      throw ValidationError("--stop-after: expected a step from 0, found \(stopAfter).")
    }
  }

  func run() throws {
    try TrainingKernels.configure(output: options.output)
    Interruption.install()
    try Self.withRanks(ranks) { ranks in
      try runStage(.train, options: options, libraries: BLAS.libraries, ranks: ranks, body: train)
    }
  }

  private func train(_ context: StageContext) throws {
    let summary = try TrainingStage.run(
      context.configuration, output: context.output, threads: context.threads,
      isQuiet: context.isQuiet, title: context.title, stopAfter: stopAfter,
      ranks: context.ranks, tables: tables, tableMemory: deviceTables,
      shouldStop: { Interruption.requested })
    let text = summary.text(output: context.output)
    guard summary.outcome == .finished else {
      let signal = try context.ranks.broadcast(Int(Interruption.signal))
      if signal == 0 { throw CommonEnding(of: CleanExit.message(text)) }
      if context.ranks.decides { StandardError.write(text + "\n") }
      throw CommonEnding(of: InterruptedError(signal: Int32(signal)))
    }
    context.say(text)
    for (name, fact) in summary.facts { context.evidence[name] = fact }
  }
}

extension TablePlacement: ExpressibleByArgument {}
extension DeviceTablePlace: ExpressibleByArgument {}
