import Contracts
import Planning
import Support
import Testing

/// Settings of heads on tokens further ahead.
@Suite struct FurtherHeadsPlanTests {
  let project: TemporaryProject
  private let keys = ["overDecoding", "mtp", "mtpDS"]

  init() throws {
    project = try TemporaryProject()
    try project.write(tinyPreset, to: "pipeline/presets/tiny.yaml")
  }

  /// Puts settings in place of those of `figure2`, without the variant whose labels are 3-grams.
  private func change(_ settings: String, keepsJoint: Bool = false) throws {
    try project.replace(
      "\nset: {evaluation: {unseen: true}}\n", by: "\nset: {\(settings)}\n",
      in: "pipeline/figure2.yaml")
    if !keepsJoint {
      try project.replace(
        "outputOrder: 3", by: "outputOrder: 1", in: "pipeline/figure2.yaml")
    }
  }

  private func graph(_ figure: String = "figure2", _ preset: String = "tiny") throws -> StageGraph {
    try project.graph(figure, preset: preset)
  }

  private func parameters(_ graph: StageGraph, _ stage: Stage) -> [ConfigValue] {
    graph.nodes.filter { $0.stage == stage }.map(\.configuration.parameters)
  }

  /// Nothing of them is in a run that has none, so no id of such a run depends on there being such
  /// settings.
  @Test func withoutThemNothingIsWritten() throws {
    for graph in [try graph(), try graph("scaling-law", "smoke")] {
      for run in parameters(graph, .train) {
        for key in keys { #expect(run["model"]?[key] == nil) }
      }
      for run in parameters(graph, .evaluate) { #expect(run["drafts"] == nil) }
    }
  }

  @Test(arguments: [
    ("overDecoding: {heads: 3, weights: [0.5, 0.25], rank: 8}", "overDecoding"),
    ("mtp: {heads: 3, weights: [1, 1]}", "mtp"),
    ("mtpDS: {heads: 3, weights: [0.1, 0.1], hidden: beforeNorm}", "mtpDS"),
  ])
  func everyKindIsPlanned(setting: String, key: String) throws {
    try change("model: {\(setting)}, evaluation: {drafts: 2}")
    let graph = try graph()
    for run in parameters(graph, .train) {
      for other in keys { #expect((run["model"]?[other] != nil) == (other == key)) }
      #expect(run["model"]?[key]?["heads"] == 3)
    }
    for run in parameters(graph, .evaluate) { #expect(run["drafts"] == 2) }
    let rates = Rates { rows, width, _ in Double(rows * width) * 1e6 }
    let plan = try Plan(graph, rates: rates, cores: 2, in: project.directory)
    #expect(plan.costs.allSatisfy { $0.seconds > 0 && $0.memoryBytes > 0 })
  }

  /// The heads cost a run's training, and nothing of its evaluation.
  @Test func whatTheyCost() throws {
    let rates = Rates { rows, width, _ in Double(rows * width) * 1e6 }
    func costs() throws -> [Stage: Double] {
      let plan = try Plan(graph(), rates: rates, cores: 2, in: project.directory)
      return zip(plan.graph.nodes, plan.costs).reduce(into: [:]) {
        $0[$1.0.stage, default: 0] += $1.1.seconds
      }
    }
    try change("")
    let plain = try costs()
    try project.replace(
      "\nset: {}\n", by: "\nset: {model: {mtp: {heads: 3, weights: [1, 1]}}}\n",
      in: "pipeline/figure2.yaml")
    let heads = try costs()
    #expect(heads[.evaluate] == plain[.evaluate])
    // Four layers and two more.
    let ratio = (heads[.train] ?? 0) / (plain[.train] ?? 1)
    #expect(ratio > 1.1 && ratio < 1.6, "\(ratio)")
  }

  @Test func overTokenized() throws {
    try project.replace(
      "  tokenizer: {vocabulary: 512, growth: 2}",
      by: "  tokenizer: {vocabulary: 512, growth: 2}\n  model: {mtpDS: {heads: 2, weights: [0.1]}}",
      in: "pipeline/text/presets/smoke.yaml")
    let runs = parameters(try graph("scaling-law", "smoke"), .train)
    #expect(runs.contains { $0["model"]?["overEncoding"] != nil })
    for run in runs { #expect(run["model"]?["mtpDS"]?["order"] == "embeddingFirst") }
  }

  @Test(arguments: [
    ("model: {mtp: {heads: 3, weights: [1]}}", "model.mtp.weights: expected 2 numbers"),
    ("model: {mtp: {heads: 3}}", "model.mtp.weights"),
    ("model: {mtp: {heads: 0}}", "model.mtp.heads"),
    ("model: {mtpDS: {heads: 2, weights: [1], order: sideways}}", "model.mtpDS.order"),
    ("model: {mtpDS: {tails: 2}}", "model.mtpDS.tails"),
    (
      "model: {context: 800, mtp: {heads: 2, weights: [1]}, overDecoding: {heads: 2, weights: [1]}}",
      "one kind"
    ),
    ("evaluation: {drafts: 1}", "evaluation.drafts: expected at most 0, the further heads"),
    ("model: {mtp: {heads: 2, weights: [1]}}, evaluation: {drafts: 2}", "expected at most 1"),
  ])
  func whatIsRefused(settings: String, named: String) throws {
    try change(settings)
    let error = #expect(throws: UserError.self) { try graph() }
    #expect(error?.description.contains(named) == true, "\(error?.description ?? "")")
  }

  @Test func labelsOfSeveralTokensAreRefused() throws {
    try change("model: {mtp: {heads: 2, weights: [1]}}", keepsJoint: true)
    let error = #expect(throws: UserError.self) { try graph() }
    #expect(
      error?.description.contains("model.mtp.heads: expected 1 with map.outputOrder 3") == true,
      "\(error?.description ?? "")")
  }
}
