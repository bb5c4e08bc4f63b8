import ArgumentParser
import Contracts
import Evaluation
import Kernels
import Stages
import Support

/// The stage "materialize": a store of the rows of all f-grams of a run.
@main
struct Materialize: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-materialize",
    abstract: "Run the f-gram model of a run over all its f-grams, into a store.",
    discussion: """
      Parameter: precision (float32, or bfloat16 for half the size). Inputs: run, a training run with \
      model.fGrams, and fgrams, the output of ott-discover that its map set was made with. ott-evaluate \
      scores the run by the store where it is its input 'store'.
      """,
    version: versionText("ott-materialize", stage: Stage.materialize.version))

  @OptionGroup var options: StageOptions

  func run() throws {
    try BLAS.configure()
    try runStage(.materialize, options: options, libraries: BLAS.libraries) { context in
      let run = try MaterializeRun(context.configuration, threads: context.threads)
      try run.write(to: context.output, threads: context.threads, isQuiet: context.isQuiet)
      context.conclude(
        StageSummary("stored the rows of \(run.count) f-grams", amounts: ["f-grams": run.count]))
    }
  }
}
