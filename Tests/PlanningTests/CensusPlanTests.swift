import Contracts
import Planning
import Support
import Testing

/// Figures of corpora and vocabularies alone.
@Suite struct CensusPlanTests {
  let project: TemporaryProject

  init() throws { project = try TemporaryProject() }

  private func stages(of graph: StageGraph) -> [Stage: Int] {
    Dictionary(grouping: graph.nodes, by: \.stage).mapValues(\.count)
  }

  @Test func nothingIsTrained() throws {
    let discovery = try project.graph("scone-figure3")
    #expect(stages(of: discovery) == [.vocabulary: 1, .tokenize: 1, .discover: 7, .report: 1])
    let shares = try discovery.nodes.filter { $0.stage == .discover }.map {
      try DiscoverParameters($0.configuration).share
    }
    let expected: [Double?] = [0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5, nil]
    #expect(shares == expected)
    let updates = try project.graph("scone-figure9")
    #expect(stages(of: updates) == [.vocabulary: 4, .tokenize: 4, .report: 1])
    let sizes = updates.nodes.filter { $0.stage == .vocabulary }.map {
      $0.configuration.parameters["vocabulary"]
    }
    let powers: [ConfigValue?] = [4096, 16_384, 65_536, 262_144]
    #expect(sizes == powers)
  }

  /// A share of all documents and a power of nothing are no other stage runs.
  @Test func whatIsUsualHasNoName() throws {
    let figure = try project.graph("scone-figure6")
    let discover = try #require(figure.nodes.first { $0.stage == .discover })
    #expect(discover.configuration.parameters["share"] == nil)
  }

  @Test(arguments: ["smoke", "laptop", "evening", "workstation", "paper"])
  func everyPreset(preset: String) throws {
    let rates = Rates { rows, width, _ in Double(rows * width) * 1e6 }
    for figure in ["scone-figure3", "scone-figure9"] {
      let plan = try Plan(
        project.graph(figure, preset: preset), rates: rates, cores: 2, in: project.directory)
      #expect(plan.costs.allSatisfy { $0.seconds > 0 && $0.memoryBytes > 0 }, "\(figure)")
      let text = try plan.text()
      #expect(text.contains("discover") == (figure == "scone-figure3"))
      #expect(!text.contains("parameters") && text.contains("tokenize"))
    }
  }

  @Test(arguments: [
    (
      "baseline: V\n",
      "baseline: V\ncomparisons: [{variant: growth 1, against: V, says: better}]\n",
      "comparisons: expected none"
    ),
    ("exponent: 3", "exponent: 9", "tokenizer.exponent: expected vocabulary 4096 times growth 4"),
    ("exponent: 3", "exponent: 17", "tokenizer.exponent: expected an integer in 0...16"),
    ("{exponent: 3}", "{exponent: 3, pattern: none}", "tokenizer.pattern"),
  ])
  func whatIsRefused(old: String, new: String, message: String) throws {
    try project.replace(old, by: new, in: "pipeline/scone-figure9.yaml")
    let error = #expect(throws: UserError.self) { _ = try project.graph("scone-figure9") }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }

  @Test func sharesHaveARange() throws {
    try project.replace("share: 0.5", by: "share: 1.5", in: "pipeline/scone-figure3.yaml")
    let error = #expect(throws: UserError.self) { _ = try project.graph("scone-figure3") }
    #expect(error?.description.contains("discover.share") == true)
  }
}
