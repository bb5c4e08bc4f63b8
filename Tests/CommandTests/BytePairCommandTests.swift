import Foundation
import Shards
import Support
import Testing

/// ott-tokenize's byte-pair commands from the outside: text in, tokenizer and shards out.
@Suite struct BytePairCommandTests {
  private let directory: String

  init() throws {
    directory = NSTemporaryDirectory() + "ott-byte-pair-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    var lines = ""
    for i in 0..<300 {
      lines += "{\"text\": \"The \(i % 7) cats sat on \(i) mats, don't they? Ünï\"}\n"
    }
    try AtomicFile.write(lines, to: directory + "/corpus.jsonl")
  }

  private func run(
    _ arguments: [String], input: [UInt8] = []
  ) throws -> (status: Int32, output: [UInt8], message: String) {
    try AtomicFile.write(input, to: directory + "/input")
    let process = Process()
    let (output, errors) = (Pipe(), Pipe())
    process.executableURL = Bundle.main.bundleURL.appendingPathComponent("ott-tokenize")
    process.arguments = arguments
    process.standardInput = FileHandle(forReadingAtPath: directory + "/input")
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    let message = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, Array(bytes), String(decoding: message, as: UTF8.self))
  }

  private func train(_ size: Int = 300) throws -> String {
    let result = try run([
      "train", "--vocabulary", "\(size)", "--special", "<|endoftext|>", "--validation", "0.2",
      "--output", directory + "/tokenizer", directory + "/corpus.jsonl",
    ])
    #expect(result.status == 0, "\(result.message)")
    return directory + "/tokenizer/tokenizer.json"
  }

  @Test func encodesAndDecodes() throws {
    let tokenizer = try train()
    let text = Array("The cats, don't they? Ünï \u{1F642}\n".utf8) + [0xFF]
    let encoded = try run(["encode", "--tokenizer", tokenizer, "--print"], input: text)
    #expect(encoded.status == 0)
    let decoded = try run(["decode", "--tokenizer", tokenizer], input: encoded.output)
    #expect(decoded.output == text)
    let offsets = try run(
      ["encode", "--tokenizer", tokenizer, "--offsets"], input: Array("a b".utf8))
    #expect(String(decoding: offsets.output, as: UTF8.self).contains(":0..<1"))
  }

  @Test func stageWritesTheSameShardsForAnyThreads() throws {
    let tokenizer = try train()
    var totals: [Int] = []
    for part in ["train", "validation"] {
      let configured = try run([
        "configure", "--tokenizer", tokenizer, "--part", part, "--validation", "0.2",
        "--end-of-text", "<|endoftext|>", "--shard-bytes", "2000", "--output",
        directory + "/config", directory + "/corpus.jsonl",
      ])
      #expect(configured.status == 0, "\(configured.message)")
      let id = String(decoding: configured.output, as: UTF8.self)
        .trimmingCharacters(in: .whitespacesAndNewlines)
      for threads in ["1", "3"] {
        let result = try run([
          "--config", directory + "/config/\(id).json", "--output",
          directory + "/\(part)\(threads)",
          "--threads", threads, "--quiet",
        ])
        #expect(result.status == 0, "\(result.message)")
      }
      let set = try ShardSet(directory: directory + "/\(part)1")
      #expect(
        try FileBytes.read(directory + "/\(part)1/index.json")
          == FileBytes.read(directory + "/\(part)3/index.json"))
      #expect(set.element == .u16)
      totals.append(set.documents)
    }
    #expect(totals.reduce(0, +) == 300)
    #expect(totals[1] > 20 && totals[1] < 110)
  }

  @Test func refusals() throws {
    let small = try run([
      "train", "--vocabulary", "255", "--output", directory + "/t", directory + "/corpus.jsonl",
    ])
    #expect(small.status == 1 && small.message.contains("alphabet"))
    let tokenizer = try train()
    let id = try run(["decode", "--tokenizer", tokenizer], input: Array("5 300".utf8))
    #expect(id.status == 1 && id.message.contains("0..<300"))
    let special = try run([
      "configure", "--tokenizer", tokenizer, "--end-of-text", "<eos>", "--output",
      directory + "/config", directory + "/corpus.jsonl",
    ])
    #expect(special.status == 1 && special.message.contains("<eos>"))
    let configured = try run([
      "configure", "--tokenizer", tokenizer, "--output", directory + "/config",
      directory + "/corpus.jsonl",
    ])
    let name = String(decoding: configured.output, as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    try AtomicFile.write("{\"text\": \"other\"}", to: directory + "/corpus.jsonl")
    let changed = try run([
      "--config", directory + "/config/\(name).json", "--output", directory + "/out", "--quiet",
    ])
    #expect(changed.status == 1 && changed.message.contains("another corpus"))
  }
}
