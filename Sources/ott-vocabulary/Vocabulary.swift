import ArgumentParser
import Parallel
import Stages
import Support
import Tokenization

/// The stage "vocabulary": a corpus to a byte-level BPE tokenizer.
@main
struct Vocabulary: Command {
  static let stageVersion = 1

  static let configuration = CommandConfiguration(
    commandName: "ott-vocabulary",
    abstract: "Train a byte-level BPE tokenizer on one part of a corpus.",
    discussion: """
      Parameters: vocabulary (tokens, special ones included), pattern (gpt2, cl100k, none), \
      specialTokens (they get the first ids), minimumCount (of a pair to merge); part, split, seed \
      and validation as in the stage tokenize: which documents are read. Input: corpus. Writes \
      tokenizer.json and tokenizer.tiktoken.
      """,
    version: versionText("ott-vocabulary", stage: stageVersion))

  @OptionGroup var options: StageOptions

  func run() throws {
    try runStage("vocabulary", version: Self.stageVersion, options: options) { context in
      context.say(try Self.train(context))
    }
  }

  /// Runs the stage; returns the summary.
  private static func train(_ context: StageContext) throws -> String {
    var reader = try context.configuration.reader()
    let training = BytePairTraining(
      vocabularySize: try reader.int("vocabulary", in: 1...1 << 24),
      pattern: try reader.choice("pattern", PretokenPattern.self),
      specialTokens: try reader.strings("specialTokens"),
      minimumCount: Int64(try reader.int("minimumCount", in: 1...Int.max)))
    let part = try reader.choice("part", CorpusSplit.Part.self)
    let split = CorpusSplit(
      name: try reader.string("split"), seed: UInt64(try reader.int("seed", in: 0...Int.max)),
      validation: try reader.double("validation", in: 0...1))
    try reader.finish()
    try training.validate()
    let corpus = try Corpus(input: context.configuration.input("corpus"))
    let counter = try PretokenCounter.count(
      CorpusReader(corpus, split: split, part: part), pattern: training.pattern,
      pool: WorkerPool(threads: context.threads))
    let trained = try BytePairTrainer.train(training, on: counter)
    guard trained.tokens.count == training.vocabularySize else {
      throw UserError(
        "\(context.configuration.source): parameters.vocabulary",
        expected: "at most \(trained.tokens.count): no more pairs of the corpus occur "
          + "\(training.minimumCount) times", found: "\(training.vocabularySize)",
        remedy: "Lower vocabulary or take a larger corpus.")
    }
    let files = [BytePairModel.fileName, "tokenizer.tiktoken"]
    try AtomicFile.write(trained.huggingFaceJSON, to: "\(context.output)/\(files[0])")
    try AtomicFile.write(trained.tiktoken, to: "\(context.output)/\(files[1])")
    try StageIndex.write(
      to: context.output, configuration: context.configuration,
      content: [
        "files": try StageIndex.describe(files: files, in: context.output),
        "metadata": [
          "vocabulary": .integer(trained.tokens.count),
          "pattern": .string(training.pattern.rawValue),
          "bytes": .integer(counter.byteCount), "pretokens": .integer(counter.distinct),
        ],
      ])
    let seconds = context.evidence.wallSeconds
    context.evidence["bytesPerSecond"] = .double(Double(counter.byteCount) / seconds)
    return "trained \(trained.tokens.count) tokens on \(counter.byteCount) bytes "
      + "(\(counter.distinct) distinct pretokens) in \(Int(seconds * 1000)) ms"
  }
}
