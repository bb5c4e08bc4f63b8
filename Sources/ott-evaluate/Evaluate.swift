import ArgumentParser
import Contracts
import Evaluation
import Kernels
import Shards
import Stages
import Support

/// The stage "evaluate": a training run's snapshots against the grammar, or on text.
@main
struct Evaluate: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-evaluate",
    abstract: "Score every snapshot of a training run against its grammar, or on text.",
    discussion: """
      Of a grammar: generates sentences from raw next-token probabilities and checks them with the \
      grammar (accuracy, Wilson interval); scores held-out sentences exactly in nats per character, \
      with the excess over the grammar on the same sentences and the divergence from its exact \
      next-token distributions. Inputs: run (a training run), heldout (a map set of held-out \
      sentences, mapped as the run's data), symbols (the sample set it was made from).

      Of text (kind text): nats per token, perplexity and bits per byte with standard \
      errors, on every map set among the inputs beside run. Every token is scored once, behind at \
      least context − stride others; parameters stride, batchPositions, positions, finalPositions, \
      onlyLast. With the output of ott-materialize as input store, rows of f-grams are read from it.

      Processes that mpirun or srun has started share the sentences; no byte depends on how many.
      """,
    version: versionText("ott-evaluate", stage: Stage.evaluate.version))

  @OptionGroup var options: StageOptions
  @OptionGroup var ranks: RankOptions

  func run() throws {
    try BLAS.configure()
    let libraries = BLAS.libraries.merging(["zstd": Zstd.version]) { blas, _ in blas }
    try Self.withRanks(ranks) { ranks in
      try runStage(
        .evaluate, options: options, libraries: libraries, ranks: ranks, body: evaluate)
    }
  }

  private func evaluate(_ context: StageContext) throws {
    let count =
      switch try EvaluateParameters(context.configuration) {
      case .grammar(let parameters): try scoreGrammar(context, parameters)
      case .text(let parameters): try scoreText(context, parameters)
      }
    guard context.ranks.decides else { return }
    context.evidence["secondsPerSnapshot"] = .double(
      context.evidence.wallSeconds / Double(count))
    context.say(
      "evaluated \(count) snapshots in \(context.evidence.wallSeconds.rounded(to: 2)) s")
  }

  /// What computes the scores, where that is no CPU: its library decides bits.
  private func say(_ device: TorchDevice?, in context: StageContext) throws {
    guard let device else { return }
    for (key, text) in try DeviceModel.evidence(device) { context.evidence[key] = .string(text) }
  }

  private func scoreGrammar(
    _ context: StageContext, _ parameters: GrammarEvaluateParameters
  ) throws -> Int {
    let evaluation = try EvaluationRun(context.configuration, parameters)
    try say(parameters.device, in: context)
    let scores = try evaluation.write(
      to: context.output, threads: context.threads, ranks: context.ranks
    ) { score in
      context.say(
        "step \(score.snapshot.step): accuracy \(score.accuracy.share.rounded(to: 4)),"
          + " \(score.heldOut.loss.ratio.rounded(to: 5)) nats per character,"
          + " excess \(score.heldOut.excess.ratio.rounded(to: 5))"
          + " ± \(score.heldOut.excess.standardError.rounded(to: 5))"
          + (score.drafts.map { ", \($0.tokensPerPass.rounded(to: 2)) tokens a pass" } ?? ""))
    }
    return scores.count
  }

  private func scoreText(
    _ context: StageContext, _ parameters: TextEvaluateParameters
  ) throws -> Int {
    let evaluation = try TextEvaluationRun(
      context.configuration, parameters, threads: context.threads)
    try say(parameters.device, in: context)
    let scores = try evaluation.write(
      to: context.output, threads: context.threads, ranks: context.ranks
    ) { score in
      for (name, scores) in score.sets {
        context.say(
          "step \(score.snapshot.step), \(name): \(scores.tokens) tokens,"
            + " \(scores.natsPerToken(scores.documents).ratio.rounded(to: 4)) nats per token,"
            + " perplexity \(scores.perplexity.rounded(to: 3)),"
            + " \(scores.bitsPerByte(scores.documents).ratio.rounded(to: 4)) bits per byte")
      }
    }
    let tokens = scores.reduce(0) { $0 + $1.sets.reduce(0) { $0 + $1.scores.tokens } }
    context.evidence["tokensPerSecond"] = .double(Double(tokens) / context.evidence.wallSeconds)
    return scores.count
  }
}
