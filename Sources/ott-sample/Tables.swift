import ArgumentParser
import Grammar
import Support

/// Membership, derivations and probability of the strings on standard input.
struct Parse: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Reads strings, one a line, and prints what the grammar says of each (CSV).",
    discussion: "\(SentenceText.inputRule) Any line is an answerable question, the empty one too.")

  @OptionGroup var grammar: GrammarOptions

  func run() throws {
    let text = SentenceText(try grammar.load())
    var table = ParseTable(text)
    try StandardOutput.line(ParseTable.header)
    while let line = try StandardInput.line() {
      try StandardOutput.line(table.row(String(decoding: line, as: UTF8.self)))
    }
  }
}

/// Distributions of the next symbol after every prefix of the strings on standard input.
struct Next: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Reads strings and prints P(next symbol) after each of their prefixes (CSV).",
    discussion: "\(SentenceText.inputRule) Rows end with the last prefix of positive probability.")

  @OptionGroup var grammar: GrammarOptions

  func run() throws {
    let text = SentenceText(try grammar.load())
    var table = PrefixTable(text)
    try StandardOutput.line(table.header)
    var number = 0
    while let line = try StandardInput.line() {
      number += 1
      for row in table.rows(String(decoding: line, as: UTF8.self), number: number) {
        try StandardOutput.line(row)
      }
    }
  }
}

/// The statistics of a grammar.
struct Describe: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints lengths, entropies, ambiguity and the least loss of a grammar.")

  @OptionGroup var grammar: GrammarOptions

  @Option(help: "Sampled sentences for the ambiguity.")
  var samples = 2_000

  @Option(help: "The seed of the samples.")
  var seed: UInt64 = 1

  func validate() throws {
    guard (2...10_000_000).contains(samples) else {
      throw ValidationError("--samples: expected 2...10000000, found \(samples).")
    }
  }

  func run() throws {
    for line in GrammarDescription(try grammar.load(), samples: samples, seed: seed).lines {
      try StandardOutput.line(line)
    }
  }
}
