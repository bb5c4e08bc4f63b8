import ArgumentParser
import Exchange
import Foundation
import Kernels
import Stages
import Stores
import Support

/// Texts continued by a trained run.
@main
struct Generate: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-generate",
    abstract: "Continue texts by a finished run over text.",
    discussion: """
      Prints each prompt with what follows it. The same seed gives the same texts, whatever stands beside \
      them and on every machine that has the instructions of the build. Rows of f-grams come from --store, in memory \
      or on disk, or are computed as they are needed.
      """,
    version: versionText("ott-generate"))

  @OptionGroup var options: RunOptions

  @Option(
    help: ArgumentHelp("A text to continue; several are continued side by side.", valueName: "text")
  )
  var prompt: [String] = []

  @Option(help: ArgumentHelp("Further texts, one a line.", valueName: "file"))
  var prompts: String?

  @Option(help: ArgumentHelp("Tokens behind each at most.", valueName: "n")) var tokens = 64

  @Option(help: ArgumentHelp("Continuations of each.", valueName: "n")) var samples = 1

  @Option(help: "0 takes the most probable token, 1 draws by the model's probabilities.")
  var temperature = 0.8

  @Option(
    help: ArgumentHelp("Draw among the n most probable tokens; 0: among all.", valueName: "n"))
  var topK = 0

  @Option(
    help: ArgumentHelp(
      "Draw among the fewest tokens whose probabilities add up to so much; 1: all.", valueName: "p")
  )
  var topP = 1.0

  @Option(help: "Seed of the draws.") var seed: UInt64 = 1

  @Option(
    help: ArgumentHelp("A store of the run's f-grams, from ott-materialize.", valueName: "dir"))
  var store: String?

  @Option(help: "Where rows of the store are read from.")
  var placement = FGramStore.Placement.disk

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Write JSON lines to this file instead.", valueName: "file"))
  var output: String?

  private static let most = 4096

  func validate() throws {
    try requireCount(tokens, of: "--tokens", upTo: 1 << 20)
    try requireCount(samples, of: "--samples", upTo: Self.most)
    guard temperature >= 0, temperature.isFinite else {
      throw ValidationError("--temperature: expected 0 or more, found \(temperature).")
    }
    guard topK >= 0 else { throw ValidationError("--top-k: expected 0 or more, found \(topK).") }
    guard topP > 0, topP <= 1 else {
      throw ValidationError("--top-p: expected above 0 and at most 1, found \(topP).")
    }
    guard !prompt.isEmpty || prompts != nil else {
      throw ValidationError("--prompt or --prompts: expected a text to continue.")
    }
  }

  func run() throws {
    try BLAS.configure()
    let run = try FinishedRun(
      run: options.run, step: options.snapshot, tokenizer: options.tokenizer,
      fGrams: options.fgrams)
    if let output {
      try OutputPath.require(file: output, apartFrom: [options.run, prompts].compactMap(\.self))
    }
    let generator = try TextGenerator(run, store: store.map { ($0, placement) })
    let texts = prompt + (try prompts.map(lines(of:)) ?? [])
    guard texts.count <= Self.most / samples else {
      throw UserError(
        "prompts", expected: "at most \(Self.most) continuations side by side",
        found: "\(texts.count) × \(samples)", remedy: "Continue them in parts.")
    }
    let found = try generator.continuations(
      of: texts.map { try generator.encode($0, leaving: tokens) }, samples: samples, count: tokens,
      Sampling(temperature: temperature, topK: topK, topP: topP, seed: seed))
    let lines = found.map { one in
      let text = String(decoding: generator.decode(one.tokens), as: UTF8.self)
      guard output != nil else { return texts[one.prompt] + text }
      let value: ConfigValue = [
        "prompt": .string(texts[one.prompt]), "sample": .integer(one.sample), "text": .string(text),
        "tokens": .array(one.tokens.map { .integer(Int($0)) }),
        "logProbability": .double(one.logProbability), "ended": .bool(one.isEnded),
      ]
      return value.canonicalJSON
    }
    guard let output else {
      return try StandardOutput.line(lines.joined(separator: "\n\n"))
    }
    try AtomicFile.write(lines.map { $0 + "\n" }.joined(), to: output)
  }
}

/// The lines of a file that have a text.
private func lines(of path: String) throws -> [String] {
  guard let text = String(validating: try FileBytes.read(path), as: UTF8.self) else {
    throw UserError(path, expected: "UTF-8 text", found: "other bytes")
  }
  let lines = text.split(whereSeparator: \.isNewline).map(String.init)
  if lines.isEmpty { throw UserError(path, expected: "a text a line", found: "no line") }
  return lines
}

extension FGramStore.Placement: ExpressibleByArgument {}
