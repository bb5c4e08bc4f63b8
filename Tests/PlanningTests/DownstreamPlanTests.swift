import Contracts
import Foundation
import Planning
import Support
import Testing

/// Figures over text whose runs are scored on tasks.
@Suite struct DownstreamPlanTests {
  let project: TemporaryProject
  let rates = Rates { rows, width, _ in Double(rows * width) * 1e6 }

  init() throws { project = try TemporaryProject() }

  private func graph(_ settings: String? = nil, preset: String = "laptop") throws -> StageGraph {
    if let settings {
      try project.replace(
        "\nset: {}\n", by: "\nset: {downstream: \(settings)}\n", in: "pipeline/table4.yaml")
    }
    return try project.graph("table4", preset: preset)
  }

  private func refusal(_ settings: String) -> String {
    let error = #expect(throws: UserError.self) { _ = try graph(settings) }
    return error?.description ?? ""
  }

  @Test func aStageBehindTraining() throws {
    let without = try graph()
    #expect(without.nodes.allSatisfy { $0.stage != .downstream })
    let graph = try graph("{tasks: [piqa, mmlu_stem], questions: 300}")
    let runs = graph.experiment.runs.count
    let nodes = graph.nodes.filter { $0.stage == .downstream }
    #expect(nodes.count == runs)
    // Everything else is what it was, but for the report, which reads the scores.
    let others = Set(without.nodes.map(\.id)).symmetricDifference(graph.nodes.map(\.id))
    #expect(
      others == Set(nodes.map(\.id) + [without.nodes, graph.nodes].map { $0[$0.count - 1].id }))
    let chain = graph.chains[0]
    let node = graph.nodes[try #require(chain.downstream)]
    #expect(chain.nodes.last == chain.downstream)
    #expect(node.sources == ["data/tasks/digest"])
    let inputs = node.configuration.inputs
    #expect(Set(inputs.keys) == ["run", "tokenizer", "piqa", "mmlu_stem"])
    #expect(inputs["run"]?.id == graph.nodes[chain.train].id)
    #expect(inputs["tokenizer"]?.id == graph.nodes[chain.data[0]].id)
    #expect(inputs["piqa"] == .init(id: "03f2ded9ae90", path: "data/tasks/piqa.jsonl"))
    let parameters = try DownstreamParameters(node.configuration)
    #expect(parameters.tasks.map(\.name) == ["piqa", "mmlu_stem"])
    #expect(parameters.tasks.map(\.metric) == [.lenNorm, .lenNorm])
    #expect(parameters.questions == 300 && parameters.seed == 0 && !parameters.onlyLast)
    let report = graph.nodes[graph.report].configuration.inputs
    let name = graph.experiment.runs[0].name
    #expect(report["downstream/\(name)"]?.id == node.id)
    #expect(report.keys.count { $0.hasPrefix("downstream/") } == runs)
  }

  @Test func whatItTakes() throws {
    func costs(_ graph: StageGraph) throws -> Cost {
      let costs = try CostModel(graph, rates: rates, threads: 1).costs()
      return costs[try #require(graph.chains[0].downstream)]
    }
    let graph = try graph("{tasks: [hellaswag], questions: 500}")
    let some = try costs(graph)
    #expect(some.seconds > 0 && some.memoryBytes > 0 && some.diskBytes > 0 && some.flops > 0)
    try project.replace("questions: 500}", by: "questions: 0}", in: "pipeline/table4.yaml")
    let all = try costs(self.graph())
    #expect(abs(all.flops / some.flops - 10042 / 500) < 0.1)
    let plan = try Plan(graph, rates: rates, cores: 2, in: project.directory)
    #expect(try plan.text().contains("downstream"))
  }

  /// All tasks, 500 questions each, took 66 CPU seconds with a laptop model.
  @Test func takesWhatWasMeasured() throws {
    let facts = try TaskFacts(path: "pipeline/tasks/default.yaml", in: project.directory)
    let graph = try graph(
      "{tasks: [\(facts.tasks.keys.sorted().joined(separator: ", "))], questions: 500}")
    let costs = try CostModel(graph, rates: Rates { _, _, _ in 110.2e9 }, threads: 1).costs()
    let planned = costs[try #require(graph.chains[0].downstream)].seconds
    #expect(abs(planned / 66 - 1) < 0.25, "\(planned)")
  }

  /// Every preset, with every task; in the smoke preset they lie in the project.
  @Test(arguments: ["smoke", "laptop", "workstation", "paper"])
  func everyPreset(preset: String) throws {
    let facts = try TaskFacts(path: "pipeline/tasks/default.yaml", in: project.directory)
    let sample = try TaskFacts(path: "pipeline/tasks/sample.yaml", in: project.directory)
    #expect(facts.tasks.keys == sample.tasks.keys && facts.tasks.count == 15)
    for (name, task) in facts.tasks { #expect(task.metric == sample.tasks[name]?.metric) }
    let names = facts.tasks.keys.sorted().joined(separator: ", ")
    let graph = try graph("{tasks: [\(names)]}", preset: preset)
    let node = graph.nodes[try #require(graph.chains[0].downstream)]
    #expect(node.configuration.inputs.count == 17)
    #expect(node.sources.isEmpty == (preset == "smoke"))
    let plan = try Plan(graph, rates: rates, cores: 2, in: project.directory)
    #expect(plan.costs.allSatisfy { $0.seconds > 0 })
  }

  // MARK: - Bad input

  @Test(arguments: [
    (
      "{tasks: [pika]}",
      "pipeline/table4.yaml: downstream.tasks: expected [all], or names of "
        + "pipeline/tasks/default.yaml: arc_"
    ),
    ("{tasks: [3]}", "downstream.tasks: expected [all], or names of"),
    ("{tasks: [piqa, piqa]}", "one or more tasks, all different"),
    ("{tasks: [piqa], questions: -1}", "downstream.questions: expected an integer in"),
    ("{tasks: [piqa], file: pipeline/tasks/none.yaml}", "pipeline/tasks/none.yaml"),
    ("{task: [piqa]}", "downstream.task"),
  ])
  func whatIsRefused(settings: String, message: String) {
    let found = refusal(settings)
    #expect(found.contains(message), "\(found)")
    #expect(!found.contains("\n"))
  }

  @Test(arguments: [
    ("digest: 03f2ded9", "digest: 3f2ded9", "tasks.piqa.digest: expected 64 hexadecimal digits"),
    ("questions: 1838\n", "questions: 0\n", "tasks.piqa.questions: expected an integer"),
    ("choices: 3676\n", "answers: 3676\n", "tasks.piqa"),
    ("metric: lenNorm\n    questions: 1838", "metric: f1\n    questions: 1838", "acc, lenNorm"),
  ])
  func factsThatAreWrong(old: String, new: String, message: String) throws {
    try project.replace(old, by: new, in: "pipeline/tasks/default.yaml")
    let found = refusal("{tasks: [copa]}")
    #expect(found.contains("pipeline/tasks/default.yaml"))
    #expect(found.contains(message), "\(found)")
  }

  /// Runs that are compared are scored on the same questions.
  @Test func comparedRunsHaveTheSameTasks() throws {
    try project.replace(
      "{model: {overEncoding: {order: 2, rows: 64V}}}",
      by: "{model: {overEncoding: {order: 2, rows: 64V}}, downstream: {tasks: [copa]}}",
      in: "pipeline/table4.yaml")
    let error = #expect(throws: UserError.self) { _ = try graph() }
    #expect(error?.description.contains("as in variant 'baseline'") == true)
  }
}
