import Foundation
import Planning
import Support
import Testing

@Suite struct PlanTests {
  let project: TemporaryProject
  let rates = Rates { rows, width, _ in Double(rows * width) * 1e6 }

  init() throws {
    project = try TemporaryProject()
    try project.write(tinyPreset, to: "pipeline/presets/tiny.yaml")
  }

  func graph(preset: String = "tiny") throws -> StageGraph {
    try project.graph("figure2", preset: preset)
  }

  @Test func planningWritesNothing() throws {
    let before = try project.listing()
    let plan = try Plan(graph(), rates: rates, cores: 2, in: project.directory)
    let text = try plan.text()
    #expect(try project.listing() == before)
    #expect(text.contains("To run: 61 of 61 stage runs"))
    for run in plan.graph.experiment.runs { #expect(text.contains(run.name + " ")) }
  }

  @Test func paperSizes() throws {
    let graph = try graph(preset: "paper")
    let model = CostModel(graph, rates: rates, threads: 1)
    let runs = graph.experiment.runs
    let large = try #require(runs.firstIndex { $0.name == "1-gram/large/1" })
    let small = try #require(runs.firstIndex { $0.name == "1-gram/small/1" })
    // The paper: 85 M and 2.4 M parameters, 10 epochs of 20 million sentences of 249.86 characters.
    #expect(abs(Double(try model.size(of: large).parameters) / 85e6 - 1) < 0.02)
    #expect(abs(Double(try model.size(of: small).parameters) / 2.4e6 - 1) < 0.05)
    let size = try model.size(of: large)
    #expect(size.units == 200_000_000)
    #expect(size.epochs == 10)
    #expect(abs(size.rows / (200e6 * 250.86) - 1) < 1e-4)
    // At least 6 FLOPs a parameter of the trunk and token.
    #expect(size.trainingFlops > 6 * 85e6 * size.rows)
    #expect(size.trainingFlops < 8 * 85e6 * size.rows)
  }

  /// A run of two figures is done once; the whole paper can be planned at every scale.
  @Test func figuresShareRuns() throws {
    func plan(_ figure: String, _ preset: String = "smoke") throws -> Plan {
      let experiment = try Experiment(figure: figure, preset: preset, in: project.directory)
      return try Plan(
        StageGraph(experiment, in: project.directory), rates: rates, cores: 2,
        in: project.directory)
    }
    let plans = try ["scaling-law", "figure9", "table4"].map { try plan($0) }
    let shared = SharedPlan(plans)
    // figure9 adds its report; table4 two runs of one of its tables, and its report.
    #expect(shared.stale == plans[0].states.count + 1 + 2 * 2 + 1)
    #expect(shared.remaining.seconds < plans.reduce(0) { $0 + $1.remaining.seconds } / 2)
    #expect(shared.text.contains("To run: \(shared.stale) stage runs"))
    for figure in [
      "figure1", "figure4", "figure7a", "figure8", "figure10", "figure13", "figure14", "table1",
      "table5",
    ] {
      for preset in ["smoke", "laptop", "evening", "workstation", "paper"] {
        #expect(try plan(figure, preset).remaining.seconds > 0, "\(figure) \(preset)")
      }
    }
  }

  @Test func costsAddUp() throws {
    let plan = try Plan(graph(), rates: rates, cores: 2, in: project.directory)
    #expect(plan.costs.count == plan.graph.nodes.count)
    #expect(plan.costs.allSatisfy { $0.seconds > 0 && $0.memoryBytes > 0 && $0.diskBytes > 0 })
    let sum = plan.costs.reduce(0) { $0 + $1.seconds }
    #expect(abs(plan.remaining.seconds - sum) < 1e-9 * sum)
    let two =
      Cost(flops: 1, memoryBytes: 2, diskBytes: 3, seconds: 4)
      + Cost(flops: 1, memoryBytes: 5, diskBytes: 1, seconds: 1)
    #expect(two == Cost(flops: 2, memoryBytes: 5, diskBytes: 4, seconds: 5))
  }

  /// The preset of which `make figure2` took 58.5 CPU seconds for its 40 evaluations.
  private static let measured = """
    parts: [data/cfg3f-15, optimizer/adamw-cosine]
    set:
      data: {trainDocuments: 1536000, heldoutDocuments: 4096}
      snapshots: {count: 8, spacing: log, first: 125}
    seeds: [1, 2, 3, 4, 5]
    sizes:
      - name: large
        parts: [model/gpt2-4x64]
        set: {training: {steps: 3000}}
      - name: small
        parts: [model/gpt2-4x8]
        set: {training: {steps: 24000}}
    jobs: cores
    """

  /// The calibrated rates of the machine on which that was measured: 2.4 s for one evaluation of the large
  /// 1-gram model and 0.52 s for one of the small.
  @Test func evaluationsTakeWhatWasMeasured() throws {
    try project.write(Self.measured, to: "pipeline/presets/measured.yaml")
    let searching = try graph(preset: "measured")
    try project.replace("unseen: true", by: "unseen: false", in: "pipeline/figure2.yaml")
    let graph = try graph(preset: "measured")
    let rates = Rates { _, width, _ in width == 8 ? 71.6e9 : 110.2e9 }
    let costs = try CostModel(graph, rates: rates, threads: 1).costs()
    let all = graph.nodes.indices.filter { graph.nodes[$0].stage == .evaluate }
    #expect(all.count == 40)
    #expect(abs(all.reduce(0) { $0 + costs[$1].seconds } / 58.5 - 1) < 0.1)
    for (name, seconds) in [
      ("1-gram/large/1", 2.4), ("1-gram/small/1", 0.516), ("3-gram output/small/1", 0.933),
      ("3-gram tokenizer/large/1", 1.07),
    ] {
      let run = try #require(graph.experiment.runs.firstIndex { $0.name == name })
      let planned = costs[graph.chains[run].evaluate].seconds
      #expect(abs(planned / seconds - 1) < 0.15, "\(name): \(planned)")
    }
    // Looking for what was not trained on took 0.41 s more.
    let more = try CostModel(searching, rates: rates, threads: 1).costs()[
      searching.chains[0].evaluate]
    #expect(abs(more.seconds - costs[graph.chains[0].evaluate].seconds - 0.41) < 0.02)
  }

  /// Held-out sentences cost what their number says, whichever stage handles them.
  @Test func costsFollowTheStream() throws {
    let graph = try graph(preset: "laptop")
    let costs = try CostModel(graph, rates: rates, threads: 1).costs()
    let data = graph.chains[0].data
    for stage in 0..<3 {
      let (heldout, train) = (costs[data[stage]], costs[data[stage + 3]])
      #expect(heldout.diskBytes > 0 && heldout.diskBytes < train.diskBytes)
    }
  }

  @Test func theLongestRunsStartFirst() throws {
    let graph = try graph()
    let costs = try CostModel(graph, rates: rates, threads: 1).costs()
    let order = Plan.startOrder(of: graph, costs: costs)
    #expect(order.sorted() == Array(graph.nodes.indices))
    let trains = order.filter { graph.nodes[$0].stage == .train }.map { costs[$0].seconds }
    #expect(trains == trains.sorted(by: >))
  }

  @Test(arguments: [
    ("1-gram tokens, seed 1", "1-gram tokens seed 1"), ("it's $(HOME)/a", "it s HOME /a"),
    ("é", ""),
  ])
  func labelsAreWordsToMakeAndShell(label: String, word: String) {
    #expect(MakeRules.word(label) == word)
  }

  @Test func rulesNameEveryNodeOnce() throws {
    let graph = try graph()
    let order = Array(graph.nodes.indices.reversed())
    let rules = MakeRules(graph)
    let lines = rules.text(order: order).split(separator: "\n")
    for node in graph.nodes {
      #expect(lines.count { $0.hasPrefix(node.index + ":") } == 1)
      #expect(
        lines.contains {
          $0 == "\t$(call runStage,\(node.stage.rawValue),\(node.id),\(MakeRules.word(node.label)))"
        })
    }
    try rules.write(order: order, in: project.directory)
    for node in graph.nodes {
      let path = project.directory + "/" + node.configurationPath
      #expect(try StageConfiguration.load(from: path).id == node.id)
    }
    // What is there and right is left alone; what is not is written.
    let before = try project.listing()
    try rules.write(order: order, in: project.directory)
    #expect(try project.listing() == before)
    for path in [rules.path, graph.nodes[0].configurationPath] {
      let right = try FileBytes.read(project.directory + "/" + path)
      for wrong in [Array(right.dropLast()), right + [10]] {
        try AtomicFile.write(wrong, to: project.directory + "/" + path)
        try rules.write(order: order, in: project.directory)
        #expect(try FileBytes.read(project.directory + "/" + path) == right)
      }
    }
  }

  @Test func everyFileOfAFigureIsATarget() throws {
    let graph = try graph()
    let text = MakeRules(graph).text(order: [graph.report])
    let results = "results/\(graph.experiment.preset)/\(graph.experiment.figure)"
    #expect(text.contains("\n\(results).csv \(results).svg: \(results).json ;\n"))
  }

  @Test(arguments: ["a b", "a:b", "a,b", "a'b", "a/b", "-n", ".a", "a%", "a\nb", "é"])
  func namesThatMakeTakesForSomethingElse(name: String) throws {
    let text = try FileBytes.read(project.directory + "/pipeline/presets/smoke.yaml")
    try project.write(
      String(decoding: text, as: UTF8.self), to: "pipeline/presets/\(name).yaml")
    let graph = try project.graph("figure2", preset: name)
    let error = #expect(throws: UserError.self) {
      try MakeRules(graph).write(order: [], in: project.directory)
    }
    #expect(error?.what == "preset" && error?.found == "'\(name)'")
    #expect(!FileBytes.exists(project.directory + "/data/plan"))
  }

  @Test func targetsThatSettingsName() throws {
    try project.replace(
      "made: data/corpus/default/digest ", by: "made: \"data/$(shell id): x\" ",
      in: "pipeline/corpora/default.yaml")
    let graph = try StageGraph(
      Experiment(figure: "scaling-law", preset: "laptop", in: project.directory),
      in: project.directory)
    let error = #expect(throws: UserError.self) {
      try MakeRules(graph).write(order: [], in: project.directory)
    }
    #expect(error?.found == "'data/$(shell id): x'")
  }

  @Test(arguments: [
    (0.0, "0 s"), (0.0123, "0.0123 s"), (99, "99 s"), (100, "1.67 min"), (7_200, "2 h"),
    (200_000, "2.31 d"), (63_115_200, "2 y"),
  ])
  func times(seconds: Double, text: String) {
    #expect(Quantity.time(seconds) == text)
  }

  @Test func quantities() {
    #expect(Quantity.count(9_999) == "9999")
    #expect(Quantity.count(85_600_000) == "85.6M")
    #expect(Quantity.bytes(999.6) == "1 kB")
    #expect(Quantity.flops(2.5e18) == "2.5 EFLOP")
  }

  @Test func tables() {
    var table = TextTable(["run", "steps", "state"])
    table.add(["a", "10", "cached"])
    table.add(["long", "9", ""])
    #expect(table.text == "run   steps  state\na        10  cached\nlong      9\n")
  }

  /// Of machines whose products in bfloat16 are the slower ones.
  @Test(arguments: [
    ("laptop-bfloat16", 0.5, true), ("laptop-bfloat16", 0.99, false), ("laptop", 0.5, false),
  ])
  func aSlowPrecisionIsNamed(preset: String, share: Double, isNamed: Bool) throws {
    let project = try TemporaryProject()
    let rates = Rates { _, _, precision in precision == .bfloat16 ? share * 1e10 : 1e10 }
    let experiment = try Experiment(figure: "figure2", preset: preset, in: project.directory)
    let plan = try Plan(
      StageGraph(experiment, in: project.directory), rates: rates, cores: 2, in: project.directory)
    let text = try plan.text()
    #expect(
      text.contains("bfloat16 take 2.0 times as long as in float32 here, at width") == isNamed)
  }
}
