import Foundation
import Support
import Testing
import Tokenization

/// ott-generate from the outside.
@Suite struct GenerateCommandTests {
  private let exchange: ExchangeStages
  private var directory: String { exchange.directory }

  init() throws { exchange = try ExchangeStages() }

  private func generate(
    _ run: StageConfiguration.Input, _ more: String...
  ) throws -> Program.Result {
    try Program.run(
      "ott-generate",
      ["--run", run.path, "--tokenizer", exchange.tokenizer.path] + more, in: directory)
  }

  /// The JSON lines of `out`.
  private func lines() throws -> [ConfigValue] {
    try String(decoding: FileBytes.read(directory + "/out"), as: UTF8.self)
      .split(separator: "\n").map { try ConfigValue.parse(yaml: String($0), source: "out") }
  }

  /// The most probable tokens are those that the run answers with, for plain and over-encoded models.
  @Test(arguments: [[:], ["overEncoding": ExchangeStages.encoding]] as [[String: ConfigValue]])
  func greedyIsWhatTheRunSays(more: [String: ConfigValue]) throws {
    let run = try exchange.run(ExchangeStages.model("olmo2", more), name: "run")
    let prompts = ["The", "they? Ü", "again and"]
    let result = try generate(
      run, "--prompt", prompts[0], "--prompt", prompts[1], "--prompt", prompts[2], "--temperature",
      "0", "--tokens", "5", "--output", directory + "/out")
    #expect(result.status == 0 && result.output.isEmpty, "\(result.all)")
    let found = try lines()
    #expect(found.map { $0["prompt"] } == prompts.map { .string($0) })
    let encoder = BytePairEncoder(try BytePairModel.load(input: exchange.tokenizer))
    let encoded = prompts.map { encoder.encode($0).map(String.init).joined(separator: " ") }
    try AtomicFile.write(encoded.joined(separator: "\n"), to: directory + "/prompts")
    let answers = try Program.run(
      "ott-export",
      [
        "answers", "--run", run.path, "--tokenizer", exchange.tokenizer.path, "--prompts",
        directory + "/prompts", "--tokens", "5", "--output", directory + "/answers",
      ])
    #expect(answers.status == 0, "\(answers.all)")
    let bytes = try FileBytes.read(directory + "/answers")
    let expected = bytes.suffix(4 * 15).chunks(of: 4).map { word in
      word.reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    for (n, line) in found.enumerated() {
      guard case .array(let tokens)? = line["tokens"] else {
        Issue.record("no tokens")
        continue
      }
      let own = tokens.compactMap { if case .integer(let id) = $0 { id } else { nil } }
      // Behind the end there is nothing, and the end itself is no token of the text.
      let answer = expected[5 * n..<5 * n + 5].prefix { $0 != 0 && $0 < 300 }
      #expect(own == Array(answer), "\(prompts[n])")
      let isEnded = line["ended"] == .bool(true)
      #expect(isEnded == (own.count < 5))
    }
  }

  @Test func drawsAreTheSeeds() throws {
    let run = try exchange.run(ExchangeStages.model("gpt2"), name: "run")
    func texts(_ more: String...) throws -> [ConfigValue?] {
      let result = try Program.run(
        "ott-generate",
        [
          "--run", run.path, "--tokenizer", exchange.tokenizer.path, "--output",
          directory + "/out", "--tokens", "6", "--temperature", "1",
        ] + more, in: directory)
      #expect(result.status == 0, "\(result.all)")
      return try lines().map { $0["tokens"] }
    }
    let four = try texts("--prompt", "The 3", "--samples", "4")
    #expect(four.count == 4 && Set(four.map { "\($0 ?? .null)" }).count > 1)
    #expect(try texts("--prompt", "The 3", "--samples", "4") == four)
    // In any company.
    let more = try texts("--prompt", "The 3", "--prompt", "again", "--samples", "4")
    #expect(more.count == 8 && Array(more[..<4]) == four)
    #expect(try texts("--prompt", "The 3", "--samples", "4", "--seed", "2") != four)
    let greedy = try texts("--prompt", "The 3", "--temperature", "0")
    #expect(try texts("--prompt", "The 3", "--top-k", "1") == greedy)
    #expect(try texts("--prompt", "The 3", "--top-p", "0.0001") == greedy)
    let printed = try generate(run, "--prompt", "The 3", "--tokens", "2", "--temperature", "0")
    #expect(printed.status == 0 && printed.output.hasPrefix("The 3"), "\(printed.all)")
    // A file of prompts.
    try AtomicFile.write("The 3\n\nagain\n", to: directory + "/prompts")
    #expect(
      try texts("--prompts", directory + "/prompts", "--samples", "4") == more)
  }

  @Test func oneMessage() throws {
    let run = try exchange.run(ExchangeStages.model("gpt2"), name: "run")
    try AtomicFile.write([0xFF, 0xFE], to: directory + "/bytes")
    try AtomicFile.write("\n", to: directory + "/empty")
    for (arguments, message) in [
      (["--prompt", ""], "expected 1 to 8 tokens, so that 5 more fit the context of 12, found 0"),
      (["--prompt", String(repeating: "xyz ", count: 9)], "Ask for fewer tokens."),
      (["--prompt", "a", "--store", directory], "--store: expected no store"),
      (["--prompt", "a", "--snapshot", "1"], "--snapshot: expected one of"),
      (["--prompts", directory + "/bytes"], "bytes: expected UTF-8 text"),
      (["--prompts", directory + "/empty"], "empty: expected a text a line"),
      (["--prompt", "a", "--output", run.path + "/out"], "cannot be the output"),
    ] {
      let result = try Program.run(
        "ott-generate",
        ["--run", run.path, "--tokenizer", exchange.tokenizer.path, "--tokens", "5"] + arguments,
        in: directory)
      #expect(result.status == 1 && result.errors.contains(message), "\(message): \(result.all)")
      #expect(result.errors.split(separator: "\n").count == 1 && result.output.isEmpty)
    }
    let map = try Program.run("ott-generate", ["--run", exchange.map.path, "--prompt", "a"])
    #expect(map.status == 1 && map.errors.contains("expected stage 'train' or stage 'import'"))
  }
}

extension Collection {
  fileprivate func chunks(of size: Int) -> [[Element]] {
    var result: [[Element]] = []
    var rest = self[...]
    while !rest.isEmpty {
      result.append(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
    }
    return result
  }
}
