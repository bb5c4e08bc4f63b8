import Contracts
import Models
import NGrams
import Support
import Tokenization

/// The way of text: a tokenizer is trained on a corpus; the training part, held-out documents of the
/// same kind and a part of another domain are tokenized and mapped to n-gram ids; a model is trained in
/// a single pass and its loss on both held-out sets is taken. All runs share everything up to the map.
package struct TextPath: DataPath {
  /// What the stages of a run are asked to do.
  struct Run {
    let corpus: CorpusFacts
    let vocabulary: VocabularyParameters
    /// The part that is trained on, and those that are scored.
    let tokenize: TextTokenizeParameters
    let scored: [ScoredSet: TextTokenizeParameters]
    let map: TextMapParameters
    /// Of a figure of what is discovered.
    let discover: DiscoverParameters
    /// Nil for models without f-grams; with them the map has theirs.
    let fGrams: FGramsPlan?
    var train: TrainParameters
    let evaluate: TextEvaluateParameters
    /// Further sets of text that it is scored on; nil for none.
    let domains: DomainsPlan?
    /// Models of n-grams of what the run reads; nil where none are wanted.
    var count: CountParameters?
    let model: ModelConfiguration
    /// Of its tables; nil for the plain token embedding.
    let layout: OverEncodingLayout?
    /// The tasks that it is scored on; nil for none.
    let downstream: DownstreamPlan?
  }

  package let figure: TextFigure
  package let unit = DataKind.text.sequences
  /// In the order of the experiment's runs.
  let runs: [Run]
  private let drawingDigest: String?

  init(_ experiment: Experiment, _ figure: TextFigure, in directory: String) throws {
    self.figure = figure
    drawingDigest = try figure.drawing.map {
      SHA256.hex(of: try FileBytes.read(directory + "/" + $0))
    }
    var facts: [String: CorpusFacts] = [:]
    runs = try experiment.mapRuns { run in
      let path = try run.settings.string("corpus.file")
      let corpus = try facts[path] ?? CorpusFacts(path: path, in: directory)
      facts[path] = corpus
      return try Run(run.settings, corpus, seed: run.seed, in: directory)
    } reseed: {
      $0.with(seed: $1)
    }
    if figure.report.isCensus {
      try requireCensus(experiment)
    } else {
      try requireComparable(experiment)
    }
  }

  /// A census is of one text: what it is about alone may differ between variants.
  private func requireCensus(_ experiment: Experiment) throws {
    let split = ["file", "heldoutShare", "splitSeed", "groupWords", "blockBytes"]
    try experiment.requireEqual(
      split.map { "corpus.\($0)" } + ["tokenizer.pattern", "tokenizer.minimumCount"]
        + (figure.report == .discovery
          ? [
            "tokenizer.vocabulary", "tokenizer.exponent", "discover.longest",
            "discover.minimumCount",
          ]
          : ["model.width"]),
      acrossSizes: true, because: "what is counted is of one text")
  }

  /// What the report would find out when everything is trained.
  private func requireComparable(_ experiment: Experiment) throws {
    let ofVocabularies = figure.report == .vocabularies
    try experiment.requireEqual(
      [
        "corpus.file", "corpus.heldoutShare", "corpus.otherShare", "corpus.splitSeed",
        "discover", "model.context", "training.steps", "training.batchSequences",
        "training.logEverySteps", "counting", "evaluation.stride", "evaluation.finalPositions",
        "evaluation.domains", "evaluation.domainBytes", "downstream",
      ] + (ofVocabularies ? ["tokenizer.pattern", "tokenizer.minimumCount"] : ["tokenizer"]),
      acrossSizes: true,
      because: "runs that are compared need equal batches and equal lines of metrics")
    let run = experiment.runs[0]
    switch figure.report {
    case .ablation, .metrics, .discovery, .updates: break
    case .vocabularies:
      // What is counted or cut off in tokens is not the same text in tokens of another vocabulary.
      if runs[0].count != nil {
        throw run.settings.fault(
          "counting.order", expected: "1 where vocabularies are compared: n-grams are of one")
      }
      if runs[0].evaluate.finalPositions != 0 {
        throw run.settings.fault(
          "evaluation.finalPositions",
          expected: "0, all of the text, where vocabularies are compared")
      }
    case .lossCurves:
      let (lines, steps) = (runs[0].train.training.logEverySteps, runs[0].train.plannedSteps.steps)
      guard lines <= steps / 10 else {
        throw run.settings.fault(
          "training.logEverySteps",
          expected: "at most \(steps / 10), a tenth of the steps: curves are compared by tenths")
      }
    case .scalingLaw:
      let sizes = try experiment.variants.map { try variant($0, experiment).inputVocabulary }
      guard Set(sizes).count == sizes.count, sizes.count >= 4 else {
        throw UserError(
          "pipeline/\(experiment.figure).yaml: variants",
          expected: "at least four sizes of the input vocabulary, all different",
          found: "\(sizes)")
      }
    }
  }

  // MARK: - Stages

  package func addChain(of position: Int, to graph: inout StageGraph) throws -> StageGraph.Chain {
    let (run, own) = (graph.experiment.runs[position], runs[position])
    let sources = own.corpus.made.map { [$0] } ?? []
    let tokenizer = graph.add(
      own.vocabulary, inputs: [:], externals: ["corpus": own.corpus.train.input],
      sources: sources, label: "tokenizer of \(own.vocabulary.vocabulary) tokens", run: position)
    var data = [tokenizer]
    func tokenize(
      _ name: String, _ tokens: TextTokenizeParameters, of corpus: CorpusFacts.Part
    ) -> Int {
      graph.add(
        TokenizeParameters.text(tokens), inputs: ["tokenizer": tokenizer],
        externals: ["corpus": corpus.input], sources: sources, label: "\(name) tokens",
        run: position)
    }
    if figure.report.isCensus {
      let tokens = tokenize("train", own.tokenize, of: own.corpus.train)
      guard figure.report == .discovery else {
        return StageGraph.Chain(data: data + [tokens])
      }
      let discover = graph.add(
        own.discover, inputs: ["tokens": tokens],
        label: "f-grams of up to \(own.discover.longest) tokens, \(run.variant)", run: position)
      return StageGraph.Chain(data: data + [tokens, discover])
    }
    let discover = own.fGrams.map { fGrams in
      let tokens = tokenize("train", own.tokenize, of: own.corpus.train)
      let discover = graph.add(
        fGrams.discover, inputs: ["tokens": tokens],
        label: "f-grams of up to \(fGrams.discover.longest) tokens", run: position)
      data += [tokens, discover]
      return (node: discover, map: fGrams.map)
    }
    func add(
      _ name: String, _ tokens: TextTokenizeParameters, of corpus: CorpusFacts.Part
    ) -> Int {
      let tokens = tokenize(name, tokens, of: corpus)
      var inputs = ["tokens": tokens, "tokenizer": tokenizer]
      inputs["fgrams"] = discover?.node
      let map = graph.add(
        MapParameters.text(discover.map { .fGrams($0.map) } ?? .nGrams(own.map)), inputs: inputs,
        label: discover.map { "\(name) f-grams of up to \($0.map.longest) tokens" }
          ?? "\(name) \(own.map.order)-grams", run: position)
      data += data.contains(tokens) ? [map] : [tokens, map]
      return map
    }
    var inputs: [String: Int] = [:]
    for set in ScoredSet.allCases {
      guard let tokens = own.scored[set] else { continue }
      inputs[set.rawValue] = add(set.rawValue, tokens, of: own.corpus.part(of: set))
    }
    let map = add("train", own.tokenize, of: own.corpus.train)
    // Of the baseline's runs: all runs of a seed read the same windows.
    let isBaseline = run.variant == figure.baseline
    let count = own.count.flatMap { isBaseline ? $0 : nil }.map { count in
      graph.add(
        count, inputs: inputs.merging(["data": map]) { $1 },
        label: "counts of \(count.order)-grams, seed \(run.seed)", run: position)
    }
    let train = graph.add(own.train, inputs: ["data": map], label: run.name, run: position)
    inputs["run"] = train
    let evaluate = graph.add(
      EvaluateParameters.text(own.evaluate), inputs: inputs, label: run.name, run: position)
    let trained = data
    let domains = own.domains.map { plan in
      var inputs = ["run": train]
      for domain in plan.domains {
        inputs[domain.name] = add(domain.name, domain.tokens, of: domain.part)
      }
      return graph.add(
        EvaluateParameters.text(own.evaluate), inputs: inputs, label: "\(run.name), domains",
        run: position)
    }
    let downstream = own.downstream?.add(
      to: &graph, tokenizer: tokenizer, fGrams: discover?.node, train: train, run: position)
    return StageGraph.Chain(
      data: trained, furtherData: Array(data[trained.count...]), count: count,
      model: .init(train: train, evaluate: evaluate, domains: domains, downstream: downstream))
  }

  // MARK: - Report

  package func report(
    on graph: StageGraph
  ) throws -> (parameters: ReportParameters, inputs: [String: Int]) {
    let experiment = graph.experiment
    var inputs: [String: Int] = [:]
    for (run, chain) in zip(experiment.runs, graph.chains) {
      if figure.report.isCensus { inputs[run.variant] = chain.map }
      inputs["evaluate/\(run.name)"] = chain.model?.evaluate
      inputs["train/\(run.name)"] = chain.model?.train
      inputs["domains/\(run.name)"] = chain.model?.domains
      inputs["downstream/\(run.name)"] = chain.model?.downstream
      if let count = chain.count { inputs["count/\(run.seed)"] = count }
    }
    var report = TextFigureParameters()
    report.report = figure.report
    report.figure = experiment.figure
    report.preset = experiment.preset
    report.title = experiment.title
    report.size = experiment.sizes[0]
    report.seeds = figure.report.isCensus ? [] : experiment.seeds
    report.baseline = figure.baseline
    if figure.report == .updates { report.width = runs[0].model.width }
    report.stretch = try experiment.runs[0].settings.parameters(
      Stretch.self, from: ["report"]
    ).stretch
    report.variants = try experiment.variants.map { try variant($0, experiment) }
    report.comparisons = figure.comparisons
    report.spacings = figure.spacings
    try requireAscending(report)
    report.paper = figure.paper
    report.drawing = figure.drawing
    report.drawingDigest = drawingDigest
    return (.text(report), inputs)
  }

  /// Spacings are of input vocabularies that grow.
  private func requireAscending(_ report: TextFigureParameters) throws {
    for spacing in report.spacings ?? [] {
      let sizes = spacing.variants.compactMap { name in
        report.variants.first { $0.name == name }?.inputVocabulary
      }
      guard sizes.count == 3, sizes[0] < sizes[1], sizes[1] < sizes[2] else {
        throw UserError(
          "pipeline/\(report.figure).yaml: spacings",
          expected: "three variants, each with a larger input vocabulary than the one before",
          found: zip(spacing.variants, sizes).map { "\($0) of \($1)" }.joined(separator: ", "))
      }
    }
  }

  /// What a report says of a variant's tables.
  private func variant(
    _ name: String, _ experiment: Experiment
  ) throws -> TextFigureParameters.Variant {
    guard let position = experiment.runs.firstIndex(where: { $0.variant == name }) else {
      preconditionFailure("every variant has a run")
    }
    let own = runs[position]
    let size = experiment.runs[position].size
    let vocabulary = own.vocabulary.vocabulary
    var variant = TextFigureParameters.Variant()
    variant.name = name
    variant.size = size == experiment.sizes[0] ? nil : size
    variant.description = figure.descriptions[name] ?? ""
    variant.vocabulary = vocabulary
    variant.tokenRows = own.model.overEncoding?.token ?? true ? vocabulary : 0
    variant.tables = (own.layout?.embedders ?? []).map { embedder in
      var table = TextFigureParameters.Table()
      (table.order, table.slice) = (embedder.order, embedder.slice)
      (table.rows, table.width) = (embedder.modulus, embedder.width)
      return table
    }
    return variant
  }

  /// The one setting of section `report`.
  private struct Stretch: KeyedParameters {
    @Key(in: 1e-6...1) var stretch: Double
  }
}

// MARK: - From settings to parameters

extension TextPath.Run {
  /// The same for another seed.
  func with(seed: Int) -> Self {
    var run = self
    (run.train.seed, run.train.dataSeed) = (UInt64(seed), UInt64(seed))
    run.count?.dataSeed = UInt64(seed)
    return run
  }

  init(
    _ settings: Settings, _ corpus: CorpusFacts, seed: Int, in directory: String
  ) throws {
    self.corpus = corpus
    downstream = try DownstreamPlan(settings, in: directory)
    // Left out where they are 0: the stage draws documents one by one then.
    let split: [String: ConfigValue?] = [
      "split": "split", "groupWords": settings.unlessZero("corpus.groupWords"),
      "blockBytes": settings.unlessZero("corpus.blockBytes"),
    ]
    let endOfText = try settings.string("tokenizer.endOfText")
    vocabulary = try settings.parameters(
      from: ["tokenizer", "corpus"],
      adding: split.merging([
        "part": .string(CorpusSplit.Part.train.rawValue), "specialTokens": [.string(endOfText)],
        "vocabulary": .integer(try Self.vocabulary(settings)),
      ]) { $1 })
    let size = vocabulary.vocabulary
    func tokens(_ part: CorpusSplit.Part, share: String) throws -> TextTokenizeParameters {
      try settings.parameters(
        from: ["corpus", "tokenizer"], named: ["heldoutShare": "corpus.\(share)"],
        adding: split.merging([
          "part": .string(part.rawValue),
          "element": .string(TextTokenizeParameters.Element(vocabulary: size).rawValue),
        ]) { $1 })
    }
    tokenize = try tokens(.train, share: "heldoutShare")
    scored = [
      .heldout: try tokens(.validation, share: "heldoutShare"),
      .other: try tokens(.validation, share: "otherShare"),
    ]
    domains = try DomainsPlan(settings, corpus) { share in
      var parameters = try tokens(.validation, share: "heldoutShare")
      parameters.heldoutShare = share
      return parameters
    }
    try corpus.requireDocuments(tokenize, of: corpus.train, settings, "corpus.heldoutShare")
    for (set, tokens) in scored.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      try corpus.requireDocuments(
        tokens, of: corpus.part(of: set), settings, "corpus.\(set.rawValue)Share")
    }

    let overEncoding = try Self.overEncoding(settings, vocabulary: size)
    var model = try settings.model
    model["overEncoding"] = overEncoding
    model["fGrams"] = try FGramsPlan.model(settings, besideTables: overEncoding != nil)
    train = try settings.trainParameters(
      kind: .text, model: model, hasTables: overEncoding != nil, seed: seed)
    self.model = try settings.model(
      train, inputs: [InputTable(order: 1, rows: size)], labels: size)
    layout = self.model.overEncoding?.layout
    // A window has a row, and a row a token of a byte or more.
    let windows = train.plannedSteps.steps * train.training.batchSequences
    guard windows <= corpus.train.bytes else {
      throw settings.fault(
        "training.steps",
        expected: "at most one pass over \(corpus.train.bytes) bytes of text, in batches of "
          + "\(train.training.batchSequences) windows")
    }

    var map: TextMapParameters = try settings.parameters(
      from: ["map"], adding: ["content": .string(TextMap.Content.ngramIDs.rawValue)])
    map.order = max(map.order, layout?.order ?? 1)
    self.map = map
    fGrams = try FGramsPlan(settings, order: layout == nil ? nil : map.order)
    discover = try settings.parameters(from: ["discover"], adding: Self.share(settings))
    _ = try settings.locating("map.order") {
      try ExactGrams(vocabulary: size, order: map.order)
    }
    evaluate = try settings.parameters(
      from: ["evaluation"], adding: settings.evaluationDevice)
    try settings.requireScores(of: self.model, on: evaluate.device, sentences: false)
    guard evaluate.stride <= self.model.context else {
      throw settings.fault(
        "evaluation.stride",
        expected: "at most \(self.model.context), the context of the model")
    }
    count = try Self.counting(settings, train, evaluate, context: self.model.context)
  }

  /// V · growthᵉ, of settings that a preset gives and a figure varies.
  private static func vocabulary(_ settings: Settings) throws -> Int {
    struct Growth: KeyedParameters {
      @Key(in: 1...1 << 24) var vocabulary: Int
      @Key(in: 2...1024) var growth: Int
      @Key(in: 0...16) var exponent: Int
    }
    let own = try settings.parameters(Growth.self, from: ["tokenizer"])
    return try (0..<own.exponent).reduce(own.vocabulary) { size, _ in
      let (product, overflows) = size.multipliedReportingOverflow(by: own.growth)
      guard !overflows, product <= 1 << 24 else {
        throw settings.fault(
          "tokenizer.exponent",
          expected: "vocabulary \(own.vocabulary) times growth \(own.growth) to its power, at most "
            + "\(1 << 24)")
      }
      return product
    }
  }

  /// `discover.share`, which the stage gets where it is not 1.
  static func share(_ settings: Settings) -> [String: ConfigValue?] {
    settings.value("discover.share") == .double(1) ? ["share": nil] : [:]
  }

  /// Stage count over what the run reads, scored on what the run is scored on; nil for order 1.
  private static func counting(
    _ settings: Settings, _ train: TrainParameters, _ evaluate: TextEvaluateParameters, context: Int
  ) throws -> CountParameters? {
    if settings.value("counting.order") == .integer(1) { return nil }
    return try settings.parameters(
      from: ["counting"],
      adding: [
        "context": .integer(context), "steps": .integer(train.plannedSteps.steps),
        "batchSequences": .integer(train.training.batchSequences),
        "dataSeed": .integer(Int(train.dataSeed)), "stride": .integer(evaluate.stride),
        "positions": .integer(evaluate.finalPositions),
      ])
  }

  /// `model.overEncoding` as the stage gets it: nil for order 1, rows by number.
  private static func overEncoding(
    _ settings: Settings, vocabulary: Int
  ) throws -> ConfigValue? {
    var members = settings.section("model.overEncoding")
    let order = try settings.parameters(Order.self, from: ["model.overEncoding"]).order
    if order == 1 { return nil }
    members["rows"] = .integer(try rows(settings, vocabulary: vocabulary))
    return .object(members)
  }

  /// What is needed of the settings before there is a model. Order 1: no tables.
  private struct Order: KeyedParameters {
    @Key(in: 1...64) var order: Int
  }

  /// m, from "3200000" or in units of the vocabulary, "64V".
  private static func rows(_ settings: Settings, vocabulary: Int) throws -> Int {
    let text = try settings.string("model.overEncoding.rows")
    let unit = text.hasSuffix("V") ? Double(vocabulary) : 1
    let number = Double(text.hasSuffix("V") ? String(text.dropLast()) : text)
    guard let number, number > 0, let rows = Int(exactly: (number * unit).rounded()),
      (1...OverEncodingLayout.largestModulus).contains(rows)
    else {
      throw settings.fault(
        "model.overEncoding.rows",
        expected: "a number of rows up to \(OverEncodingLayout.largestModulus), such as 3200000, "
          + "or of vocabularies, as 64V")
    }
    return rows
  }
}
