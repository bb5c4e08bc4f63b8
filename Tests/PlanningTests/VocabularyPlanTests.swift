import Contracts
import Planning
import Support
import Testing

/// A figure of vocabularies, and what presets say of single figures.
@Suite struct VocabularyPlanTests {
  let project: TemporaryProject

  init() throws { project = try TemporaryProject() }

  private func vocabularies(_ preset: String) throws -> [ConfigValue?] {
    try project.graph("scone-figure8", preset: preset).nodes.filter { $0.stage == .vocabulary }.map
    {
      $0.configuration.parameters["vocabulary"]
    }
  }

  @Test func thePresetSaysWhereSizesBegin() throws {
    #expect(try vocabularies("laptop") == [512, 2048, 8192, 32_768])
    #expect(try vocabularies("smoke") == [512, 1024, 2048, 4096])
    #expect(try vocabularies("paper") == [32_768, 131_072, 524_288, 2_097_152])
    // No other figure is touched.
    let other = try project.graph("table3").nodes.first { $0.stage == .vocabulary }
    #expect(other?.configuration.parameters["vocabulary"] == 4096)
  }

  /// Three sizes share the tokenizers and all that comes before training.
  @Test func sizesShareTheirText() throws {
    let graph = try project.graph("scone-figure8")
    let stages = Dictionary(grouping: graph.nodes, by: \.stage).mapValues(\.count)
    #expect(
      stages == [.vocabulary: 4, .tokenize: 12, .map: 12, .train: 36, .evaluate: 36, .report: 1])
  }

  @Test(arguments: [
    ("counting: {order: 1}", "counting: {order: 4}", "counting.order: expected 1"),
    (
      "counting: {order: 1}", "counting: {order: 1}\n  evaluation: {finalPositions: 100}",
      "evaluation.finalPositions: expected 0"
    ),
    (
      "{name: middle growth 2, set: {tokenizer: {",
      "{name: middle growth 2, set: {tokenizer: {pattern: none, ",
      "tokenizer.pattern"
    ),
    ("comparisons:", "descriptions2:", "comparisons: expected one or more"),
    ("report: vocabularies", "report: ablation", "tokenizer"),
    (
      "baseline: middle V", "baseline: middle V\ndrawing: pipeline/metrics.gnuplot",
      "drawing: expected no script"
    ),
  ])
  func whatIsRefused(old: String, new: String, message: String) throws {
    try project.replace(old, by: new, in: "pipeline/scone-figure8.yaml")
    let error = #expect(throws: UserError.self) { _ = try project.graph("scone-figure8") }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: [
    ("scone-figure8:", "scone-figur8:", "figures: figure 'scone-figur8'"),
    ("vocabulary: 512", "vocabularies: 512", "figures: scone-figure8"),
    ("figures:\n", "figures: [7]\nothers:\n", "figures: expected an object"),
    (
      "  scone-figure8:", "  table4: 7\n  scone-figure8:",
      "figures: table4: expected an object, found integer 7"
    ),
    (
      "vocabulary: 512}", "vocabulary: 512}\n    seeds: [4, 4]",
      "scone-figure8: seeds: expected different"
    ),
    ("vocabulary: 512}", "vocabulary: 512}\n    seeds: four", "scone-figure8: seeds: expected"),
  ])
  func whatAPresetMustNotSay(old: String, new: String, message: String) throws {
    try project.replace(old, by: new, in: "pipeline/text/presets/laptop.yaml")
    let error = #expect(throws: UserError.self) { _ = try project.graph("scone-figure8") }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }
}
