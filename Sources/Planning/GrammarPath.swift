import Contracts
import Models
import NGrams
import Support
import Tokenization

/// The way of a grammar's language: two streams of sentences are sampled, tokenized and mapped; the
/// train stream is trained on; the held-out stream and generated sentences are scored.
package struct GrammarPath: DataPath {
  /// What the stages of a run are asked to do.
  struct Run {
    let grammar: GrammarFacts
    var sample, heldout: SampleParameters
    let tokenize: GrammarTokenizeParameters
    let map: GrammarMapParameters
    var train: TrainParameters
    var evaluate: GrammarEvaluateParameters
    let model: ModelConfiguration
    /// Whether the evaluation looks for strings that the run was not trained on.
    let searchesUnseen: Bool
  }

  package let figure: GrammarFigure
  package let unit = DataKind.grammar.sequences
  /// In the order of the experiment's runs.
  let runs: [Run]
  private let drawingDigest: String

  /// Facts of the grammar of each run.
  package var grammars: [GrammarFacts] { runs.map(\.grammar) }

  init(_ experiment: Experiment, _ figure: GrammarFigure, in directory: String) throws {
    self.figure = figure
    drawingDigest = SHA256.hex(of: try FileBytes.read(directory + "/" + figure.drawing))
    var facts: [String: GrammarFacts] = [:]
    runs = try experiment.mapRuns { run in
      let path = try run.settings.string("data.grammar")
      let root = try run.settings.parameters(Root.self, from: ["data"]).root
      let grammar =
        try facts["\(path) \(root)"]
        ?? run.settings.locating("data.root") {
          try GrammarFacts(path: path, root: root, in: directory)
        }
      facts["\(path) \(root)"] = grammar
      return try Run(run.settings, grammar, seed: run.seed)
    } reseed: {
      $0.with(seed: $1)
    }
    try experiment.requireEqual(
      [
        "training.steps", "training.batchSequences", "snapshots.count", "snapshots.spacing",
        "snapshots.first", "snapshots.initial",
      ], because: "curves that are compared need equal sentences a step and equal snapshots")
  }

  /// What is needed of the settings before there is a grammar.
  private struct Root: KeyedParameters {
    @Key(in: 1...99_999) var root: Int
  }

  /// A setting of the evaluation that is no parameter of it: it gives it an input.
  struct Search: KeyedParameters {
    @Key() var unseen: Bool
  }

  // MARK: - Stages

  package func addChain(of position: Int, to graph: inout StageGraph) throws -> StageGraph.Chain {
    let (run, own) = (graph.experiment.runs[position], runs[position])
    /// Sample, tokens and map of a stream.
    func add(_ parameters: SampleParameters) -> [Int] {
      let (stream, seed) = (parameters.stream, run.seed)
      let sample = graph.add(
        parameters, inputs: [:], label: "\(stream) stream, seed \(seed)", run: position)
      let tokenize = graph.add(
        TokenizeParameters.grammar(own.tokenize), inputs: ["symbols": sample],
        label: "\(stream) \(own.tokenize.order)-gram tokens, seed \(seed)", run: position)
      let map = graph.add(
        MapParameters.grammar(own.map), inputs: ["tokens": tokenize],
        label: "\(stream) \(run.variant), seed \(seed)", run: position)
      return [sample, tokenize, map]
    }
    let (trained, heldout) = (add(own.sample), add(own.heldout))
    let train = graph.add(own.train, inputs: ["data": trained[2]], label: run.name, run: position)
    var inputs = ["run": train, "heldout": heldout[2], "symbols": heldout[0]]
    if own.searchesUnseen { inputs["trained"] = trained[0] }
    let evaluate = graph.add(
      EvaluateParameters.grammar(own.evaluate), inputs: inputs, label: run.name, run: position)
    return StageGraph.Chain(
      data: heldout + trained, model: .init(train: train, evaluate: evaluate))
  }

  package func report(
    on graph: StageGraph
  ) throws -> (parameters: ReportParameters, inputs: [String: Int]) {
    let experiment = graph.experiment
    var inputs: [String: Int] = [:]
    for (run, chain) in zip(experiment.runs, graph.chains) {
      inputs[run.name] = chain.model?.evaluate
    }
    var report = FigureParameters()
    report.figure = experiment.figure
    report.preset = experiment.preset
    report.title = experiment.title
    report.drawing = figure.drawing
    report.drawingDigest = drawingDigest
    report.panels = figure.panels
    report.sizes = experiment.sizes
    report.seeds = experiment.seeds
    report.claims = figure.claims
    return (.grammar(report), inputs)
  }
}

// MARK: - From settings to parameters

extension GrammarPath.Run {
  /// The same for another seed.
  func with(seed: Int) -> Self {
    var run = self
    let seed = UInt64(seed)
    (run.sample.seed, run.heldout.seed, run.evaluate.seed) = (seed, seed, seed)
    (run.train.seed, run.train.dataSeed) = (seed, seed)
    return run
  }

  init(_ settings: Settings, _ grammar: GrammarFacts, seed: Int) throws {
    self.grammar = grammar
    let facts: [String: ConfigValue?] = [
      "grammar": .string(grammar.path), "grammarDigest": .string(grammar.digest),
      "root": .integer(grammar.root), "seed": .integer(seed),
    ]
    func stream(_ stream: SentenceStream, documents: String) throws -> SampleParameters {
      try settings.parameters(
        from: ["data"], named: ["documents": documents],
        adding: facts.merging(["stream": .string(stream.rawValue)]) { $1 })
    }
    sample = try stream(.train, documents: "data.trainDocuments")
    heldout = try stream(.heldout, documents: "data.heldoutDocuments")
    tokenize = try settings.parameters(from: ["tokenizer", "data"])
    map = try settings.parameters(from: ["map", "data"])
    let (tokens, orders) = (tokenize, map)
    let base = try settings.locating("tokenizer.order") {
      try NGramVocabulary(alphabet: grammar.terminals, order: tokens.order)
    }
    _ = try settings.locating("map.inputOrders") {
      try RowMapper(base: base, inputOrders: orders.inputOrders, outputOrder: 1)
    }
    let mapper = try settings.locating("map.outputOrder") {
      try RowMapper(
        base: base, inputOrders: orders.inputOrders, outputOrder: orders.outputOrder)
    }

    var model = try settings.model
    if model["context"] == 0 {
      // One row per character and one for the end: what the finest tokens need serves all variants.
      model["context"] = .integer(grammar.longest + 1)
    }
    train = try settings.trainParameters(kind: .grammar, model: model, seed: seed)
    guard sample.documents >= train.training.batchSequences else {
      throw settings.fault(
        "data.trainDocuments",
        expected: "at least a batch of \(train.training.batchSequences) sentences")
    }
    self.model = try settings.model(
      train, inputs: mapper.tables.map { InputTable(order: $0.order, rows: $0.rows) },
      labels: mapper.labels)
    try settings.requireSingleTokens(self.model, outputOrder: map.outputOrder)
    // Any sentence may be sampled or held out, and each is learned and scored whole.
    let rows = (grammar.longest + tokenize.order - 1) / tokenize.order + 1
    guard self.model.context >= rows else {
      throw settings.fault(
        "model.context", expected: "0, or at least the \(rows) rows of the longest sentence")
    }

    searchesUnseen = try settings.parameters(GrammarPath.Search.self, from: ["evaluation"]).unseen
    let proposals: [String: ConfigValue?] =
      settings.value("evaluation.drafts") == 0 ? ["drafts": nil] : [:]
    evaluate = try settings.parameters(
      from: ["evaluation"],
      adding: facts.merging(proposals) { $1 }.merging(settings.evaluationDevice) { $1 })
    try settings.requireScores(of: self.model, on: evaluate.device, sentences: true)
    let most = self.model.furtherHeads?.weights.count ?? 0
    guard evaluate.drafts ?? 0 <= most else {
      throw settings.fault(
        "evaluation.drafts", expected: "at most \(most), the further heads of the model")
    }
    guard heldout.documents >= evaluate.heldoutSentences else {
      throw settings.fault(
        "data.heldoutDocuments",
        expected: "at least the \(evaluate.heldoutSentences) sentences to be scored")
    }
  }
}
