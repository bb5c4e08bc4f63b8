import ArgumentParser
import Contracts
import DataStages
import Grammar
import Shards
import Stages
import Support

@main
struct Sample: Command {
  static let configuration = CommandConfiguration(
    commandName: "ott-sample",
    abstract: "Samples sentences of a grammar, and tells what is known of a grammar exactly.",
    discussion: """
      As a stage:  ott-sample --config FILE --output DIR --threads N
      As text:     ott-sample --print --grammar data/grammars/cfg3f.grammar --count 3
      """,
    version: versionText("ott-sample", stage: Stage.sample.version),
    subcommands: [Draw.self, Parse.self, Next.self, Describe.self], defaultSubcommand: Draw.self)
}

/// The options that name a grammar.
struct GrammarOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The grammar.", valueName: "file"))
  var grammar: String?

  @Option(help: ArgumentHelp("Another root symbol: the sub-grammar below it.", valueName: "symbol"))
  var root: Int?

  func load() throws -> Grammar {
    guard let path = grammar else { throw ValidationError("Missing --grammar FILE.") }
    let whole = try Grammar(contentsOfFile: path)
    return try root.map { try whole.rooted(at: $0) } ?? whole
  }
}

/// The default command: the stage, or with `--print` sentences as text.
struct Draw: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Samples sentences into shards, or with --print as text (default).")

  @Option(help: ArgumentHelp("The stage's configuration (YAML or JSON).", valueName: "file"))
  var config: String?

  @Option(help: ArgumentHelp("Where the stage's output goes.", valueName: "dir"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Worker threads (default: all). Results do not depend on it.", valueName: "n"))
  var threads: Int?

  @Option(
    help: ArgumentHelp("What messages call this run: the plan's name for it.", valueName: "name"))
  var name: String?

  @Flag(help: "No progress and no summary.")
  var quiet = false

  @Flag(help: "Print sentences instead, one a line, as the stage would draw them.")
  var print = false

  @OptionGroup var grammar: GrammarOptions

  @Option(help: "With --print: the seed (default: 1).")
  var seed: UInt64?

  @Option(help: "With --print: the name of the random stream (default: train).")
  var stream: String?

  @Option(help: "With --print: number of sentences (default: 1).")
  var count: UInt64?

  @Option(help: "With --print: the first sentence's number (default: 0).")
  var first: UInt64?

  func validate() throws {
    if print {
      guard config == nil, output == nil, threads == nil, name == nil, !quiet else {
        throw ValidationError(
          "--print goes with --grammar, not with --config, --output, --threads, --name, --quiet.")
      }
      guard grammar.grammar != nil else { throw ValidationError("--print needs --grammar FILE.") }
      guard (first ?? 0).addingReportingOverflow(count ?? 1).overflow == false else {
        throw ValidationError("--first and --count: expected a sum below 2^64.")
      }
    } else {
      guard config != nil, output != nil else {
        throw ValidationError(
          "Expected --config FILE --output DIR, or --print --grammar FILE, or a subcommand.")
      }
      guard grammar.grammar == nil, grammar.root == nil, seed == nil, stream == nil, count == nil,
        first == nil
      else {
        throw ValidationError(
          "--grammar, --root, --seed, --stream, --count and --first go with --print; "
            + "the stage has a --config.")
      }
    }
  }

  func run() throws {
    if print {
      let text = SentenceText(try grammar.load())
      let sampler = SentenceSampler(text.grammar, seed: seed ?? 1, stream: stream ?? "train")
      let first = first ?? 0
      for index in first..<first + (count ?? 1) {
        var sentence: [UInt8] = []
        sampler.appendSentence(index, to: &sentence)
        try StandardOutput.line(text.line(sentence))
      }
      return
    }
    let options = StageOptions(
      config: config ?? "", output: output ?? "", threads: threads ?? Host.threads, quiet: quiet,
      name: name)
    try options.validate()
    try runStage(
      .sample, options: options, libraries: ["zstd": Zstd.version]
    ) { context in
      context.conclude(
        try SampleStage(context.configuration).run(
          output: context.output, threads: context.threads))
    }
  }
}
