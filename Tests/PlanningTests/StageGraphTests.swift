import Contracts
import Foundation
import Planning
import Support
import Testing

@Suite struct StageGraphTests {
  let project: TemporaryProject

  init() throws {
    project = try TemporaryProject()
    try project.write(tinyPreset, to: "pipeline/presets/tiny.yaml")
  }

  func graph() throws -> StageGraph {
    try project.graph("figure2", preset: "tiny")
  }

  func ids(_ graph: StageGraph) -> [Stage: Set<String>] {
    Dictionary(grouping: graph.nodes, by: \.stage).mapValues { Set($0.map(\.id)) }
  }

  @Test func dataStagesAreShared() throws {
    let graph = try graph()
    let counts = ids(graph).mapValues(\.count)
    // Two seeds: two streams each, with two tokenizers and four variants, and two sizes of those.
    #expect(
      counts == [.sample: 4, .tokenize: 8, .map: 16, .train: 16, .evaluate: 16, .report: 1])
    for (position, node) in graph.nodes.enumerated() {
      #expect(node.inputs.allSatisfy { $0 < position })
      #expect(node.configuration.id == node.id)
      for (name, input) in node.configuration.inputs {
        #expect(graph.nodes.contains { $0.id == input.id && $0.directory == input.path }, "\(name)")
      }
    }
  }

  @Test func variantsOfASeedShareSentencesAndOrder() throws {
    let graph = try graph()
    for seed in [1, 2] {
      let chains = zip(graph.experiment.runs, graph.chains).filter { $0.0.seed == seed }.map(\.1)
      for stage in [Stage.sample, .tokenize] {
        let used = chains.map { $0.data.filter { graph.nodes[$0].stage == stage } }
        #expect(Set(used.map { $0.count }) == [2], "both streams")
        #expect(Set(used.joined()).count == (stage == .sample ? 2 : 4))
      }
      let orders = chains.map { graph.nodes[$0.train].configuration.parameters["dataSeed"] }
      #expect(orders.allSatisfy { $0 == .integer(seed) })
    }
  }

  /// Held-out sentences are tokenized and mapped as what the run is trained on.
  @Test func heldOutSentencesGoTheWayOfTheData() throws {
    let graph = try graph()
    for chain in graph.chains {
      let evaluate = graph.nodes[chain.evaluate].configuration
      func node(_ input: StageConfiguration.Input?) throws -> StageGraph.Node {
        try #require(graph.nodes.first { $0.id == input?.id })
      }
      func source(_ map: StageGraph.Node) throws -> (tokens: StageGraph.Node, StageGraph.Node) {
        let tokens = try node(map.configuration.inputs["tokens"])
        return (tokens, try node(tokens.configuration.inputs["symbols"]))
      }
      let (heldout, train) = (try node(evaluate.inputs["heldout"]), graph.nodes[chain.map])
      let (heldoutTokens, symbols) = try source(heldout)
      let (trainTokens, trainSymbols) = try source(train)
      #expect(heldout.configuration.parameters == train.configuration.parameters)
      #expect(heldoutTokens.configuration.parameters == trainTokens.configuration.parameters)
      #expect(symbols.configuration.parameters["stream"] == "heldout")
      #expect(trainSymbols.configuration.parameters["stream"] == "train")
      #expect(evaluate.inputs["symbols"]?.id == symbols.id)
      // figure2 looks for strings that the run was not trained on.
      #expect(evaluate.inputs["trained"]?.id == trainSymbols.id)
    }
  }

  /// A setting that is no parameter: without it an evaluation is the one it was before there was any.
  @Test func theTrainingStreamIsAnInputOnlyWhereItIsAskedFor() throws {
    let before = try graph()
    try project.replace("unseen: true", by: "unseen: false", in: "pipeline/figure2.yaml")
    let after = try graph()
    for (a, b) in zip(before.nodes, after.nodes) where a.stage == .evaluate {
      #expect(a.configuration.parameters == b.configuration.parameters && a.id != b.id)
      #expect(Set(b.configuration.inputs.keys) == ["run", "heldout", "symbols"])
    }
  }

  @Test func aParameterChangesOnlyWhatDependsOnIt() throws {
    let before = ids(try graph())
    try project.replace(
      "learningRate: 0.002", by: "learningRate: 0.003", in: "pipeline/presets/tiny.yaml")
    let rate = ids(try graph())
    for stage in [Stage.sample, .tokenize, .map] { #expect(before[stage] == rate[stage]) }
    for stage in [Stage.train, .evaluate, .report] {
      #expect(before[stage]?.isDisjoint(with: rate[stage] ?? []) == true)
    }
    try project.replace(
      "learningRate: 0.003", by: "learningRate: 0.002", in: "pipeline/presets/tiny.yaml")
    #expect(ids(try graph()) == before)

    try project.replace("outputOrder: 3", by: "outputOrder: 2", in: "pipeline/figure2.yaml")
    let output = ids(try graph())
    for stage in [Stage.sample, .tokenize] { #expect(before[stage] == output[stage]) }
    #expect(before[.map]?.subtracting(output[.map] ?? []).count == 4)
    #expect(before[.train]?.subtracting(output[.train] ?? []).count == 4)
  }

  @Test func theGrammarAndTheDrawingArePartOfTheIdentity() throws {
    let before = ids(try graph())
    let grammar = "data/grammars/cfg3f.grammar"
    let text = String(
      decoding: try FileBytes.read(project.directory + "/" + grammar), as: UTF8.self)
    try project.write(text + "\n", to: grammar)
    let after = ids(try graph())
    #expect(before[.sample]?.isDisjoint(with: after[.sample] ?? []) == true)
    try project.write(text, to: grammar)
    try project.write("# empty\n", to: "pipeline/figure2.gnuplot")
    let drawn = ids(try graph())
    #expect(before[.evaluate] == drawn[.evaluate])
    #expect(before[.report] != drawn[.report])
  }

  @Test func contextFitsTheLongestSentence() throws {
    let graph = try graph()
    let train = graph.nodes[graph.chains[0].train].configuration.parameters
    let path = try #require(graph.path as? GrammarPath)
    #expect(train["model"]?["context"] == .integer(path.grammars[0].longest + 1))
  }

  @Test func nodesByRun() throws {
    let graph = try graph()
    #expect(try graph.nodes(of: .map, run: "all").count == 16)
    #expect(try graph.nodes(of: .map, run: "first").count == 1)
    let name = "3-gram tokenizer/small/2"
    for (stage, count) in [(Stage.sample, 2), (.tokenize, 2), (.map, 2), (.train, 1)] {
      #expect(try graph.nodes(of: stage, run: name).count == count)
    }
    #expect(try graph.nodes(of: .train, run: name).first?.label == name)
    #expect(throws: UserError.self) { try graph.nodes(of: .map, run: "last") }
  }

  @Test func contradictionsAreRefused() throws {
    try project.replace(
      "heldoutDocuments: 1000", by: "heldoutDocuments: 999", in: "pipeline/presets/tiny.yaml")
    let error = #expect(throws: UserError.self) { try graph() }
    #expect(
      error?.description
        == "pipeline/presets/tiny.yaml: data.heldoutDocuments: expected at least the 1000 sentences "
        + "to be scored, found 999")
  }

  /// The settings of a variant are read once for all seeds: each seed gets the stages that it would
  /// have alone, under both kinds of data.
  @Test(arguments: [
    ("figure2", "tiny", "pipeline/presets"), ("table4", "smoke", "pipeline/text/presets"),
  ])
  func aSeedIsPlannedAsIfItWereAlone(figure: String, preset: String, folder: String) throws {
    func stages() throws -> [String: [String]] {
      let graph = try StageGraph(
        Experiment(figure: figure, preset: preset, in: project.directory), in: project.directory)
      var stages: [String: [String]] = [:]
      for (run, chain) in zip(graph.experiment.runs, graph.chains) where run.seed == 2 {
        stages[run.name] = chain.nodes.map { graph.nodes[$0].id }
      }
      return stages
    }
    let both = try stages()
    let file = "\(folder)/\(preset).yaml"
    let text = String(
      decoding: try FileBytes.read(project.directory + "/" + file), as: UTF8.self)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("seeds:") })
    try project.replace(String(line), by: "seeds: [2]", in: file)
    let alone = try stages()
    #expect(!alone.isEmpty && alone == both)
  }

  /// A file of the paper's results with Windows line ends is the same file.
  @Test func paperResultsWithWindowsLineEnds() throws {
    let before = ids(try graph())
    let path = "pipeline/paper_results.csv"
    let text = String(
      decoding: try FileBytes.read(project.directory + "/" + path), as: UTF8.self)
    try project.write(text.split(separator: "\n").joined(separator: "\r\n"), to: path)
    #expect(try ids(graph()) == before)
  }
}
