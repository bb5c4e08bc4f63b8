import Support

/// The way of a grammar's language: two streams of sentences are sampled; the train stream is
/// tokenized, mapped and trained on; the held-out stream and generated sentences are scored.
package struct GrammarPath: DataPath {
  package let figure: GrammarFigure
  package let unit = "sentences"
  /// Facts of the grammar of each run, in the order of the experiment's runs.
  package let grammars: [GrammarFacts]
  private let drawingDigest: String

  init(_ experiment: Experiment, _ figure: GrammarFigure, in directory: String) throws {
    self.figure = figure
    drawingDigest = SHA256.hex(of: try FileBytes.read(directory + "/" + figure.drawing))
    var facts: [String: GrammarFacts] = [:]
    grammars = try experiment.runs.map { run in
      let path = try run.settings.string("data.grammar")
      let root = try run.settings.int("data.root")
      let grammar =
        try facts["\(path) \(root)"] ?? GrammarFacts(path: path, root: root, in: directory)
      facts["\(path) \(root)"] = grammar
      return grammar
    }
  }

  // MARK: - Stages

  package func addChain(of position: Int, to graph: inout StageGraph) throws -> StageGraph.Chain {
    let run = graph.experiment.runs[position]
    let (settings, seed, grammar) = (run.settings, run.seed, grammars[position])
    let perShard = ConfigValue.integer(try settings.int("data.documentsPerShard", in: 1...1 << 30))
    let sample = graph.add(
      .sample, parameters: try sampleParameters(settings, grammar, seed: seed, stream: "train"),
      inputs: [:], label: "train stream, seed \(seed)", run: position)
    let heldout = graph.add(
      .sample, parameters: try sampleParameters(settings, grammar, seed: seed, stream: "heldout"),
      inputs: [:], label: "heldout stream, seed \(seed)", run: position)
    let order = try settings.int("tokenizer.order", in: 1...16)
    let tokenize = graph.add(
      .tokenize,
      parameters: [
        "kind": settings.value("tokenizer.kind"), "order": .integer(order),
        "documentsPerShard": perShard,
      ],
      inputs: ["symbols": sample], label: "\(order)-gram tokens, seed \(seed)", run: position)
    let inputOrders = try settings.ints("map.inputOrders", in: 1...16)
    let outputOrder = try settings.int("map.outputOrder", in: 1...16)
    let map = graph.add(
      .map,
      parameters: [
        "inputOrders": .array(inputOrders.map(ConfigValue.integer)),
        "outputOrder": .integer(outputOrder), "documentsPerShard": perShard,
      ],
      inputs: ["tokens": tokenize], label: "\(run.variant), seed \(seed)", run: position)
    let train = graph.add(
      .train, parameters: try trainParameters(settings, grammar, seed: seed),
      inputs: ["data": map], label: run.name, run: position)
    let evaluate = graph.add(
      .evaluate, parameters: try evaluateParameters(settings, grammar, seed: seed),
      inputs: ["run": train, "heldout": heldout], label: run.name, run: position)
    return StageGraph.Chain(
      data: [heldout, sample, tokenize, map], train: train, evaluate: evaluate)
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
    var model = try settings.model
    if try settings.int("model.context") == 0 {
      // One row per character and one for the end: what the finest tokens need serves all variants.
      model["context"] = .integer(grammar.longest + 1)
    }
    let batch = try settings.int("training.batchSentences", in: 1...1 << 20)
    guard try settings.int("data.trainDocuments") >= batch else {
      throw settings.fault(
        "data.trainDocuments", expected: "at least a batch of \(batch) sentences")
    }
    return .object(try settings.trainParameters(model: model, batch: batch, seed: seed))
  }

  private func evaluateParameters(
    _ settings: Settings, _ grammar: GrammarFacts, seed: Int
  ) throws -> ConfigValue {
    let scored = try settings.int("evaluation.heldoutSentences", in: 1...1 << 40)
    guard try settings.int("data.heldoutDocuments") >= scored else {
      throw settings.fault(
        "data.heldoutDocuments", expected: "at least the \(scored) sentences to be scored")
    }
    var parameters = settings.section("evaluation").sectionMembers
    parameters["grammar"] = .string(grammar.path)
    parameters["grammarDigest"] = .string(grammar.digest)
    parameters["root"] = .integer(grammar.root)
    parameters["seed"] = .integer(seed)
    return .object(parameters)
  }

  package func report(
    on graph: StageGraph
  ) throws -> (parameters: ConfigValue, inputs: [String: Int]) {
    let experiment = graph.experiment
    var inputs: [String: Int] = [:]
    for (run, chain) in zip(experiment.runs, graph.chains) { inputs[run.name] = chain.evaluate }
    let parameters: ConfigValue = [
      "figure": .string(experiment.figure), "preset": .string(experiment.preset),
      "title": .string(experiment.title),
      "drawing": .string(figure.drawing), "drawingDigest": .string(drawingDigest),
      "panels": .array(
        figure.panels.map {
          [
            "name": .string($0.name), "variants": .array($0.variants.map(ConfigValue.string)),
          ]
        }),
      "sizes": .array(experiment.sizes.map(ConfigValue.string)),
      "seeds": .array(experiment.seeds.map(ConfigValue.integer)),
      "claims": .array(
        figure.claims.map {
          [
            "panel": .string($0.panel), "variant": .string($0.variant),
            "baseline": .string($0.baseline), "size": .string($0.size),
            "statement": .string($0.statement), "row": .string($0.row),
          ]
        }),
    ]
    return (parameters, inputs)
  }
}
