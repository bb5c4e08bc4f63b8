import ArgumentParser
import Evaluation
import Stages
import Support

/// The stage "evaluate": a training run's snapshots against the grammar.
@main
struct Evaluate: Command {
  static let stageVersion = 1

  static let configuration = CommandConfiguration(
    commandName: "ott-evaluate",
    abstract: "Score every snapshot of a training run against its grammar.",
    discussion: """
      Generates sentences from raw next-token probabilities and checks them with the grammar \
      (accuracy, Wilson interval); scores held-out sentences exactly in nats per character, with the \
      excess over the grammar on the same sentences and the divergence from its exact next-token \
      distributions. Inputs: run (a training run), heldout (a sample set).
      """,
    version: versionText("ott-evaluate", stage: stageVersion))

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage("evaluate", version: Self.stageVersion, options: options) { context in
      let evaluation = try EvaluationRun(context.configuration)
      let scores = try evaluation.write(to: context.output, threads: context.threads) { score in
        context.say(
          "step \(score.snapshot.step): accuracy \(score.accuracy.share.rounded(to: 4)),"
            + " \(score.heldOut.loss.ratio.rounded(to: 5)) nats per character,"
            + " excess \(score.heldOut.excess.ratio.rounded(to: 5))"
            + " ± \(score.heldOut.excess.standardError.rounded(to: 5))")
      }
      context.evidence["secondsPerSnapshot"] = .double(
        context.evidence.wallSeconds / Double(scores.count))
      context.say(
        "evaluated \(scores.count) snapshots in \(context.evidence.wallSeconds.rounded(to: 2)) s")
    }
  }
}

extension Double {
  /// To so many decimals, for people.
  fileprivate func rounded(to decimals: Int) -> Double {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    return (self * scale).rounded() / scale
  }
}
