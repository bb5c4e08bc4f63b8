import ArgumentParser
import DataStages
import Shards
import Stages

/// Tokens to rows and labels. Running the stage is the default.
@main
struct Map: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-map",
    abstract: "Map token shards to n-gram table rows and labels.",
    version: versionText("ott-map", stage: MapStage.version),
    subcommands: [StageCommand.self, StatisticsCommand.self],
    defaultSubcommand: StageCommand.self)
}

/// The stage "map".
struct StageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage",
    abstract: "Map a token set as a configuration says (the default).",
    discussion: """
      Over n-gram tokens of a grammar's symbols: parameters inputOrders (one table each: [3] naive, \
      [1, 2, 3] hierarchical), outputOrder (1 or, over 1-gram tokens, more), documentsPerShard. \
      Input: tokens. Writes the columns input0 … and label, one row for every predicted position.

      Over byte-pair tokens: kind ngramIDs (order; columns token, gram2 …, label: exact ids, which \
      serve tables of any size) or kind overEncoding (order, slices, rows, moduli; columns token, \
      input1 …, label), and documentsPerShard. Inputs: tokens, tokenizer.
      """)

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage(
      "map", version: MapStage.version, options: options, libraries: ["zstd": Zstd.version]
    ) { context in
      context.conclude(
        try MapStage.run(
          context.configuration, output: context.output, threads: context.threads))
    }
  }
}
