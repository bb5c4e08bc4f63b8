import ArgumentParser
import Benchmark
import Stages
import Support
import Tokenization

struct Tokenizers: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time encoding and training of byte-pair tokenizers.",
    subcommands: [Encode.self, Train.self, Read.self])

  struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Encode the documents; a line per pass: cold or warm, seconds, ids, cache bytes.")

    @Option(help: "Tokenizer file.") var tokenizer: String
    @Option(help: "Pattern of a file that names none.") var pattern: PretokenPattern?
    @Option(help: "Worker threads.") var threads = 1
    @Option(help: "Passes over the documents; only the first is cold.") var passes = 2
    @Flag(help: "Take special tokens in the text for ordinary text.") var ordinary = false
    @Option(help: "Write the ids of the last pass (u32) here.") var ids: String?
    @Option(help: "Write the number of ids of each document (u64) here.") var counts: String?
    @Argument(help: "Zero-terminated documents.") var file: String

    func validate() throws {
      try requireCount(threads, of: "--threads")
      if passes < 1 { throw ValidationError("--passes: expected 1 or more, found \(passes).") }
    }

    func run() throws {
      for output in [ids, counts].compactMap({ $0 }) {
        try OutputPath.require(file: output, apartFrom: [tokenizer, file])
      }
      let model = try BytePairModel.load(path: tokenizer, pattern: pattern)
      let bench = TokenizerBench(documents: try FileBytes.read(file), threads: threads)
      let encoded = try bench.encode(model, passes: passes, findsSpecialTokens: !ordinary) {
        try tell("\($0 == 0 ? "cold" : "warm") \($1.seconds) \($1.ids) \($1.cacheBytes)")
      }
      if let ids { try AtomicFile.write(encoded.ids.withUnsafeBytes { Array($0) }, to: ids) }
      if let counts {
        try AtomicFile.write(encoded.counts.withUnsafeBytes { Array($0) }, to: counts)
      }
    }
  }

  struct Read: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read a corpus; a line per pass: seconds of CPU, documents, bytes of text.")

    @Option(help: "Passes over the files.") var passes = 3
    @Flag(help: "Draw which documents are held out, as training does.") var split = false
    @Argument(help: "Files, directories, globs.") var corpus: [String]

    func run() throws {
      let corpus = try Corpus(corpus)
      for _ in 0..<passes {
        let reading = try TokenizerBench.read(corpus, split: split)
        try tell("\(reading.seconds) \(reading.documents) \(reading.bytes)")
      }
    }
  }

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Train on the documents; a line per run: seconds, seconds of counting, pretokens.")

    @Option(help: "Tokens.") var vocabulary = 32768
    @Option(help: "Pattern.") var pattern = PretokenPattern.gpt2
    @Option(help: "Worker threads.") var threads = 1
    @Option(help: "Runs.") var runs = 1
    @Option(help: "Write the last run's tokenizer.json here.") var output: String?
    @Argument(help: "Zero-terminated documents.") var file: String

    func validate() throws {
      try requireCount(threads, of: "--threads")
      if runs < 1 { throw ValidationError("--runs: expected 1 or more, found \(runs).") }
    }

    func run() throws {
      if let output { try OutputPath.require(file: output, apartFrom: [file]) }
      let bench = TokenizerBench(documents: try FileBytes.read(file), threads: threads)
      let training = BytePairTraining(vocabularySize: vocabulary, pattern: pattern)
      for run in 1...runs {
        let result = try bench.train(training)
        try tell("\(result.seconds) \(result.countingSeconds) \(result.pretokens)")
        if let output, run == runs {
          try AtomicFile.write(result.trained.huggingFaceJSON, to: output)
        }
      }
    }
  }
}

extension PretokenPattern: ExpressibleByArgument {}
