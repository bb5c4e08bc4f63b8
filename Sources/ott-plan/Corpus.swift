import ArgumentParser
import Planning
import Stages
import Support
import Tokenization

/// `make tokenize` and `make plan-tokenize`.
struct CorpusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "corpus",
    abstract: "Plans the tokens of a corpus without an experiment: prints what is stale and why.")

  @Option(help: "A file, directory or glob.")
  var corpus: String

  @Option(help: "Tokens of the vocabulary, the end of a text included.")
  var vocabulary = 8192

  @Option(help: "Pre-tokenizer pattern.")
  var pattern = PretokenPattern.gpt2

  @Option(help: "Share of the documents in the validation part.")
  var validation = 0.01

  @Option(help: "Seed of the draw of that part.")
  var seed = 0

  @Flag(help: "Instead write the configurations and the make rules; print the path of the rules.")
  var rules = false

  func run() throws {
    let plan = try CorpusPlan(
      CorpusPlan.Request(
        corpus: corpus, vocabulary: vocabulary, pattern: pattern, validation: validation,
        splitSeed: seed))
    guard rules else { return try StandardOutput.write(plan.text()) }
    try plan.write()
    try StandardOutput.line(plan.path)
  }
}

extension PretokenPattern: ExpressibleByArgument {}
