import ArgumentParser
import Contracts
import DataStages
import Stages

/// The stage "vocabulary": a corpus to a byte-level BPE tokenizer.
@main
struct Vocabulary: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-vocabulary",
    abstract: "Train a byte-level BPE tokenizer on one part of a corpus.",
    discussion: """
      Parameters: vocabulary (tokens, special ones included), pattern (gpt2, cl100k, none), \
      specialTokens (they get the first ids), minimumCount (of a pair to merge); part, heldoutShare, \
      split and splitSeed as in the stage tokenize: which documents are read. Input: corpus. Writes \
      tokenizer.json and tokenizer.tiktoken.
      """,
    version: versionText("ott-vocabulary", stage: Stage.vocabulary.version))

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage(.vocabulary, options: options) { context in
      context.conclude(
        try VocabularyStage(context.configuration).run(
          output: context.output, threads: context.threads))
    }
  }
}
