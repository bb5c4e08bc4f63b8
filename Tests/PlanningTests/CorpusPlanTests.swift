import Foundation
import Planning
import Support
import Testing

@Suite struct CorpusPlanTests {
  let project: TemporaryProject

  init() throws { project = try TemporaryProject() }

  private func plan(
    _ corpus: String, vocabulary: Int = 300, validation: Double = 0.1, seed: Int = 0
  ) throws -> CorpusPlan {
    try CorpusPlan(
      CorpusPlan.Request(
        corpus: corpus, vocabulary: vocabulary, pattern: .gpt2, validation: validation,
        splitSeed: seed), in: project.directory)
  }

  private func text(_ word: String, to path: String) throws {
    try project.write("{\"text\": \"\(word)\"}\n", to: path)
  }

  @Test func oneTokenizerAndBothParts() throws {
    try text("a", to: "my texts/a.jsonl")
    let plan = try plan("my texts")
    #expect(plan.nodes.map(\.stage) == [.vocabulary, .tokenize, .tokenize])
    let corpus = try #require(plan.nodes[0].configuration.inputs["corpus"])
    #expect(corpus.path == "my texts")
    for (node, part) in zip(plan.nodes.dropFirst(), ["train", "validation"]) {
      let configuration = node.configuration
      #expect(node.inputs == [0] && node.id == configuration.id)
      #expect(configuration.parameters["part"] == .string(part))
      #expect(configuration.inputs["corpus"] == corpus)
      #expect(
        configuration.inputs["tokenizer"]
          == .init(id: plan.nodes[0].id, path: plan.nodes[0].directory))
      for key in ["heldoutShare", "split", "splitSeed"] {
        #expect(configuration.parameters[key] == plan.nodes[0].configuration.parameters[key])
      }
    }
    #expect(plan.nodes[0].configuration.parameters["part"] == "train")
  }

  /// Names of directories are ids: of the content, not of the spelling of a path.
  @Test func differentCorporaNeverShareADirectory() throws {
    try text("a", to: "a-b/c.jsonl")
    try text("b", to: "a/b/c.jsonl")
    try text("a", to: "a_b/c.jsonl")
    let (dash, slash, same) = (try plan("a-b"), try plan("a/b"), try plan("a_b"))
    for (a, b) in zip(dash.nodes, slash.nodes) { #expect(a.directory != b.directory) }
    #expect(dash.path != slash.path && dash.name != slash.name)
    // Equal bytes below equal names are the same corpus wherever they lie.
    #expect(same.nodes.map(\.id) == dash.nodes.map(\.id))
    let changes = [
      try plan("a-b", vocabulary: 301), try plan("a-b", validation: 0.2), try plan("a-b", seed: 1),
    ]
    #expect(Set((changes + [dash]).map(\.path)).count == 4)
  }

  @Test(arguments: ["it's", "a b", "(a), \"b\"", "$(a)$a", "a#b", "a%b:c;d|e", "ä&ö", "-x"])
  func anyNameWillDo(name: String) throws {
    try text(name == "a b" ? "c" : "d", to: "\(name)/c.jsonl")
    let plan = try plan(name)
    #expect(plan.nodes[0].configuration.inputs["corpus"]?.path == name)
    try plan.write(in: project.directory)
    // Make and the shell get to see ids and our own words.
    let rules = String(
      decoding: try FileBytes.read(project.directory + "/" + plan.path), as: UTF8.self)
    #expect(rules == plan.rules && !rules.contains(name))
    #expect(plan.name.utf8.allSatisfy { "-._".utf8.contains($0) || (48...122).contains($0) })
    #expect(
      plan.name.hasSuffix(
        "-gpt2-300-0.1-0-" + (plan.nodes[0].configuration.inputs["corpus"]?.id ?? "")))
    for node in plan.nodes {
      let configuration = try StageConfiguration.load(
        from: project.directory + "/" + node.configurationPath)
      #expect(configuration.id == node.id)
      #expect(configuration.inputs["corpus"]?.path == name)
    }
  }

  /// A corpus with a pinned digest can be planned before it is fetched, and is fetched first.
  @Test(arguments: ["data/corpus/default/train", "data/corpus/default/train/"])
  func pinnedCorporaNeedNotBeThere(path: String) throws {
    let plan = try plan(path, vocabulary: 8192, validation: 0.01)
    #expect(plan.nodes.allSatisfy { $0.sources == ["data/corpus/default/digest"] })
    #expect(plan.nodes[0].configuration.inputs["corpus"]?.id == "7a79354a5737")
    #expect(plan.rules.contains("| data/corpus/default/digest\n"))
  }

  @Test func domainsArePinnedToo() throws {
    let plan = try plan("data/corpus/default/domains/papers.jsonl")
    #expect(plan.nodes.allSatisfy { $0.sources == ["data/corpus/default/digest"] })
    #expect(plan.nodes[0].configuration.inputs["corpus"]?.id == "7e1674b0b39b")
  }

  @Test func statesAreThoseOfFigures() throws {
    try text("a", to: "c.jsonl")
    let plan = try plan("c.jsonl")
    #expect(plan.text(in: project.directory).contains("To run: 3 of 3 stage runs."))
    for node in plan.nodes.dropFirst() { try project.write("{}", to: node.index) }
    let done = plan.text(in: project.directory)
    #expect(done.contains("Nothing to run") && done.contains("not needed"), "\(done)")
    try project.write("{}", to: plan.nodes[0].index)
    for node in plan.nodes {
      try project.write(node.configuration.file.prettyJSON, to: node.configurationPath)
    }
    let larger = try self.plan("c.jsonl", vocabulary: 301).text(in: project.directory)
    #expect(larger.contains("stale: vocabulary 300 → 301"), "\(larger)")
  }

  @Test func writingTwiceWritesNothing() throws {
    try text("a", to: "c.jsonl")
    try plan("c.jsonl").write(in: project.directory)
    let before = try project.listing()
    try plan("c.jsonl").write(in: project.directory)
    #expect(try project.listing() == before)
  }

  @Test func refusals() throws {
    try text("a", to: "c.jsonl")
    for (body, words) in [
      ({ try plan("none") }, "no such file"),
      ({ try plan("data/corpus/default/train/a.jsonl") }, "Run: make data/corpus/default/digest"),
      ({ try plan("") }, "found nothing"),
      ({ try plan("c.jsonl", vocabulary: 256) }, "257"),
      ({ try plan("c.jsonl", vocabulary: 1 << 25) }, "1 to 16777216"),
      ({ try plan("c.jsonl", validation: 1) }, "below 1"),
      ({ try plan("c.jsonl", validation: .nan) }, "below 1"),
      ({ try plan("c.jsonl", validation: -0.1) }, "below 1"),
      ({ try plan("c.jsonl", seed: -1) }, "0 or more"),
    ] as [(() throws -> CorpusPlan, String)] {
      let error = #expect(throws: UserError.self) { _ = try body() }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
  }
}
