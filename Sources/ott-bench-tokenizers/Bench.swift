import ArgumentParser
import Foundation
import Parallel
import Tokenization

/// Times the tokenizer on documents held in memory, as its peers are timed by
/// Tests/Peers/tokenizers_bench.py, which runs this.
@main
struct BenchTokenizers: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ott-bench-tokenizers", subcommands: [Encode.self, Train.self])
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
  @Option(help: "Tokenizer file.") var tokenizer: String
  @Option(help: "Threads.") var threads = 1
  @Option(help: "Passes; the first is cold.") var passes = 2
  @Option(help: "Write the ids of the last pass, u32, here.") var ids: String?
  @Argument(help: "Zero-terminated documents.") var file: String

  func run() throws {
    let model = try BytePairModel.load(path: tokenizer)
    let documents = try Documents(path: file)
    let encoder = BatchEncoder(model, pool: WorkerPool(threads: threads))
    try documents.bytes.withUnsafeBufferPointer { bytes in
      let views = DocumentViews(bytes, offsets: documents.offsets)
      for pass in 0..<passes {
        var groups: [BatchEncoder.Group] = []
        let time = seconds { groups = encoder.encode(views) }
        let count = groups.reduce(0) { $0 + $1.buffer.count }
        print("encode \(pass == 0 ? "cold" : "warm") \(time) \(count) \(encoder.cacheBytes)")
        if pass == passes - 1, let path = ids {
          var data = Data()
          for group in groups {
            data.append(Data(bytes: group.buffer.base, count: group.buffer.count * 4))
          }
          try data.write(to: URL(fileURLWithPath: path))
        }
      }
    }
  }
}

struct Train: ParsableCommand {
  @Option(help: "Tokens.") var vocabulary = 32768
  @Option(help: "Pattern.") var pattern = "gpt2"
  @Option(help: "Threads.") var threads = 1
  @Option(help: "Runs.") var runs = 1
  @Option(help: "Write tokenizer.json here.") var output: String?
  @Argument(help: "Zero-terminated documents.") var file: String

  func run() throws {
    let documents = try Documents(path: file)
    let pattern = PretokenPattern(rawValue: pattern) ?? .gpt2
    try documents.bytes.withUnsafeBufferPointer { bytes in
      let views = DocumentViews(bytes, offsets: documents.offsets)
      for _ in 0..<runs {
        var trained: TrainedTokenizer?
        var counting = 0.0
        var distinct = 0
        let pool = WorkerPool(threads: threads)
        let time = try seconds {
          let counters = (0..<threads).map { _ in PretokenCounter(pattern) }
          counting = seconds {
            PretokenCounter.count(views, pattern: pattern, into: counters, pool: pool)
            for counter in counters.dropFirst() { counters[0].merge(counter) }
          }
          distinct = counters[0].distinct
          trained = try BytePairTrainer.train(
            BytePairTraining(vocabularySize: vocabulary, pattern: pattern), on: counters[0])
        }
        print("train \(time) \(counting) \(distinct)")
        if let output, let trained {
          try trained.huggingFaceJSON.write(toFile: output, atomically: true, encoding: .utf8)
        }
      }
    }
  }
}
