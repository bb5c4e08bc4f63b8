import Contracts
import Planning
import Support
import Testing

/// Figures over text whose runs are scored on further domains.
@Suite struct DomainsPlanTests {
  let project: TemporaryProject

  init() throws { project = try TemporaryProject() }

  private func graph(_ domains: String?, preset: String = "laptop") throws -> StageGraph {
    if let domains {
      try project.replace(
        "\nset: {}\n", by: "\nset: {evaluation: {domains: \(domains)}}\n",
        in: "pipeline/table4.yaml")
    }
    return try project.graph("table4", preset: preset)
  }

  @Test func aFurtherEvaluation() throws {
    let without = try graph(nil)
    let graph = try graph("[verse, papers]")
    let chain = graph.chains[0]
    let node = graph.nodes[try #require(chain.domains)]
    #expect(Set(node.configuration.inputs.keys) == ["run", "papers", "verse"])
    #expect(node.configuration.inputs["run"]?.id == graph.nodes[chain.train].id)
    // Everything else is what it was, but for the report, which reads the scores.
    let known = Set(without.nodes.map(\.id))
    let added = graph.nodes.filter { !known.contains($0.id) }
    let runs = graph.experiment.runs.count
    #expect(added.count { $0.stage == .evaluate } == runs)
    #expect(added.count { $0.stage == .tokenize } == 2 && added.count { $0.stage == .map } == 2)
    #expect(added.count == runs + 4 + 1)
    #expect(graph.nodes[chain.map].id == without.nodes[without.chains[0].map].id)
    let report = graph.nodes[graph.report].configuration.inputs
    #expect(report["domains/\(graph.experiment.runs[0].name)"]?.id == node.id)
    // So many bytes of each are drawn.
    guard
      let tokens = added.first(where: { $0.label == "papers tokens" }),
      case .text(let parameters) = try TokenizeParameters(tokens.configuration)
    else {
      Issue.record("no tokens of papers")
      return
    }
    #expect(parameters.part == .validation)
    #expect(abs(parameters.heldoutShare * 1_685_367 - 131_072) < 1)
  }

  @Test func allOfThem() throws {
    let graph = try graph("[all]")
    let node = graph.nodes[try #require(graph.chains[0].domains)]
    #expect(node.configuration.inputs.count == 1 + 14)
  }

  @Test func aNameThatIsNone() throws {
    let error = #expect(throws: UserError.self) { _ = try graph("[vers]") }
    let text = error?.description ?? ""
    #expect(
      text.contains("evaluation.domains: expected [all], or names of pipeline/corpora/default"))
    #expect(text.contains("papers"))
  }
}
