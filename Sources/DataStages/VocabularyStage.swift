import Contracts
import Parallel
import Support
import Tokenization

/// The stage "vocabulary": a corpus to a byte-level BPE tokenizer.
package struct VocabularyStage: Sendable {
  private let configuration: StageConfiguration
  private let parameters: VocabularyParameters
  private let corpus: Corpus

  /// Checks the parameters and the corpus.
  package init(_ configuration: StageConfiguration) throws {
    self.configuration = configuration
    parameters = try VocabularyParameters(configuration)
    corpus = try Corpus(input: configuration.input("corpus"))
  }

  /// Writes the tokenizer's files and the index into `output`.
  ///
  /// - Throws: `UserError` when the corpus has too few pairs for the vocabulary.
  package func run(output: String, threads: Int) throws -> StageSummary {
    let training = parameters.training
    let result = try TokenizerTraining(
      training,
      on: CorpusReader(corpus, split: parameters.corpusSplit, part: parameters.part),
      part: parameters.part, threads: threads)
    guard result.trained.tokens.count == training.vocabularySize else {
      throw UserError(
        "\(configuration.source): parameters.vocabulary",
        expected: "at most \(result.trained.tokens.count): no more pairs of the corpus occur "
          + "\(training.minimumCount) times", found: "\(training.vocabularySize)",
        remedy: "Lower vocabulary or take a larger corpus.")
    }
    let files = try result.write(to: output)
    try StageIndex.write(
      to: output, configuration: configuration,
      content: [
        "files": try StageIndex.describe(files: files, in: output),
        "metadata": [
          "vocabulary": .integer(result.trained.tokens.count),
          "pattern": .string(training.pattern.rawValue),
          "bytes": .integer(result.bytes), "pretokens": .integer(result.pretokens),
        ],
      ])
    return StageSummary(result.text, amounts: ["bytes": result.bytes])
  }
}

/// A tokenizer trained on a corpus, and the files that hold it.
package struct TokenizerTraining {
  package let trained: TrainedTokenizer
  /// Of the text, and distinct pretokens in it.
  package let bytes, pretokens: Int

  /// - Throws: `UserError` when `part`, which is what the reader reads, has no document.
  package init(
    _ training: BytePairTraining, on reader: CorpusReader, part: CorpusSplit.Part = .train,
    threads: Int
  ) throws {
    try training.validate()
    let counter = try PretokenCounter.count(
      reader, pattern: training.pattern, pool: WorkerPool(threads: threads))
    try reader.require(part)
    trained = try BytePairTrainer.train(training, on: counter)
    bytes = counter.byteCount
    pretokens = counter.distinct
  }

  /// Writes the files into the directory `output`; returns their names.
  package func write(to output: String) throws -> [String] {
    let files = [
      (BytePairModel.fileName, trained.huggingFaceJSON), ("tokenizer.tiktoken", trained.tiktoken),
    ]
    for (name, text) in files { try AtomicFile.write(text, to: "\(output)/\(name)") }
    return files.map(\.0)
  }

  package var text: String {
    "trained \(trained.tokens.count) tokens on \(bytes) bytes (\(pretokens) distinct pretokens)"
  }
}
