import ArgumentParser
import DataStages
import Stages
import Support
import Tokenization

struct StatisticsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "statistics",
    abstract: "Bytes per token, tokens in use and distinct n-grams as a corpus grows, as CSV.")

  @OptionGroup var options: TokenizerOptions
  @Option(help: "What the CSV calls the tokenizer (default: the path of its file).") var name:
    String?
  @Option(help: "Highest order of n-grams.") var orders = 4
  @Option(help: "Worker threads (default: all).") var threads = Host.threads
  @Option(help: "The CSV file.") var output: String
  @Argument(help: "Files, directories, globs.") var corpus: [String]

  func validate() throws {
    try requireCount(threads, of: "--threads")
    if !(1...16).contains(orders) { throw ValidationError("--orders must be in 1...16.") }
  }

  func run() throws {
    let texts = try Corpus.named(corpus)
    try OutputPath.require(
      file: output, apartFrom: [options.tokenizer] + corpus + texts.files.map(\.description))
    let csv = try VocabularyCurve.csv(
      of: texts, options.load(), tokenizer: name ?? options.tokenizer, orders: orders,
      threads: threads)
    try AtomicFile.write(csv, to: output)
    try StandardOutput.line("wrote \(output)")
  }
}
