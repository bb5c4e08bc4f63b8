import Foundation
import Shards
import Support
import Testing

/// The stages of a text experiment from outside, in a directory of their own: a corpus of few lines, a
/// small tokenizer, tokens, maps and what is made of them.
final class TextStages {
  let directory = NSTemporaryDirectory() + "ott-text-\(UUID().uuidString)"

  init() throws { try AtomicFile.makeDirectory(directory) }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  /// Texts of no, one and many tokens; empty ones are no documents.
  static let corpus = (0..<60).map { i -> String in
    if i % 10 == 3 { return "" }
    if i % 10 == 7 { return "a" }
    return "The \(i % 7) cats sat on \(i) mats, don't they? Ünï "
      + String(repeating: "again and ", count: i % 4 * i)
  }

  /// Trains a tokenizer of `size` tokens; returns the input that names it.
  func tokenizer(_ size: Int = 300, name: String = "tokenizer") throws -> StageConfiguration.Input {
    let lines = Self.corpus.map { "{\"text\": \"\($0)\"}\n" }.joined()
    try AtomicFile.write(lines, to: directory + "/corpus.jsonl")
    let result = try Program.run(
      "ott-tokenize",
      [
        "train", "--vocabulary", "\(size)", "--special", "<|endoftext|>", "--output",
        "\(directory)/\(name)", "\(directory)/corpus.jsonl",
      ])
    #expect(result.status == 0, "\(result.all)")
    let path = "\(directory)/\(name)/tokenizer.json"
    return .init(id: String(SHA256.hex(of: try FileBytes.read(path)).prefix(12)), path: path)
  }

  /// Tokenizes the corpus, with or without a token behind every document.
  func tokens(
    _ tokenizer: StageConfiguration.Input, endOfText: Bool = true, name: String = "tokens"
  ) throws -> StageConfiguration.Input {
    let configured = try Program.run(
      "ott-tokenize",
      [
        "configure", "--tokenizer", tokenizer.path, "--shard-bytes", "1500", "--output",
        "\(directory)/config", "--validation", "0",
      ] + (endOfText ? ["--end-of-text", "<|endoftext|>"] : []) + ["\(directory)/corpus.jsonl"])
    #expect(configured.status == 0, "\(configured.all)")
    let id = configured.output.trimmingCharacters(in: .whitespacesAndNewlines)
    let output = "\(directory)/\(name)"
    let result = try Program.run(
      "ott-tokenize",
      ["--config", "\(directory)/config/\(id).json", "--output", output, "--quiet"])
    #expect(result.status == 0, "\(result.all)")
    return .init(id: id, path: output)
  }

  /// Runs a stage into directory/name.
  func run(
    _ stage: String, _ parameters: ConfigValue, _ inputs: [String: StageConfiguration.Input],
    name: String, threads: Int = 2
  ) throws -> (result: Program.Result, input: StageConfiguration.Input) {
    let configuration = StageConfiguration(
      stage: stage, version: 1, parameters: parameters, inputs: inputs)
    let file: ConfigValue = [
      "stage": .string(stage), "version": 1, "parameters": parameters,
      "inputs": .object(inputs.mapValues { ["id": .string($0.id), "path": .string($0.path)] }),
    ]
    let path = "\(directory)/\(stage)-\(name).json"
    try AtomicFile.write(file.prettyJSON, to: path)
    let output = "\(directory)/\(name)"
    let result = try Program.run(
      "ott-\(stage)",
      ["--config", path, "--output", output, "--threads", "\(threads)", "--quiet"])
    return (result, .init(id: configuration.id, path: output))
  }
}
