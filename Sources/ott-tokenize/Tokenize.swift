import ArgumentParser
import Contracts
import DataStages
import Shards
import Stages

/// Symbols or text to tokens. Running the stage is the default; other ways to tokenize are subcommands.
@main
struct Tokenize: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-tokenize",
    abstract: "Turn symbol shards or text into token shards.",
    version: versionText("ott-tokenize", stage: Stage.tokenize.version),
    subcommands: [
      StageCommand.self, TrainCommand.self, EncodeCommand.self, DecodeCommand.self,
      ConfigureCommand.self, ImportCommand.self, StatisticsCommand.self,
    ],
    defaultSubcommand: StageCommand.self)
}

/// The stage "tokenize".
struct StageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stage",
    abstract: "Tokenize a sample set or a corpus as a configuration says (the default).",
    discussion: """
      kind grammar: parameters order (1, 2, 3 …), documentsPerShard; input symbols. Every document \
      becomes BOS, its n-grams from left to right, one shorter gram if symbols are left over, EOS.

      kind text: text files to byte-pair tokens. `make tokenize` writes its configuration, and for a \
      tokenizer of your own `ott-tokenize configure`.
      """)

  @OptionGroup var options: StageOptions

  func run() throws {
    let libraries = ["zstd": Zstd.version]
    try runStage(.tokenize, options: options, libraries: libraries) { context in
      context.conclude(
        try TokenizeStage.run(
          context.configuration, output: context.output, threads: context.threads,
          isQuiet: context.isQuiet))
    }
  }
}
