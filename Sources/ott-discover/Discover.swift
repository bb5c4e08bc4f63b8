import ArgumentParser
import Contracts
import DataStages
import Shards
import Stages
import Support

/// The stage "discover": the n-grams that occur often in a token set.
@main
struct Discover: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-discover",
    abstract: "Find the f-grams of a token set: its frequent n-grams, with exact counts.",
    discussion: """
      Parameters: longest (n-grams of 2 to so many tokens), minimumCount (occurrences of one that is \
      kept, inside documents). Input: tokens, a token set of kind text. Writes one row an f-gram, by \
      length and tokens: prefix, token, count.
      """,
    version: versionText("ott-discover", stage: Stage.discover.version))

  @OptionGroup var options: StageOptions

  @Option(
    help: ArgumentHelp(
      "Memory for counting, in MB; what exceeds it goes to files in the output directory, which are "
        + "gone at the end. Results do not depend on it. (default: half of the machine's)",
      valueName: "MB"))
  var memory = max(1, Host.memoryBytes >> 21)

  func validate() throws { try requireCount(memory, of: "--memory", upTo: 1 << 30) }

  func run() throws {
    try runStage(.discover, options: options, libraries: ["zstd": Zstd.version]) { context in
      context.conclude(
        try DiscoverStage(context.configuration).run(
          output: context.output, threads: context.threads, memoryBytes: memory << 20))
    }
  }
}
