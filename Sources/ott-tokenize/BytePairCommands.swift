import ArgumentParser
import Contracts
import DataStages
import Foundation
import Stages
import Support
import Tokenization

/// Which documents of a corpus are held out.
struct SplitOptions: ParsableArguments {
  @Option(help: "Share of the documents held out for validation.") var validation = 0.01
  @Option(help: "Name of the random stream that draws them.") var split = "split"
  @Option(help: "Seed of that stream.") var seed: UInt64 = 0
  @Option(
    help: "Documents that begin with the same words, so many, are drawn together; 0: one by one.")
  var groupWords = 0
  @Option(help: "Longer documents are cut into blocks of so many bytes, drawn apart; 0: whole.")
  var blockBytes = 0

  func validate() throws {
    if !(0...1).contains(validation) { throw ValidationError("--validation must be in 0...1.") }
    if !(0...1000).contains(groupWords) {
      throw ValidationError("--group-words must be in 0...1000.")
    }
    if blockBytes != 0 && blockBytes < 64 {
      throw ValidationError("--block-bytes must be 0 or at least 64.")
    }
    if seed > UInt64(Int.max) { throw ValidationError("--seed must be below 2^63.") }
  }

  var value: CorpusSplit {
    CorpusSplit(
      name: split, seed: seed, validation: validation, groupWords: groupWords,
      blockBytes: blockBytes)
  }
}

/// A tokenizer file.
struct TokenizerOptions: ParsableArguments {
  @Option(
    help:
      "tokenizer.json, vocab.json with merges.txt beside it, a .tiktoken file, or their directory.")
  var tokenizer: String
  @Option(
    help: "Pattern of a file that names none (.tiktoken, vocab.json): \(PretokenPattern.names).")
  var pattern: PretokenPattern?

  func load() throws -> BytePairModel { try .load(path: tokenizer, pattern: pattern) }
}

extension PretokenPattern: ExpressibleByArgument {
  static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension Corpus {
  /// The corpus that a command line names; says what of it is not read.
  static func named(_ arguments: [String]) throws -> Corpus {
    let corpus = try Corpus(arguments)
    if let note = corpus.leftOut {
      StandardError.write("note: \(note)\n")
    }
    return corpus
  }
}

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train a byte-level BPE tokenizer on text files.")

  @Option(help: "Number of tokens, special ones included.") var vocabulary: Int
  @Option(help: "Pre-tokenizer pattern: \(PretokenPattern.names).")
  var pattern = PretokenPattern.gpt2
  @Option(help: "A special token; they get the first ids.") var special: [String] = []
  @Option(help: "Least number of occurrences of a pair to merge.") var minimumCount: Int64 = 1
  @OptionGroup var split: SplitOptions
  @Option(help: "Worker threads (default: all).") var threads = Host.threads
  @Option(help: "Directory for tokenizer.json, vocab.json, merges.txt and tokenizer.tiktoken.")
  var output: String
  @Argument(help: "Files, directories, globs.") var corpus: [String]

  func validate() throws {
    try requireCount(threads, of: "--threads")
  }

  func run() throws {
    try Host.requireBuildFeatures()
    let training = BytePairTraining(
      vocabularySize: vocabulary, pattern: pattern, specialTokens: special,
      minimumCount: minimumCount)
    try training.validate()
    let texts = try Corpus.named(corpus)
    try OutputPath.require(file: "\(output)/\(BytePairModel.fileName)", apartFrom: corpus)
    let start = Host.monotonicSeconds
    let reader = CorpusReader(texts, split: split.value)
    let result = try TokenizerTraining(training, on: reader, threads: threads)
    try reader.require(.validation)
    try AtomicFile.makeDirectory(output)
    _ = try result.write(to: output)
    try StandardOutput.line("\(result.text) in \(Int((Host.monotonicSeconds - start) * 1000)) ms")
    try writePair(result.trained)
    if result.trained.tokens.count < vocabulary {
      try StandardOutput.line(
        "no more pairs occur \(minimumCount) times: \(vocabulary) tokens were asked for")
    }
  }

  /// `vocab.json` and `merges.txt`, or, where a merge cannot be written there, neither.
  private func writePair(_ trained: TrainedTokenizer) throws {
    let (vocabulary, merges) = (output + "/vocab.json", output + "/merges.txt")
    guard let text = trained.mergesText else {
      for path in [vocabulary, merges] { unlink(path) }
      try StandardOutput.line("no merges.txt: a merge reads as the line that names its version")
      return
    }
    try AtomicFile.write(trained.vocabularyJSON, to: vocabulary)
    try AtomicFile.write(text, to: merges)
    if pattern != .gpt2 {
      try StandardOutput.line(
        "vocab.json and .tiktoken files name no pattern: give --pattern \(pattern.rawValue)")
    }
  }
}
