import ArgumentParser
import Stages

/// Symbols to tokens. Running the stage is the default; other ways to tokenize are subcommands.
@main
struct Tokenize: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-tokenize",
    abstract: "Turn symbol shards into token shards.",
    version: versionText("ott-tokenize", stage: NGramStage.version),
    subcommands: [
      NGramStage.self, TrainCommand.self, EncodeCommand.self, DecodeCommand.self,
      ConfigureCommand.self, StatisticsCommand.self,
    ],
    defaultSubcommand: NGramStage.self)
}
