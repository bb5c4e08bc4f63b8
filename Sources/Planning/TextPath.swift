import NGrams
import Support

/// The way of text: a tokenizer is trained on a corpus; the training part, held-out documents of the
/// same kind and a part of another domain are tokenized and mapped to n-gram ids; a model is trained in
/// a single pass and its loss on both held-out sets is taken. All runs share everything up to the map.
package struct TextPath: DataPath {
  package let figure: TextFigure
  package let unit = "windows"
  /// Facts of the corpus of each run, in the order of the experiment's runs.
  package let corpora: [CorpusFacts]
  private let drawingDigest: String?

  init(_ experiment: Experiment, _ figure: TextFigure, in directory: String) throws {
    self.figure = figure
    drawingDigest = try figure.drawing.map {
      SHA256.hex(of: try FileBytes.read(directory + "/" + $0))
    }
    var facts: [String: CorpusFacts] = [:]
    corpora = try experiment.runs.map { run in
      let path = try run.settings.string("corpus.file")
      let corpus = try facts[path] ?? CorpusFacts(path: path, in: directory)
      facts[path] = corpus
      return corpus
    }
  }

  // MARK: - Data

  /// A tokenized and mapped part of a corpus.
  private struct Part {
    let name: String
    let corpus: CorpusFacts.Part
    /// Which side of the split, and how much of the corpus is on the held-out side.
    let side: String
    let share: Double
  }

  package func addChain(of position: Int, to graph: inout StageGraph) throws -> StageGraph.Chain {
    let run = graph.experiment.runs[position]
    let (settings, corpus) = (run.settings, corpora[position])
    let heldout = try settings.double("corpus.heldoutShare", in: 0...1)
    let trainPart = Part(name: "train", corpus: corpus.train, side: "train", share: heldout)
    let sources = corpus.made.map { [$0] } ?? []
    let tokenizer = graph.add(
      .vocabulary,
      parameters: .object(
        try splitParameters(trainPart, settings).merging([
          "vocabulary": .integer(try vocabulary(settings)),
          "pattern": settings.value("tokenizer.pattern"),
          "specialTokens": .array([settings.value("tokenizer.endOfText")]),
          "minimumCount": .integer(try settings.int("tokenizer.minimumCount", in: 1...Int.max)),
        ]) { first, _ in first }),
      inputs: [:], externals: ["corpus": corpus.train.input], sources: sources,
      label: "tokenizer of \(try vocabulary(settings)) tokens", run: position)
    let parts = [
      Part(name: "heldout", corpus: corpus.train, side: "validation", share: heldout),
      Part(
        name: "other", corpus: corpus.other, side: "validation",
        share: try settings.double("corpus.otherShare", in: 0...1)),
      trainPart,
    ]
    var data = [tokenizer]
    var maps: [String: Int] = [:]
    for part in parts {
      let tokenize = graph.add(
        .tokenize,
        parameters: .object(
          try splitParameters(part, settings).merging([
            "kind": settings.value("tokenizer.kind"),
            "element": try vocabulary(settings) <= 1 << 16 ? "u16" : "u32",
            "shardBytes": .integer(try settings.int("corpus.shardBytes", in: 1...1 << 40)),
            "endOfText": settings.value("tokenizer.endOfText"),
          ]) { first, _ in first }),
        inputs: ["tokenizer": tokenizer], externals: ["corpus": part.corpus.input],
        sources: sources, label: "\(part.name) tokens", run: position)
      let highest = max(try settings.int("map.order", in: 2...16), try order(settings))
      let map = graph.add(
        .map,
        parameters: [
          "kind": "ngramIDs", "order": .integer(highest),
          "documentsPerShard": .integer(try settings.int("map.documentsPerShard", in: 1...1 << 40)),
        ],
        inputs: ["tokens": tokenize, "tokenizer": tokenizer],
        label: "\(part.name) \(highest)-grams", run: position)
      data += [tokenize, map]
      maps[part.name] = map
    }
    let train = graph.add(
      .train, parameters: try trainParameters(run, corpus), inputs: ["data": data[data.count - 1]],
      label: run.name, run: position)
    let evaluate = graph.add(
      .evaluate, parameters: try evaluateParameters(settings),
      inputs: ["run": train, "heldout": maps["heldout"] ?? 0, "other": maps["other"] ?? 0],
      label: run.name, run: position)
    return StageGraph.Chain(data: data, train: train, evaluate: evaluate)
  }

  private func splitParameters(
    _ part: Part, _ settings: Settings
  ) throws -> [String: ConfigValue] {
    [
      "part": .string(part.side), "validation": .double(part.share), "split": "split",
      "seed": .integer(try settings.int("corpus.splitSeed")),
    ]
  }

  // MARK: - Settings

  func vocabulary(_ settings: Settings) throws -> Int {
    try settings.int("tokenizer.vocabulary", in: 2...1 << 24)
  }

  /// n; 1: no tables.
  func order(_ settings: Settings) throws -> Int {
    try settings.int("overEncoding.order", in: 1...16)
  }

  /// m, from "3200000" or in units of the vocabulary, "64V".
  func rows(_ settings: Settings) throws -> Int {
    let text = try settings.string("overEncoding.rows")
    let unit = try text.hasSuffix("V") ? Double(vocabulary(settings)) : 1
    let number = Double(text.hasSuffix("V") ? String(text.dropLast()) : text)
    guard let number, number > 0, let rows = Int(exactly: (number * unit).rounded()), rows > 0
    else {
      throw settings.fault(
        "overEncoding.rows",
        expected: "a number of rows, such as 3200000, or of vocabularies, as 64V")
    }
    return rows
  }

  /// The tables of a run; nil for the plain token embedding.
  func layout(_ settings: Settings) throws -> OverEncodingLayout? {
    guard let value = try overEncoding(settings) else { return nil }
    var reader = try ConfigReader(
      value, source: settings.entries["overEncoding.order"]?.origin ?? "", path: "overEncoding")
    return try OverEncodingLayout(
      reader: &reader, vocabulary: vocabulary(settings), width: settings.int("model.width"))
  }

  /// `model.overEncoding` of a train configuration; keys that say the default are left out where the
  /// stage has one.
  private func overEncoding(_ settings: Settings) throws -> ConfigValue? {
    let order = try order(settings)
    if order == 1 { return nil }
    var members = settings.section("overEncoding").sectionMembers
    members["rows"] = .integer(try rows(settings))
    let columns = try settings.double("overEncoding.columns", in: 0...1)
    members["columns"] = nil
    if columns != 1 {
      let width = Double(try settings.int("model.width")) * columns
      guard let whole = Int(exactly: width), whole > 0 else {
        throw settings.fault(
          "overEncoding.columns", expected: "a share that gives whole columns of model.width")
      }
      members["width"] = .integer(whole)
    }
    if members["orders"] == .array([]) { members["orders"] = nil }
    if members["token"] == .bool(true) { members["token"] = nil }
    return .object(members)
  }

  // MARK: - Training and evaluation

  private func trainParameters(
    _ run: Experiment.Run, _ corpus: CorpusFacts
  ) throws -> ConfigValue {
    let settings = run.settings
    var model = try settings.model
    if let overEncoding = try overEncoding(settings) { model["overEncoding"] = overEncoding }
    var parameters = try settings.trainParameters(
      model: model, batch: settings.int("training.batchWindows", in: 1...1 << 20), seed: run.seed)
    let isOverEncoded = model["overEncoding"] != nil
    if isOverEncoded {
      var optimizer = settings.section("optimizer").sectionMembers
      optimizer["tables"] = settings.section("tables")
      parameters["optimizer"] = .object(optimizer)
    }
    return .object(parameters)
  }

  private func evaluateParameters(_ settings: Settings) throws -> ConfigValue {
    var parameters = settings.section("evaluation").sectionMembers
    for key in ["positions", "finalPositions"] where parameters[key] == .integer(0) {
      parameters[key] = nil
    }
    parameters["kind"] = "text"
    return .object(parameters)
  }

  // MARK: - Report

  package func report(
    on graph: StageGraph
  ) throws -> (parameters: ConfigValue, inputs: [String: Int]) {
    let experiment = graph.experiment
    var inputs: [String: Int] = [:]
    for (run, chain) in zip(experiment.runs, graph.chains) {
      inputs["evaluate/\(run.name)"] = chain.evaluate
      inputs["train/\(run.name)"] = chain.train
    }
    let first = experiment.runs.map(\.settings)[0]
    var members: [String: ConfigValue] = [
      "kind": .string(figure.report.rawValue),
      "figure": .string(experiment.figure), "preset": .string(experiment.preset),
      "title": .string(experiment.title), "size": .string(experiment.sizes[0]),
      "seeds": .array(experiment.seeds.map(ConfigValue.integer)),
      "baseline": .string(figure.baseline),
      "stretch": .double(try first.double("report.stretch", in: 0...1)),
      "variants": .array(try experiment.variants.map { try variant($0, experiment) }),
      "comparisons": .array(
        figure.comparisons.map {
          [
            "variant": .string($0.variant), "against": .string($0.against),
            "says": .string($0.says),
          ]
        }),
      "paper": .object(
        figure.paper.mapValues { .object($0.mapValues(ConfigValue.double)) }),
    ]
    if let drawing = figure.drawing, let drawingDigest {
      members["drawing"] = .string(drawing)
      members["drawingDigest"] = .string(drawingDigest)
    }
    return (.object(members), inputs)
  }

  /// What a report says of a variant's tables.
  private func variant(_ name: String, _ experiment: Experiment) throws -> ConfigValue {
    guard let run = experiment.runs.first(where: { $0.variant == name }) else {
      preconditionFailure("every variant has a run")
    }
    let layout = try layout(run.settings)
    let vocabulary = try vocabulary(run.settings)
    let hasToken = run.settings.value("overEncoding.token") != .bool(false) || layout == nil
    return [
      "name": .string(name), "description": .string(figure.descriptions[name] ?? ""),
      "vocabulary": .integer(vocabulary),
      "tokenRows": .integer(hasToken ? vocabulary : 0),
      "tables": .array(
        (layout?.embedders ?? []).map {
          [
            "order": .integer($0.order), "slice": .integer($0.slice), "rows": .integer($0.modulus),
            "width": .integer($0.width),
          ]
        }),
    ]
  }
}
