import ArgumentParser
import Parallel
import Stages
import Support
import Tokenization

struct StatisticsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "statistics",
    abstract: "Bytes per token, tokens in use and distinct n-grams as a corpus grows, as CSV.")

  @OptionGroup var options: TokenizerOptions
  @Option(help: "Highest order of n-grams.") var orders = 4
  @Option(help: "Worker threads (default: all).") var threads = Host.threads
  @Option(help: "The CSV file.") var output: String
  @Argument(help: "Files, directories, globs.") var corpus: [String]

  func validate() throws {
    if !(1...1024).contains(threads) { throw ValidationError("--threads must be in 1...1024.") }
    if !(1...16).contains(orders) { throw ValidationError("--orders must be in 1...16.") }
  }

  func run() throws {
    let encoder = BatchEncoder(
      try options.load(), pool: WorkerPool(threads: threads), findsSpecialTokens: false)
    let reader = CorpusReader(try Corpus(corpus))
    var statistics = VocabularyStatistics(orders: orders)
    while let block = try reader.next() {
      block.withViews { views in
        for group in encoder.encode(views) {
          var start = 0
          for (document, count) in zip(group.documents, group.counts) {
            statistics.add(
              UnsafeBufferPointer(start: group.buffer.base + start, count: count),
              bytes: views[document].count)
            start += count
          }
        }
      }
    }
    var text = "tokenizer,measure,order,tokens,value\n"
    for point in statistics.finish() {
      text +=
        "\(options.tokenizer),\(point.measure),\(point.order),\(point.tokens),\(point.value)\n"
    }
    try AtomicFile.write(text, to: output)
    print("wrote \(output)")
  }
}
