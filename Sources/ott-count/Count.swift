import ArgumentParser
import Contracts
import Evaluation
import Shards
import Stages
import Support

/// The stage "count": n-gram models of the text that a run trains on.
@main
struct Count: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-count",
    abstract: "Count the n-grams of what a run trains on, and score models of them on text.",
    discussion: """
      Interpolated, modified Kneser-Ney models of the orders 2 to order, of the windows that a \
      training run with these steps, batchSequences, dataSeed and context reads, each once. They \
      are scored as ott-evaluate scores the run: nats per token, perplexity and bits per byte on \
      every map set among the inputs beside data, every token once (stride, positions).
      """,
    version: versionText("ott-count", stage: Stage.count.version))

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage(.count, options: options, libraries: ["zstd": Zstd.version]) { context in
      let run = try CountRun(context.configuration, threads: context.threads)
      let (events, _) = try run.write(to: context.output) { order in
        for (name, scores) in order.sets {
          context.say(
            "\(order.order)-gram, \(name): \(scores.tokens) tokens,"
              + " \(scores.natsPerToken(scores.documents).ratio.rounded(to: 4)) nats per token,"
              + " perplexity \(scores.perplexity.rounded(to: 3))")
        }
      }
      context.evidence["tokensPerSecond"] = .double(
        Double(events) / context.evidence.wallSeconds)
      context.say("counted \(events) tokens in \(context.evidence.wallSeconds.rounded(to: 2)) s")
    }
  }
}
