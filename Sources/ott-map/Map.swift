import ArgumentParser
import Contracts
import DataStages
import Shards
import Stages

/// Tokens to rows and labels. Running the stage is the default.
@main
struct Map: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-map",
    abstract: "Map token shards to n-gram table rows and labels.",
    version: versionText("ott-map", stage: Stage.map.version),
    subcommands: [StageCommand.self, StatisticsCommand.self],
    defaultSubcommand: StageCommand.self)
}

/// The stage "map".
struct StageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage",
    abstract: "Map a token set as a configuration says (the default).",
    discussion: """
      kind grammar, over n-gram tokens of its symbols: parameters inputOrders (one table each: [3] naive, \
      [1, 2, 3] hierarchical), outputOrder (1 or, over 1-gram tokens, more), documentsPerShard. \
      Input: tokens. Writes the columns input0 … and label, one row for every predicted position.

      kind text, over byte-pair tokens: content ngramIDs (order; columns token, gram2 …, label: exact \
      ids, which serve tables of any size) or overEncoding (order, slices, rows, moduli; columns \
      token, input1 …, label), and documentsPerShard. Inputs: tokens, tokenizer.
      """)

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage(.map, options: options, libraries: ["zstd": Zstd.version]) { context in
      context.conclude(
        try MapStage.run(
          context.configuration, output: context.output, threads: context.threads))
    }
  }
}
