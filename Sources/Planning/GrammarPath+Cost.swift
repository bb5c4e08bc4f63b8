import Models
import Support

/// Costs of the stages of a grammar's language.
extension GrammarPath {
  /// Compressed bytes an element of cfg3f's shards, zstd level 3, lengths of documents included.
  private static let bytesPerSymbol = 0.27
  private static let bytesPerToken = 0.3
  private static let bytesPerMapColumn = 0.26

  package func size(of run: Int, in model: CostModel) throws -> CostModel.RunSize {
    let settings = model.graph.experiment.runs[run].settings
    let configuration = try configuration(of: run, in: model)
    let steps = try settings.int("training.steps")
    let sentences = steps * (try settings.int("training.batchSentences"))
    let rowsPerSentence = grammars[run].meanRows(
      tokenizerOrder: try settings.int("tokenizer.order"))
    let rows = Double(sentences) * rowsPerSentence
    let forward = configuration.forwardFLOPs(perTokenAt: Int(rowsPerSentence.rounded()))
    return CostModel.RunSize(
      parameters: configuration.parameterCount, steps: steps, units: sentences,
      epochs: Double(sentences) / Double(try settings.int("data.trainDocuments")),
      rows: rows, snapshots: try settings.int("snapshots.count", in: 1...1 << 20),
      trainingFlops: 3 * forward * rows, forwardFlopsPerRow: forward)
  }

  package func cost(of node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let settings = model.graph.experiment.runs[node.run].settings
    let grammar = grammars[node.run]
    let train = Double(try settings.int("data.trainDocuments"))
    let characters = train * grammar.meanCharacters
    let rows = train * grammar.meanRows(tokenizerOrder: try settings.int("tokenizer.order"))
    switch node.stage {
    case .sample:
      let heldout = node.configuration.parameters["stream"] == "heldout"
      let documents = heldout ? Double(try settings.int("data.heldoutDocuments")) : train
      return model.streaming(
        elements: documents * grammar.meanCharacters, rate: model.rates.sample,
        bytesPerElement: Self.bytesPerSymbol)
    case .tokenize:
      return model.streaming(
        elements: characters, rate: model.rates.tokenize,
        bytesPerElement: Self.bytesPerToken * (rows + train) / characters)
    case .map:
      let columns = Double(try settings.ints("map.inputOrders", in: 1...16).count + 1)
      return model.streaming(
        elements: rows, rate: model.rates.map, bytesPerElement: Self.bytesPerMapColumn * columns)
    case .train:
      let columns = Double(try settings.ints("map.inputOrders", in: 1...16).count + 1)
      return model.training(
        try size(of: node.run, in: model), try configuration(of: node.run, in: model),
        lanes: try settings.int("training.lanes"), precision: try settings.precision,
        dataBytes: rows * columns + train * 8)
    case .evaluate: return try evaluation(node, settings: settings, in: model)
    case .report: return model.report
    case .vocabulary: preconditionFailure("a grammar's tokens need no training")
    }
  }

  private func evaluation(
    _ node: StageGraph.Node, settings: Settings, in model: CostModel
  ) throws -> Cost {
    let size = try size(of: node.run, in: model)
    let configuration = try configuration(of: node.run, in: model)
    let order = try settings.int("tokenizer.order")
    let perSentence = grammars[node.run].meanRows(tokenizerOrder: order)
    let batch = try settings.int("evaluation.batch", in: 1...1 << 16)
    let heldout = size.snapshots * (try settings.int("evaluation.heldoutSentences"))
    let scored = perSentence * Double(heldout)
    let generated =
      perSentence
      * Double(
        (size.snapshots - 1) * (try settings.int("evaluation.samples", in: 0...1 << 40))
          + (try settings.int("evaluation.finalSamples", in: 0...1 << 40)))
    return Cost(
      flops: (scored + generated) * size.forwardFlopsPerRow,
      memoryBytes: 4 * Double(size.parameters)
        + Double(configuration.cacheBytes * batch) * perSentence + CostModel.processBytes,
      diskBytes: Double(heldout) * 12 + generated * 0.4,
      seconds: model.rates.startSeconds
        + model.rates.evaluationSeconds(
          configuration, scored: scored, generated: generated, batch: batch, length: perSentence))
  }

  private func configuration(of run: Int, in model: CostModel) throws -> ModelConfiguration {
    let settings = model.graph.experiment.runs[run].settings
    let order = try settings.int("tokenizer.order")
    return try model.model(
      of: run,
      inputs: settings.ints("map.inputOrders", in: 1...16).map {
        InputTable(order: $0, rows: try grammars[run].inputRows(order: $0, tokenizerOrder: order))
      },
      labels: grammars[run].labels(
        outputOrder: settings.int("map.outputOrder"), tokenizerOrder: order))
  }
}
