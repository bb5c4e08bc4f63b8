import ArgumentParser
import Exchange
import Kernels
import Stages
import Support

/// A finished run as a directory that others load. Writing it is the default.
@main
struct Export: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-export",
    abstract: "Write a finished run as a Hugging Face directory.",
    version: versionText("ott-export"),
    subcommands: [ModelCommand.self, AnswersCommand.self], defaultSubcommand: ModelCommand.self)
}

extension RunOptions {
  func load() throws -> FinishedRun {
    try FinishedRun(run: run, step: snapshot, tokenizer: tokenizer, fGrams: fgrams)
  }
}

struct ModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Write the directory (the default).",
    discussion: """
      config.json, model.safetensors, generation_config.json, the tokenizer of runs over text, and a \
      model card. GPT-2, OLMo 2 and OLMoE load with from_pretrained alone; over-encoded models, f-grams and \
      n-gram inputs with trust_remote_code=True. The directory appears whole or not at all; only an untouched \
      earlier export is overwritten.
      """)

  @OptionGroup var options: RunOptions

  @Option(help: ArgumentHelp("The directory to write.", valueName: "dir")) var to: String

  @Option(help: "Bytes of weights in a file, beyond which they are sharded.")
  var shardBytes = ExportDirectory.usualShardBytes

  func validate() throws {
    try requireCount(shardBytes, of: "--shard-bytes", upTo: 1 << 50)
    guard !to.isEmpty else { throw ValidationError("--to must not be empty.") }
  }

  func run() throws {
    let directory = try ExportDirectory(options.load(), shardBytes: shardBytes)
    try directory.write(to: to)
    let (headClass, needsCode, bytes) = directory.summary
    try StandardOutput.line(
      "\(to): \(headClass)\(needsCode ? ", with trust_remote_code" : ""), "
        + "\(Progress.short(Double(bytes)))B of weights")
  }
}

struct AnswersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "answers",
    abstract: "Write what the run itself says to prompts, to compare an export with.",
    discussion: """
      A safetensors file: logProbabilities (rows, V) behind every token of every prompt, and generated \
      (prompts, n), the most probable tokens behind each.
      """)

  @OptionGroup var options: RunOptions

  @Option(help: ArgumentHelp("Lines of token ids, one prompt a line.", valueName: "file"))
  var prompts: String

  @Option(help: ArgumentHelp("Tokens to generate behind each.", valueName: "n")) var tokens = 32

  @Option(name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"))
  var output: String

  func validate() throws { try requireCount(tokens, of: "--tokens", upTo: 1 << 20) }

  func run() throws {
    try BLAS.configure()
    let answers = try Answers(try options.load(), prompts: prompts, count: tokens)
    try answers.write(to: output)
  }
}
