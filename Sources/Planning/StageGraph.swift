import Support

/// The stages of the way of the data, in its order.
package enum Stage: String, CaseIterable, Sendable {
  case sample, tokenize, map, train, evaluate, report

  /// Part of every id: raised when the stage gives other bytes for the same configuration.
  /// `ott-<stage> --version` prints the same number.
  package var version: Int { 1 }

  package var command: String { "ott-\(rawValue)" }
}

/// All stage runs that a figure needs, each once, inputs before outputs.
package struct StageGraph: Sendable {
  package struct Node: Sendable {
    package let stage: Stage
    package let id: String
    package let configuration: StageConfiguration
    /// Indices of the nodes that this one reads.
    package let inputs: [Int]
    /// What it is, for people: "train stream, seed 1"; for train and evaluate the run's name.
    package let label: String
    /// Index into `Experiment.runs` of the first run that uses the output.
    package let run: Int
    /// Names of all runs that use the output.
    package fileprivate(set) var runNames: [String]

    /// data/<stage>/<id>
    package var directory: String { "data/\(stage.rawValue)/\(id)" }
    package var index: String { directory + "/" + StageIndex.fileName }
    /// data/config/<stage>/<id>.json
    package var configurationPath: String { "data/config/\(stage.rawValue)/\(id).json" }
  }

  package let experiment: Experiment
  package private(set) var nodes: [Node] = []
  /// Facts of the grammar of each run, in the order of `experiment.runs`.
  package private(set) var grammars: [GrammarFacts] = []
  /// Nodes of each run, in the order of `experiment.runs`.
  package private(set) var chains: [Chain] = []

  /// The nodes that one run goes through.
  package struct Chain: Sendable {
    package let sample, heldout, tokenize, map, train, evaluate: Int
  }

  /// The node that makes the figure.
  package var report: Int { nodes.count - 1 }

  private var known: [String: Int] = [:]

  /// Expands `experiment`; paths are relative to `directory`.
  package init(_ experiment: Experiment, in directory: String = ".") throws {
    self.experiment = experiment
    var facts: [String: GrammarFacts] = [:]
    for (position, run) in experiment.runs.enumerated() {
      let path = try run.settings.string("data.grammar")
      let root = try run.settings.int("data.root")
      let grammar =
        try facts["\(path) \(root)"] ?? GrammarFacts(path: path, root: root, in: directory)
      facts["\(path) \(root)"] = grammar
      grammars.append(grammar)
      chains.append(try addChain(of: run, position, grammar: grammar))
    }
    try addReport(in: directory)
    known = [:]
  }

  // MARK: - Chains

  private mutating func addChain(
    of run: Experiment.Run, _ position: Int, grammar: GrammarFacts
  ) throws -> Chain {
    let settings = run.settings
    let seed = run.seed
    let perShard = ConfigValue.integer(try settings.int("data.documentsPerShard", in: 1...1 << 30))
    let sample = add(
      .sample, parameters: try sampleParameters(settings, grammar, seed: seed, stream: "train"),
      inputs: [:], label: "train stream, seed \(seed)", run: position)
    let heldout = add(
      .sample, parameters: try sampleParameters(settings, grammar, seed: seed, stream: "heldout"),
      inputs: [:], label: "heldout stream, seed \(seed)", run: position)
    let order = try settings.int("tokenizer.order", in: 1...16)
    let tokenize = add(
      .tokenize,
      parameters: [
        "kind": settings.value("tokenizer.kind"), "order": .integer(order),
        "documentsPerShard": perShard,
      ],
      inputs: ["symbols": sample], label: "\(order)-gram tokens, seed \(seed)", run: position)
    let inputOrders = try settings.ints("map.inputOrders", in: 1...16)
    let outputOrder = try settings.int("map.outputOrder", in: 1...16)
    let map = add(
      .map,
      parameters: [
        "inputOrders": .array(inputOrders.map(ConfigValue.integer)),
        "outputOrder": .integer(outputOrder), "documentsPerShard": perShard,
      ],
      inputs: ["tokens": tokenize], label: "\(run.variant), seed \(seed)", run: position)
    let train = add(
      .train, parameters: try trainParameters(settings, grammar, seed: seed),
      inputs: ["data": map], label: run.name, run: position)
    let evaluate = add(
      .evaluate, parameters: try evaluateParameters(settings, grammar, seed: seed),
      inputs: ["run": train, "heldout": heldout], label: run.name, run: position)
    return Chain(
      sample: sample, heldout: heldout, tokenize: tokenize, map: map, train: train,
      evaluate: evaluate)
  }

  private func sampleParameters(
    _ settings: Settings, _ grammar: GrammarFacts, seed: Int, stream: String
  ) throws -> ConfigValue {
    let documents = try settings.int(
      "data.\(stream == "train" ? "trainDocuments" : "heldoutDocuments")", in: 1...1 << 40)
    return [
      "grammar": .string(grammar.path), "grammarDigest": .string(grammar.digest),
      "root": .integer(grammar.root), "seed": .integer(seed), "stream": .string(stream),
      "documents": .integer(documents),
      "documentsPerShard": .integer(try settings.int("data.documentsPerShard", in: 1...1 << 30)),
      "compressionLevel": .integer(try settings.int("data.compressionLevel", in: 1...22)),
    ]
  }

  private func trainParameters(
    _ settings: Settings, _ grammar: GrammarFacts, seed: Int
  ) throws -> ConfigValue {
    var model = members(settings.section("model"))
    if try settings.int("model.context") == 0 {
      // One row per character and one for the end: what the finest tokens need serves all variants.
      model["context"] = .integer(grammar.longest + 1)
    }
    var schedule = members(settings.section("schedule"))
    if schedule["kind"] == "constant" { schedule["finalFraction"] = nil }
    var snapshots = members(settings.section("snapshots"))
    if snapshots["spacing"] != "log" { snapshots["first"] = nil }
    let batch = try settings.int("training.batchSentences", in: 1...1 << 20)
    guard try settings.int("data.trainDocuments") >= batch else {
      throw settings.fault(
        "data.trainDocuments", expected: "at least a batch of \(batch) sentences")
    }
    return [
      "model": .object(model), "optimizer": settings.section("optimizer"),
      "schedule": .object(schedule), "snapshots": .object(snapshots),
      "batchSentences": .integer(batch),
      "steps": .integer(try settings.int("training.steps", in: 1...1 << 40)),
      "lanes": .integer(try settings.int("training.lanes", in: 1...4096)),
      "checkpointEverySteps": .integer(
        try settings.int("training.checkpointEverySteps", in: 1...Int.max)),
      "logEverySteps": .integer(try settings.int("training.logEverySteps", in: 1...Int.max)),
      "seed": .integer(seed), "dataSeed": .integer(seed),
    ]
  }

  private func evaluateParameters(
    _ settings: Settings, _ grammar: GrammarFacts, seed: Int
  ) throws -> ConfigValue {
    let scored = try settings.int("evaluation.heldoutSentences", in: 1...1 << 40)
    guard try settings.int("data.heldoutDocuments") >= scored else {
      throw settings.fault(
        "data.heldoutDocuments", expected: "at least the \(scored) sentences to be scored")
    }
    var parameters = members(settings.section("evaluation"))
    parameters["grammar"] = .string(grammar.path)
    parameters["grammarDigest"] = .string(grammar.digest)
    parameters["root"] = .integer(grammar.root)
    parameters["seed"] = .integer(seed)
    return .object(parameters)
  }

  // MARK: - Report

  private mutating func addReport(in directory: String) throws {
    let figure = experiment
    let drawing = try FileBytes.read(directory + "/" + figure.drawing)
    var inputs: [String: Int] = [:]
    for (run, chain) in zip(figure.runs, chains) { inputs[run.name] = chain.evaluate }
    let parameters: ConfigValue = [
      "figure": .string(figure.figure), "preset": .string(figure.preset),
      "title": .string(figure.title),
      "drawing": .string(figure.drawing), "drawingDigest": .string(SHA256.hex(of: drawing)),
      "panels": .array(
        figure.panels.map {
          [
            "name": .string($0.name), "variants": .array($0.variants.map(ConfigValue.string)),
          ]
        }),
      "sizes": .array(figure.sizes.map(ConfigValue.string)),
      "seeds": .array(figure.seeds.map(ConfigValue.integer)),
      "claims": .array(
        figure.claims.map {
          [
            "panel": .string($0.panel), "variant": .string($0.variant),
            "baseline": .string($0.baseline), "size": .string($0.size),
            "statement": .string($0.statement), "row": .string($0.row),
          ]
        }),
    ]
    _ = add(.report, parameters: parameters, inputs: inputs, label: figure.figure, run: 0)
    nodes[report].runNames = figure.runs.map(\.name)
  }

  // MARK: - Parts

  /// Adds a node unless one of the same id is there; either way the run uses it.
  private mutating func add(
    _ stage: Stage, parameters: ConfigValue, inputs: [String: Int], label: String, run: Int
  ) -> Int {
    let configuration = StageConfiguration(
      stage: stage.rawValue, version: stage.version, parameters: parameters,
      inputs: inputs.mapValues { .init(id: nodes[$0].id, path: nodes[$0].directory) })
    let id = configuration.id
    let name = experiment.runs[run].name
    if let position = known[id] {
      if nodes[position].runNames.last != name { nodes[position].runNames.append(name) }
      return position
    }
    nodes.append(
      Node(
        stage: stage, id: id, configuration: configuration, inputs: inputs.values.sorted(),
        label: label, run: run, runNames: [name]))
    known[id] = nodes.count - 1
    return nodes.count - 1
  }

  private func members(_ value: ConfigValue) -> [String: ConfigValue] {
    guard case .object(let members) = value else { preconditionFailure("a section is an object") }
    return members
  }
}

extension StageGraph {
  /// The nodes of one stage: `all` of them, the `first`, or those that a run of that name uses.
  package func nodes(of stage: Stage, run: String) throws -> [Node] {
    let nodes = self.nodes.filter { $0.stage == stage }
    switch run {
    case "all": return nodes
    case "first": return Array(nodes.prefix(1))
    default:
      let name = try experiment.run(run).name
      return nodes.filter { $0.runNames.contains(name) }
    }
  }
}
