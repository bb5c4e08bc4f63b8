import ArgumentParser
import Stages

/// The stage "map": tokens to the rows of n-gram input tables and the labels of the output.
@main
struct Map: Command {
  static let stageVersion = 1

  static let configuration = CommandConfiguration(
    commandName: "ott-map",
    abstract: "Map token shards to n-gram table rows and labels.",
    discussion: """
      Parameters: inputOrders (one table each: [3] naive, [1, 2, 3] hierarchical), outputOrder \
      (1 or, over 1-gram tokens, more), documentsPerShard. Input: tokens. Writes the columns \
      input0 … and label, one row for every predicted position.
      """,
    version: versionText("ott-map", stage: stageVersion))

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage("map", version: Self.stageVersion, options: options) { context in
      context.say(try MapPlan(context.configuration).run(context))
    }
  }
}
