import ArgumentParser

/// Which weights of which finished run are meant, and what its data were made with.
package struct RunOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The directory of a finished training run.", valueName: "dir"))
  package var run: String

  @Option(
    help: ArgumentHelp("Step whose weights are meant (default: the last).", valueName: "step"))
  package var snapshot: Int?

  @Option(
    help: ArgumentHelp(
      "The run's tokenizer (default: where its evidence says).", valueName: "path"))
  package var tokenizer: String?

  @Option(
    help: ArgumentHelp(
      "The f-grams of the run's data (default: where its evidence says).", valueName: "dir"))
  package var fgrams: String?

  package init() {}
}
