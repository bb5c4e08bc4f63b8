import Foundation
import Support
import Testing

/// An experiment over text from outside, on the text that lies in the project.
@Suite(.serialized) struct TextChainTests {
  static let stages = ["vocabulary", "tokenize", "map", "count", "train", "evaluate", "report"]
  static let preset = """
    set:
      corpus: {file: pipeline/corpora/sample.yaml, heldoutShare: 0.1, otherShare: 1.0, shardBytes: 8192}
      tokenizer: {vocabulary: 300}
      map: {documentsPerShard: 32}
      model: {layers: 1, width: 8, heads: 2, context: 16}
      schedule: {warmupSteps: 2}
      training: {steps: 10, batchSequences: 4, lanes: 2, checkpointEverySteps: 4, logEverySteps: 1}
      evaluation: {stride: 16, batchPositions: 128, finalPositions: 500}
    seeds: [1, 2]
    sizes: [{name: tiny}]
    jobs: cores

    """
  let place: Workplace

  init() throws {
    place = try Workplace()
    try place.write(Self.preset, to: "pipeline/text/presets/tiny.yaml")
  }

  func text(_ path: String) throws -> String {
    String(decoding: try FileBytes.read(place.directory + "/" + path), as: UTF8.self)
  }

  func ids(_ figure: String, _ stage: String) throws -> [String] {
    let result = try place.run(
      "ott-plan", ["list", "--figure", figure, "--preset", "tiny", "--stage", stage])
    return result.output.split(separator: "\n").map { String($0.prefix(12)) }
  }

  @Test func theWholeWay() throws {
    let first = try place.make("table4", "scaling-law")
    try #require(first.status == 0, "\(first.all)")
    #expect(!first.all.contains("warning"), "\(first.all)")
    for figure in ["table4", "scaling-law"] {
      for stage in Self.stages {
        for id in try ids(figure, stage) { #expect(place.exists("data/\(stage)/\(id)/index.json")) }
      }
    }
    let law = try text("results/tiny/scaling-law.csv").split(separator: "\n")
    // Seven sizes and two seeds; the measured column joined to the rest.
    #expect(law.count == 1 + 14)
    #expect(law[0].contains(",kn5_eval_loss,kn5_other_loss,distinct_grams,"))
    #expect(law[0].hasSuffix(",other_overlap,cpu_time_ratio"))
    #expect(law.allSatisfy { $0.split(separator: ",").count == 22 }, "\(law)")
    #expect(try text("results/tiny/scaling-law.svg").contains("</svg>"))
    #expect(try text("results/tiny/table4.md").contains("| coprime vs multiple | better |"))
    #expect(try text("results/tiny/table4.csv").split(separator: "\n").count == 1 + 6)

    try theOtherFiguresShareTheRuns()
    try nothingIsLeft()
    try everyStageGivesTheSameBytes()
  }

  private func theOtherFiguresShareTheRuns() throws {
    let dry = try place.make("-n", "figure9")
    for stage in Self.stages.dropLast() {
      #expect(!dry.output.contains("ott-\(stage) --config"), "\(dry.all)")
    }
    let made = try place.make("figure9")
    #expect(made.status == 0, "\(made.all)")
    // Six sizes, two seeds, ten points.
    let curves = try text("results/tiny/figure9.csv").split(separator: "\n")
    #expect(curves.count == 1 + 6 * 2 * 10)
    #expect(try text("results/tiny/figure9.svg").contains("</svg>"))
  }

  private func nothingIsLeft() throws {
    for figure in ["table4", "scaling-law", "figure5", "figure9"] {
      let again = try place.make("-n", figure)
      #expect(again.status == 0 && !again.output.contains("ott-"), "\(again.all)")
      let plan = try place.make("plan", "FIGURE=\(figure)")
      #expect(plan.output.contains("Nothing to run: every output is there."), "\(plan.all)")
    }
    let verify = try place.make("verify", "FIGURE=scaling-law")
    #expect(verify.status == 0, "\(verify.all)")
  }

  private func everyStageGivesTheSameBytes() throws {
    for stage in Self.stages {
      let again = try place.make(
        "rerun", "STAGE=\(stage)", "FIGURE=table4", "THREADS=3", "RUN=all")
      #expect(again.status == 0, "\(again.all)")
      let lines = again.output.split(separator: "\n").filter { $0.hasPrefix("identical: ") }
      #expect(lines.count == (try ids("table4", stage).count), "\(again.all)")
    }
    let none = try place.make("rerun", "STAGE=sample", "FIGURE=table4")
    #expect(none.status != 0)
    #expect(none.errors.contains("expected a stage of table4"), "\(none.all)")
  }

  @Test func planningNeedsNoCorpus() throws {
    let plan = try place.make("plan", "FIGURE=scaling-law", "PRESET=laptop")
    #expect(plan.status == 0 && plan.output.contains("m=256V/"), "\(plan.all)")
    let dry = try place.make("-n", "scaling-law", "PRESET=laptop")
    #expect(dry.status == 0, "\(dry.all)")
    let fetch = try #require(dry.output.range(of: "tools/fetch-corpus"))
    let train = try #require(dry.output.range(of: "ott-vocabulary --config"))
    #expect(fetch.lowerBound < train.lowerBound)
    #expect(dry.output.components(separatedBy: "tools/fetch-corpus").count == 2)
  }

  // MARK: - The stage "vocabulary"

  func configuration(_ changes: [String: ConfigValue] = [:]) throws -> String {
    let facts = try #require(try ids("table4", "vocabulary").first)
    _ = try place.make("-n", "table4")
    var value = try ConfigValue.load(
      path: "\(place.directory)/data/config/vocabulary/\(facts).json")
    guard case .object(var members) = value, case .object(var parameters)? = members["parameters"]
    else { return "" }
    parameters.merge(changes) { _, new in new }
    members["parameters"] = .object(parameters)
    value = .object(members)
    try place.write(value.prettyJSON, to: "vocabulary.json")
    return "vocabulary.json"
  }

  @Test func vocabularyIsTheTrainCommands() throws {
    let file = try configuration()
    let result = try place.run("ott-vocabulary", ["--config", file, "--output", "out"])
    #expect(result.status == 0, "\(result.all)")
    let other = try place.run(
      "ott-tokenize",
      [
        "train", "--vocabulary", "300", "--special", "<|endoftext|>", "--validation", "0.1",
        "--group-words", "8", "--block-bytes", "65536",
        "--output", "byHand", "data/texts/treasury.jsonl",
      ])
    #expect(other.status == 0, "\(other.all)")
    for name in ["tokenizer.json", "tokenizer.tiktoken"] {
      #expect(try text("out/\(name)") == text("byHand/\(name)"))
    }
  }

  @Test(arguments: [
    (["vocabulary": 100_000] as [String: ConfigValue], "expected at most"),
    (["vocabulary": 10], "vocabulary"),
    (["pattern": "gpt3"], "parameters.pattern: expected one of"),
    (["words": 3], "unknown key"),
  ])
  func badVocabularies(changes: [String: ConfigValue], message: String) throws {
    let file = try configuration(changes)
    let result = try place.run("ott-vocabulary", ["--config", file, "--output", "out"])
    #expect(result.status == 1, "\(result.all)")
    #expect(result.errors.contains(message), "\(result.all)")
    #expect(!place.exists("out/index.json"))
  }

  @Test func anotherCorpusOrTokenizerIsRefused() throws {
    let file = try configuration()
    let directory = "data/vocabulary/\(try #require(try ids("table4", "vocabulary").first))"
    let made = try place.run("ott-vocabulary", ["--config", file, "--output", directory])
    #expect(made.status == 0, "\(made.all)")
    let tokens = try #require(try ids("table4", "tokenize").first)
    let tokenize = ["--config", "data/config/tokenize/\(tokens).json", "--output", "tokens"]
    try place.replace("merges", by: "merge5", in: directory + "/tokenizer.json")
    let altered = try place.run("ott-tokenize", tokenize)
    #expect(altered.status == 1)
    #expect(altered.errors.contains("the file that index.json describes"), "\(altered.all)")
    try place.replace("merge5", by: "merges", in: directory + "/tokenizer.json")
    try place.write("{\"text\": \"another\"}\n", to: "data/texts/treasury.jsonl")
    let other = try place.run("ott-tokenize", tokenize)
    #expect(other.status == 1)
    #expect(other.errors.contains("another corpus than the configuration's"), "\(other.all)")
  }
}
