import ArgumentParser
import Foundation
import Parallel
import Stages
import Support
import Tokenization

/// Times the tokenizer on documents held in memory, as its peers are timed by
/// Tests/Peers/tokenizers_bench.py, which runs this.
@main
struct BenchTokenizers: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-bench-tokenizers", abstract: "Time encoding and training.",
    version: versionText("ott-bench-tokenizers"), subcommands: [Encode.self, Train.self])
}

/// Documents of a file: zero-terminated texts.
struct Documents {
  let bytes: [UInt8]
  let offsets: [Int]

  init(path: String) throws {
    let data = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    var bytes: [UInt8] = []
    var offsets = [0]
    bytes.reserveCapacity(data.count)
    for document in data.split(separator: 0) {
      bytes.append(contentsOf: document)
      offsets.append(bytes.count)
    }
    self.bytes = bytes
    self.offsets = offsets
  }
}

func seconds(_ body: () throws -> Void) rethrows -> Double {
  let duration = try ContinuousClock().measure(body)
  return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}

struct Encode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Encode the documents; a line per pass: cold or warm, seconds, ids, cache bytes.")

  @Option(help: "Tokenizer file.") var tokenizer: String
  @Option(help: "Worker threads.") var threads = 1
  @Option(help: "Passes over the documents; only the first is cold.") var passes = 2
  @Flag(help: "Take special tokens in the text for ordinary text.") var ordinary = false
  @Option(help: "Write the ids of the last pass (u32) here.") var ids: String?
  @Option(help: "Write the number of ids of each document (u64) here.") var counts: String?
  @Argument(help: "Zero-terminated documents.") var file: String

  func run() throws {
    let model = try BytePairModel.load(path: tokenizer)
    let documents = try Documents(path: file)
    let encoder = BatchEncoder(
      model, pool: WorkerPool(threads: threads), findsSpecialTokens: !ordinary)
    try documents.bytes.withUnsafeBufferPointer { bytes in
      let views = DocumentViews(bytes, offsets: documents.offsets)
      var groups: [BatchEncoder.Group] = []
      for pass in 0..<passes {
        groups = []
        let time = seconds { groups = encoder.encode(views) }
        let count = groups.reduce(0) { $0 + $1.buffer.count }
        print("\(pass == 0 ? "cold" : "warm") \(time) \(count) \(encoder.cacheBytes)")
      }
      if let ids {
        try write(groups.map { Data(bytes: $0.buffer.base, count: $0.buffer.count * 4) }, to: ids)
      }
      if let counts {
        let numbers = groups.flatMap { $0.counts.map { UInt64($0) } }
        try write([numbers.withUnsafeBytes { Data($0) }], to: counts)
      }
    }
  }

  private func write(_ parts: [Data], to path: String) throws {
    try AtomicFile.write(Array(parts.joined()), to: path)
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

  func run() throws {
    let documents = try Documents(path: file)
    let pool = WorkerPool(threads: threads)
    let training = BytePairTraining(vocabularySize: vocabulary, pattern: pattern)
    try documents.bytes.withUnsafeBufferPointer { bytes in
      let views = DocumentViews(bytes, offsets: documents.offsets)
      var trained: TrainedTokenizer?
      for _ in 0..<runs {
        var counting = 0.0
        var distinct = 0
        let time = try seconds {
          let counters = (0..<threads).map { _ in PretokenCounter(pattern) }
          counting = seconds {
            PretokenCounter.count(views, pattern: pattern, into: counters, pool: pool)
            for counter in counters.dropFirst() { counters[0].merge(counter) }
          }
          distinct = counters[0].distinct
          trained = try BytePairTrainer.train(training, on: counters[0])
        }
        print("\(time) \(counting) \(distinct)")
      }
      if let output, let trained { try AtomicFile.write(trained.huggingFaceJSON, to: output) }
    }
  }
}

extension PretokenPattern: ExpressibleByArgument {}
