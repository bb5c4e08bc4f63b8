import Contracts
import Models
import Support

/// Costs of the stages of a grammar's language.
extension GrammarPath {
  /// Compressed bytes an element of cfg3f's shards, zstd level 3, lengths of documents included.
  private static let bytesPerSymbol = 0.27
  private static let bytesPerToken = 0.3
  private static let bytesPerMapColumn = 0.26
  /// To read the training stream and look every sentence up: 0.41 s of 1,536,000 sentences of 18.4.
  private static let secondsPerSoughtSymbol = 14.5e-9

  package func size(of run: Int, in model: CostModel) throws -> CostModel.RunSize {
    let own = runs[run]
    let (steps, snapshots) = own.train.plannedSteps
    let sentences = steps * own.train.training.batchSequences
    let rows = Double(sentences) * own.meanRows
    let forward = own.model.forwardFLOPs(perTokenAt: Int(nearest: own.meanRows))
    return CostModel.RunSize(
      parameters: own.model.parameterCount,
      activeParameters: own.model.activeParameterCount, steps: steps, units: sentences,
      epochs: Double(sentences) / Double(own.sample.documents),
      rows: rows, snapshots: snapshots, trainingFlops: 3 * forward * rows,
      forwardFlopsPerRow: forward)
  }

  package func cost(of node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let own = runs[node.run]
    let isHeldout = stream(of: node, in: model.graph) == own.heldout.value["stream"]
    let documents = Double(isHeldout ? own.heldout.documents : own.sample.documents)
    let characters = documents * own.grammar.meanCharacters
    let rows = documents * own.meanRows
    let columns = Double(own.map.inputOrders.count + 1)
    switch node.stage {
    case .sample:
      return model.streaming(
        elements: characters, rate: model.rates.sample, bytesPerElement: Self.bytesPerSymbol)
    case .tokenize:
      return model.streaming(
        elements: characters, rate: model.rates.tokenize,
        bytesPerElement: Self.bytesPerToken * (rows + documents) / characters)
    case .map:
      return model.streaming(
        elements: rows, rate: model.rates.map, bytesPerElement: Self.bytesPerMapColumn * columns)
    case .train:
      return try model.training(
        try size(of: node.run, in: model), own.model, own.train.training,
        dataBytes: rows * columns + documents * 8)
    case .evaluate: return try evaluation(node, in: model)
    case .report: return model.report
    case .vocabulary, .discover, .count, .import, .materialize, .downstream:
      preconditionFailure("no part of a figure over a grammar")
    }
  }

  /// The stream of sentences that a stage's data come from; nil for what follows training.
  private func stream(of node: StageGraph.Node, in graph: StageGraph) -> ConfigValue? {
    switch node.stage {
    case .sample: node.configuration.parameters["stream"]
    case .tokenize, .map: stream(of: graph.nodes[node.inputs[0]], in: graph)
    default: nil
    }
  }

  private func evaluation(_ node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let (own, size) = (runs[node.run], try size(of: node.run, in: model))
    let perSentence = own.meanRows
    let batch = own.evaluate.batch
    let heldout = Double(size.snapshots) * Double(own.evaluate.heldoutSentences)
    let scored = perSentence * heldout
    let generated =
      perSentence
      * (Double(size.snapshots - 1) * Double(own.evaluate.samples)
        + Double(own.evaluate.finalSamples))
    let sought =
      own.searchesUnseen ? Double(own.sample.documents) * own.grammar.meanCharacters : 0
    var cost = Cost(
      flops: (scored + generated) * size.forwardFlopsPerRow,
      memoryBytes: 4 * Double(size.parameters)
        + Double(own.model.cacheBytes) * perSentence * Double(batch) + CostModel.processBytes,
      diskBytes: heldout * 12 + generated * 0.4,
      seconds: model.rates.startSeconds + Self.secondsPerSoughtSymbol * sought)
    guard
      let device = try own.evaluate.device.flatMap({
        try model.deviceCost(
          of: own.model, on: $0, scored: scored, generated: generated, batch: batch,
          length: perSentence)
      })
    else {
      cost.seconds += model.rates.evaluationSeconds(
        own.model, scored: scored, generated: generated, batch: batch, length: perSentence)
      return cost
    }
    cost.seconds +=
      generated * model.rates.drawSeconds
      + (scored + generated) * Double(own.model.labels) * model.rates.labelSeconds
    return cost + device
  }
}

extension GrammarPath.Run {
  /// Expected rows of a sentence.
  fileprivate var meanRows: Double { grammar.meanRows(tokenizerOrder: tokenize.order) }
}
