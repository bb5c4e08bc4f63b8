import Contracts
import Foundation
import Models
import Support
import Tokenization

/// Costs of the stages of text, from the sizes that the corpus's file states.
extension TextPath {
  /// Compressed bytes of a token, and of a column of n-gram ids: zstd level 3, default corpus.
  private static let bytesPerToken = 1.14
  private static let bytesPerMapColumn = 1.55
  /// Of the stage count: memory of a token of each order, and tokens of an order counted in a second.
  private static let bytesPerGram = 30.0
  private static let gramsPerSecond = 1.0e6
  /// Of the stage discover: memory of a token, tokens in a second, f-grams for each token of 16 million,
  /// and bytes of one in a file.
  private static let discoveryBytesPerToken = 24.0
  private static let discoveredPerSecond = 8e6
  private static let fGramsPerToken = 0.06
  private static let bytesPerFGram = 8.0
  /// Tokens of the training part that are searched in a second.
  private static let searchedPerSecond = 10e6

  /// English text and byte-pair vocabularies trained on it: 3.58 bytes a token with 4,096 tokens, 4.4
  /// with 50,000.
  static func bytesPerToken(vocabulary: Int) -> Double {
    max(1, 1 + 0.215 * log2(Double(vocabulary)))
  }

  package func size(of run: Int, in model: CostModel) throws -> CostModel.RunSize {
    let own = runs[run]
    let part = own.trainingPart
    let (steps, snapshots) = own.train.plannedSteps
    let windows = steps * own.train.training.batchSequences
    let rowsPerWindow = max(1, (part.tokens - part.documents) / part.windows)
    let rows = Double(windows) * rowsPerWindow
    let forward = own.model.forwardFLOPs(perTokenAt: Int(nearest: rowsPerWindow))
    return CostModel.RunSize(
      parameters: own.model.parameterCount,
      activeParameters: own.model.activeParameterCount, steps: steps, units: windows,
      epochs: Double(windows) / part.windows, rows: rows, snapshots: snapshots,
      trainingFlops: 3 * forward * rows, forwardFlopsPerRow: forward)
  }

  package func cost(of node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let own = runs[node.run]
    let columns = Double(own.map.order + 1)
    switch node.stage {
    case .vocabulary:
      return Cost(
        memoryBytes: CostModel.processBytes + 80e6,
        diskBytes: 60 * Double(own.vocabulary.vocabulary),
        seconds: model.rates.startSeconds
          + Double(own.corpus.train.bytes) * (1 - own.vocabulary.heldoutShare)
          / model.rates.vocabulary)
    case .tokenize:
      let bytes = try bytes(of: node)
      return model.streaming(
        elements: bytes, rate: model.rates.encode,
        bytesPerElement: Self.bytesPerToken / own.bytesPerToken)
    case .map:
      guard
        let tokens = node.inputs.map({ model.graph.nodes[$0] }).last(where: {
          $0.stage == .tokenize
        })
      else { preconditionFailure("tokens are mapped") }
      return model.streaming(
        elements: try bytes(of: tokens) / own.bytesPerToken, rate: model.rates.mapText,
        bytesPerElement: Self.bytesPerMapColumn * columns)
    case .train: return try training(node, in: model)
    case .count: return try counting(node, in: model)
    case .evaluate: return try evaluation(node, in: model)
    case .downstream: return try downstream(node, in: model)
    case .report: return model.report
    case .discover:
      let share = try DiscoverParameters(node.configuration).share ?? 1
      let tokens =
        try share * bytes(of: model.graph.nodes[node.inputs[0]]) / own.bytesPerToken
      return Cost(
        memoryBytes: CostModel.processBytes + Self.discoveryBytesPerToken * tokens,
        diskBytes: Self.bytesPerFGram * tokens * Self.fGramsPerToken,
        seconds: model.rates.startSeconds + tokens / Self.discoveredPerSecond)
    case .sample, .import, .materialize: preconditionFailure("no part of a figure over text")
    }
  }

  /// Bytes of text that a tokenize node reads.
  private func bytes(of node: StageGraph.Node) throws -> Double {
    let corpus = runs[node.run].corpus
    guard case .text(let tokens) = try TokenizeParameters(node.configuration) else {
      preconditionFailure("text is tokenized as text")
    }
    let parts = [corpus.train, corpus.other] + corpus.domains.map(\.part)
    guard let part = parts.first(where: { $0.input == node.configuration.inputs["corpus"] }) else {
      preconditionFailure("a corpus of the run")
    }
    return Double(part.bytes) * tokens.share
  }

  private func training(_ node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let own = runs[node.run]
    let part = own.trainingPart
    let size = try size(of: node.run, in: model)
    let columns = Double(own.map.order + 1)
    var cost = try model.training(
      size, own.model, own.train.training,
      dataBytes: 4 * part.tokens * columns + part.documents * 8,
      tables: own.train.optimizer.tables?.moments)
    if let input = own.model.overEncoding, let tables = own.train.optimizer.tables {
      // Of tables no gradient is ever held: the rows of a batch are staged with their gradients.
      let states = Double(input.bytes(moments: tables.moments))
      let positions = size.rows / Double(size.steps)
      let staged =
        positions * Double(20 * input.columns + 28 * input.layout.embedders.count)
      cost.memoryBytes += states + staged + 20 * Double(size.steps)
      cost.diskBytes += Double(size.snapshots) * Double(input.bytes(moments: nil)) + states
      if cost.deviceSeconds > 0 {
        // The steps that were measured had their tables, which lie there.
        cost.deviceBytes += states + staged
        return cost
      }
      cost.seconds +=
        Double(size.steps)
        * model.rates.tableSeconds(input, rows: positions, steps: size.steps)
    }
    return cost
  }

  /// Tokens of the pass are counted and those of the sets scored, order by order; the whole training part
  /// is searched for what the sets share with it.
  private func counting(_ node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let own = runs[node.run]
    let size = try size(of: node.run, in: model)
    let order = Double(own.count?.order ?? 0)
    return Cost(
      memoryBytes: CostModel.processBytes + 8 * own.trainingPart.tokens
        + Self.bytesPerGram * order * size.rows, diskBytes: 10e3,
      seconds: model.rates.startSeconds
        + order * size.rows / Self.gramsPerSecond + own.trainingPart.tokens / Self.searchedPerSecond
    )
  }

  private func evaluation(_ node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let own = runs[node.run]
    let size = try size(of: node.run, in: model)
    // Of the sets of text among the inputs: each stage map reads tokens, which have the bytes.
    let maps = node.inputs.filter { model.graph.nodes[$0].stage == .map }
    let sets = try maps.map { map -> Double in
      let inputs = model.graph.nodes[map].inputs.map { model.graph.nodes[$0] }
      guard let tokens = inputs.last(where: { $0.stage == .tokenize }) else {
        preconditionFailure("tokens are mapped")
      }
      return try bytes(of: tokens) / own.bytesPerToken
    }
    func rows(upTo limit: Int) -> Double {
      sets.reduce(0) { $0 + min($1, limit == 0 ? .infinity : Double(limit)) }
    }
    let scored =
      rows(upTo: own.evaluate.finalPositions)
      + (own.evaluate.onlyLast
        ? 0 : Double(size.snapshots - 1) * rows(upTo: own.evaluate.positions))
    let (batch, length) = (own.evaluate.batchPositions, size.rows / Double(size.units))
    let cost = Cost(
      flops: scored * size.forwardFlopsPerRow,
      memoryBytes: 4 * Double(size.parameters) + CostModel.processBytes
        + Double(own.model.cacheBytes) * Double(batch) * Double(model.threads), diskBytes: 10e3,
      seconds: model.rates.startSeconds)
    let device = try own.evaluate.device.flatMap {
      try model.deviceCost(
        of: own.model, on: $0, scored: scored, generated: 0, batch: batch, length: length)
    }
    return cost
      + (device
        ?? Cost(
          seconds: model.rates.scoringSeconds(
            own.model, rows: scored, batch: batch, length: length)))
  }
}

extension TextPath.Run {
  fileprivate var bytesPerToken: Double {
    TextPath.bytesPerToken(vocabulary: vocabulary.vocabulary)
  }

  /// Tokens, documents and windows of `context` rows in the training part.
  fileprivate var trainingPart: (tokens: Double, documents: Double, windows: Double) {
    let tokens = Double(corpus.train.bytes) * tokenize.share / bytesPerToken
    let documents = Double(corpus.train.documents) * tokenize.share
    // The last window of a document is half full on average.
    return (tokens, documents, tokens / Double(model.context) + documents / 2)
  }
}

extension TextTokenizeParameters {
  /// The share of the corpus that is read.
  fileprivate var share: Double { part == .train ? 1 - heldoutShare : heldoutShare }
}
