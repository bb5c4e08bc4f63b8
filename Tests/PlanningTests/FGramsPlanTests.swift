import Contracts
import Models
import NGrams
import Planning
import Support
import Testing

/// Figures over text whose models have f-grams.
@Suite struct FGramsPlanTests {
  let project: TemporaryProject

  init() throws { project = try TemporaryProject() }

  @Test func oneDiscoveryForAllCuts() throws {
    let graph = try project.graph("scone-figure6")
    let discoveries = graph.nodes.filter { $0.stage == .discover }
    #expect(discoveries.count == 1)
    let parameters = try DiscoverParameters(discoveries[0].configuration)
    #expect(parameters.longest == 5 && parameters.minimumCount == 5)
    let train = try #require(graph.nodes.first { $0.label == "train tokens" })
    #expect(discoveries[0].configuration.inputs["tokens"]?.id == train.id)
    // Three sets of n-grams for the baseline, and three of each cut.
    let maps = graph.nodes.filter { $0.stage == .map }
    #expect(maps.count == 3 + 3 * 3)
    for (chain, run) in zip(graph.chains, graph.experiment.runs) {
      let map = graph.nodes[chain.map]
      let isBaseline = run.variant == "baseline"
      #expect(map.configuration.inputs["fgrams"]?.id == (isBaseline ? nil : discoveries[0].id))
      #expect(graph.nodes[chain.train].configuration.inputs["data"]?.id == map.id)
      #expect(Set(chain.nodes).count == chain.nodes.count)
      if !isBaseline {
        guard case .text(.fGrams(let parameters)) = try MapParameters(map.configuration) else {
          Issue.record("no f-grams")
          continue
        }
        #expect(parameters.longest == 5)
        #expect(
          parameters.size
            == [
              "10 k f-grams": 10_000, "100 k f-grams": 100_000, "all f-grams": 0,
            ][run.variant])
      }
    }
    // The text is counted once, from n-grams as always.
    #expect(graph.nodes.count { $0.stage == .count } == graph.experiment.seeds.count)
  }

  /// What is the trunk's is not written, so that it follows it.
  @Test func theFGramModelIsAsTheTrunk() throws {
    let graph = try project.graph("scone-figure7")
    for (variant, layers) in ["2 layers": 2, "8 layers": 8] {
      let position = try #require(graph.experiment.runs.firstIndex { $0.variant == variant })
      let train = graph.nodes[graph.chains[position].train].configuration
      #expect(train.parameters["model"]?["fGrams"]?["layers"] == .integer(layers))
      #expect(train.parameters["model"]?["fGrams"]?["heads"] == nil)
    }
    let plain = try project.graph("scone-figure5")
    let position = try #require(plain.experiment.runs.firstIndex { $0.variant == "K=2" })
    let train = plain.nodes[plain.chains[position].train].configuration
    #expect(train.parameters["model"]?["fGrams"]?["layers"] == nil)
    #expect(plain.nodes[plain.chains[0].train].configuration.parameters["model"]?["fGrams"] == nil)
  }

  /// Tables beside f-grams are fed by one map set, which no model without them has.
  @Test func tablesStandBesideThem() throws {
    try project.replace(
      "{name: K=3, set: {model: {fGrams: {longest: 3}}}}",
      by: "{name: K=3, set: {model: {fGrams: {longest: 3}, overEncoding: {order: 3, rows: 4V}}}}",
      in: "pipeline/scone-figure5.yaml")
    let graph = try project.graph("scone-figure5")
    for (chain, run) in zip(graph.chains, graph.experiment.runs) where run.variant != "baseline" {
      guard
        case .text(.fGrams(let parameters)) = try MapParameters(
          graph.nodes[chain.map].configuration)
      else {
        Issue.record("no f-grams")
        continue
      }
      #expect(parameters.order == (run.variant == "K=3" ? 3 : nil))
      let train = graph.nodes[chain.train].configuration
      #expect((train.parameters["model"]?["overEncoding"] != nil) == (run.variant == "K=3"))
      #expect((train.parameters["optimizer"]?["tables"] != nil) == (run.variant == "K=3"))
    }
  }

  /// Tasks are scored with the f-grams that a run's data were mapped with.
  @Test func tasksKnowTheFGrams() throws {
    try project.replace(
      "\nset:", by: "\nset:\n  downstream: {tasks: [all]}", in: "pipeline/scone-figure5.yaml")
    let graph = try project.graph("scone-figure5")
    for chain in graph.chains {
      let downstream = try #require(chain.downstream)
      #expect(
        graph.nodes[downstream].configuration.inputs["fgrams"]
          == graph.nodes[chain.map].configuration.inputs["fgrams"])
    }
  }

  @Test(arguments: ["smoke", "laptop", "evening", "workstation", "paper"])
  func everyPreset(preset: String) throws {
    let rates = Rates { rows, width, _ in Double(rows * width) * 1e6 }
    for figure in [
      "scone-figure1", "scone-figure5", "scone-figure7", "scone-figure8", "scone-figure13",
      "scone-table2", "scone-output",
      "scone-versus-oe",
    ] {
      let plan = try Plan(
        project.graph(figure, preset: preset), rates: rates, cores: 2, in: project.directory)
      #expect(plan.costs.allSatisfy { $0.seconds > 0 && $0.memoryBytes > 0 }, "\(figure)")
    }
  }

  @Test(arguments: [
    ("{model: {fGrams: {longest: 9}}}", "model.fGrams.longest: expected an integer in 1...8"),
    ("{model: {fGrams: {longest: 3, heads: 3}}}", "model.fGrams.heads"),
    ("{model: {fGrams: {longest: 3, output: all}}}", "model.fGrams.output"),
    (
      "{model: {fGrams: {longest: 3}, overEncoding: {order: 2, token: false}}}",
      "model.overEncoding.token: expected true beside model.fGrams"
    ),
    (
      "{discover: {minimumCount: 0}, model: {fGrams: {longest: 3}}}",
      "discover.minimumCount: expected an integer"
    ),
    ("{discover: {longest: 9}, model: {fGrams: {longest: 3}}}", "discover.longest: expected"),
    ("{map: {size: -1}, model: {fGrams: {longest: 3}}}", "map.size: expected an integer"),
  ])
  func whatIsRefused(settings: String, message: String) throws {
    try project.replace("\nset: {}\n", by: "\nset: \(settings)\n", in: "pipeline/table4.yaml")
    let error = #expect(throws: UserError.self) { _ = try project.graph("table4") }
    let text = error?.description ?? ""
    #expect(text.contains(message) && text.contains("pipeline/table4.yaml"), "\(text)")
    #expect(!text.contains("\n"))
  }
}
