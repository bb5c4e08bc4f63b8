import ArgumentParser
import Contracts
import Foundation
import Kernels
import Stages
import Support
import Training

@main
struct Train: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-train",
    abstract: "Trains a model on a map set.",
    discussion: """
      Writes weights at the evaluation points, metrics.jsonl and, last, index.json. A run that was \
      interrupted or killed goes on from its checkpoint when the same command is given again, and \
      ends with the same bytes as an undisturbed one.
      """,
    version: versionText("ott-train", stage: Stage.train.version))

  @OptionGroup var options: StageOptions

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Write a checkpoint after this step and exit with 0; the same command without it goes on.",
      valueName: "step"))
  var stopAfter: Int?

  func validate() throws {
    if let stopAfter, stopAfter < 0 {
      throw ValidationError("--stop-after: expected a step from 0, found \(stopAfter).")
    }
  }

  func run() throws {
    try BLAS.configure()
    Interruption.install()
    try runStage(.train, options: options, libraries: BLAS.libraries) { context in
      let summary = try TrainingStage.run(
        context.configuration, output: context.output, threads: context.threads,
        isQuiet: context.isQuiet, title: context.title, stopAfter: stopAfter,
        ranks: context.ranks, shouldStop: { Interruption.requested })
      let text = summary.text(output: context.output)
      guard summary.outcome == .finished else {
        if try context.agreed({ Interruption.requested }) {
          if context.ranks.decides {
            StandardError.write(text + "\n")
            try Interruption.check()
          }
          // Others end as rank 0 does.
          try context.ranks.barrier()
        }
        throw CleanExit.message(text)
      }
      context.say(text)
      for (name, fact) in summary.facts { context.evidence[name] = fact }
    }
  }
}
