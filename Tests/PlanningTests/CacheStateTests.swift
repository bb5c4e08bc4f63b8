import Foundation
import Planning
import Support
import Testing

@Suite struct CacheStateTests {
  let project: TemporaryProject

  init() throws {
    project = try TemporaryProject()
    try project.write(tinyPreset, to: "pipeline/presets/tiny.yaml")
  }

  func graph() throws -> StageGraph {
    try project.graph("figure2", preset: "tiny")
  }

  /// Pretends that a node ran.
  func finish(_ node: StageGraph.Node) throws {
    try project.write("{}", to: node.index)
    try project.write(node.configuration.file.prettyJSON, to: node.configurationPath)
  }

  @Test func nothingThere() throws {
    let graph = try graph()
    let states = CacheState.states(of: graph, in: project.directory)
    #expect(states.allSatisfy { $0 == .stale(reason: "no output yet") })
  }

  @Test func everythingThereAndThenLess() throws {
    let graph = try graph()
    for node in graph.nodes { try finish(node) }
    #expect(CacheState.states(of: graph, in: project.directory).allSatisfy { $0 == .cached })

    // What was made from the cleaned shards is still right: nothing is to be done.
    try FileManager.default.removeItem(atPath: project.directory + "/data/map")
    let states = CacheState.states(of: graph, in: project.directory)
    #expect(states.allSatisfy { !$0.isStale })
    #expect(states[graph.chains[0].map] == .notNeeded)

    // A missing evaluation needs itself and the report's input is there no more.
    try FileManager.default.removeItem(
      atPath: project.directory + "/" + graph.nodes[graph.report].directory)
    let report = CacheState.states(of: graph, in: project.directory)
    #expect(report.indices.filter { report[$0].isStale } == [graph.report])

    // Training again needs the map set again, and scoring that of the held-out sentences.
    let chain = graph.chains[0]
    for node in [chain.train, chain.evaluate] {
      try FileManager.default.removeItem(
        atPath: project.directory + "/" + graph.nodes[node].directory)
    }
    let train = CacheState.states(of: graph, in: project.directory)
    #expect(
      Set(train.indices.filter { train[$0].isStale })
        == [graph.report, chain.train, chain.evaluate, chain.map, chain.data[2]])
  }

  @Test func reasonsNameTheChangedParameter() throws {
    for node in try graph().nodes { try finish(node) }
    try project.replace(
      "learningRate: 0.002", by: "learningRate: 0.004", in: "pipeline/presets/tiny.yaml")
    let graph = try graph()
    let states = CacheState.states(of: graph, in: project.directory)
    let chain = graph.chains[0]
    #expect(
      states[chain.train] == .stale(reason: "optimizer.learningRate 0.002 → 0.004"))
    #expect(states[chain.evaluate] == .stale(reason: "input run changed"))
    #expect(states[graph.report] == .stale(reason: "16 inputs changed"))
    // Not looked at: the training set itself is there.
    #expect(states[chain.map] == .cached)
  }

  @Test func siblingsOfTheSameFigureAreNoReason() throws {
    let graph = try graph()
    try finish(graph.nodes[graph.chains[0].train])
    let states = CacheState.states(of: graph, in: project.directory)
    #expect(states[graph.chains[1].train] == .stale(reason: "no output yet"))
  }

  @Test func unfinishedOutputs() throws {
    let graph = try graph()
    let train = graph.nodes[graph.chains[0].train]
    try project.write("", to: train.directory + "/checkpoint.safetensors")
    try project.write("", to: graph.nodes[graph.chains[0].map].directory + "/00000.shard")
    let states = CacheState.states(of: graph, in: project.directory)
    #expect(
      states[graph.chains[0].train] == .stale(reason: "unfinished, resumes from its checkpoint"))
    #expect(states[graph.chains[0].map] == .stale(reason: "unfinished"))
  }
}
