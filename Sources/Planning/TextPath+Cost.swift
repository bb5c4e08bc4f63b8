import Foundation
import Models
import Kernels
import Support

/// Costs of the stages of text, from the sizes that the corpus's file states.
extension TextPath {
  /// Compressed bytes of a token, and of a column of n-gram ids: zstd level 3, default corpus.
  private static let bytesPerToken = 1.14
  private static let bytesPerMapColumn = 1.55

  /// English text and byte-pair vocabularies trained on it: 3.58 bytes a token with 4,096 tokens, 4.4
  /// with 50,000.
  static func bytesPerToken(vocabulary: Int) -> Double {
    max(1, 1 + 0.215 * log2(Double(vocabulary)))
  }

  /// Tokens, documents and windows of `context` rows in the training part.
  private func trainingPart(
    _ run: Int, _ settings: Settings
  ) throws -> (tokens: Double, documents: Double, windows: Double) {
    let share = 1 - (try settings.double("corpus.heldoutShare", in: 0...1))
    let tokens =
      Double(corpora[run].train.bytes) * share
      / Self.bytesPerToken(vocabulary: try vocabulary(settings))
    let documents = Double(corpora[run].train.documents) * share
    // The last window of a document is half full on average.
    let windows =
      tokens / Double(try settings.int("model.context", in: 1...1 << 24)) + documents / 2
    return (tokens, documents, windows)
  }

  package func size(of run: Int, in model: CostModel) throws -> CostModel.RunSize {
    let settings = model.graph.experiment.runs[run].settings
    let configuration = try configuration(of: run, in: model)
    let part = try trainingPart(run, settings)
    let steps = try settings.int("training.steps")
    let windows = steps * (try settings.int("training.batchWindows"))
    let rowsPerWindow = (part.tokens - part.documents) / part.windows
    let rows = Double(windows) * rowsPerWindow
    let forward = configuration.forwardFLOPs(perTokenAt: Int(rowsPerWindow.rounded()))
    return CostModel.RunSize(
      parameters: configuration.parameterCount, steps: steps, units: windows,
      epochs: Double(windows) / part.windows, rows: rows,
      snapshots: try settings.int("snapshots.count", in: 1...1 << 20),
      trainingFlops: 3 * forward * rows, forwardFlopsPerRow: forward)
  }

  package func cost(of node: StageGraph.Node, in model: CostModel) throws -> Cost {
    let settings = model.graph.experiment.runs[node.run].settings
    let corpus = corpora[node.run]
    let share = share(of: node, in: model.graph)
    let isOther = source(of: node, in: model.graph) == corpus.other.id
    let bytes = Double(isOther ? corpus.other.bytes : corpus.train.bytes) * share
    let tokens = bytes / Self.bytesPerToken(vocabulary: try vocabulary(settings))
    switch node.stage {
    case .vocabulary:
      return Cost(
        memoryBytes: CostModel.processBytes + 80e6,
        diskBytes: 60 * Double(try vocabulary(settings)),
        seconds: model.rates.startSeconds + bytes / model.rates.vocabulary)
    case .tokenize:
      return model.streaming(
        elements: bytes, rate: model.rates.encode,
        bytesPerElement: Self.bytesPerToken * tokens / bytes)
    case .map:
      let columns = Double(try settings.int("map.order") + 1)
      return model.streaming(
        elements: tokens, rate: model.rates.mapText,
        bytesPerElement: Self.bytesPerMapColumn * columns)
    case .train: return try training(node, settings, in: model)
    case .evaluate: return try evaluation(node, settings, in: model)
    case .report: return model.report
    case .sample: preconditionFailure("text is not sampled")
    }
  }

  /// The share of the corpus that a node reads: of a map set, that of its tokens.
  private func share(of node: StageGraph.Node, in graph: StageGraph) -> Double {
    if node.stage == .map { return share(of: graph.nodes[tokens(of: node)], in: graph) }
    let parameters = node.configuration.parameters
    guard case .double(let validation)? = parameters["validation"] else { return 1 }
    return parameters["part"] == "train" ? 1 - validation : validation
  }

  private func source(of node: StageGraph.Node, in graph: StageGraph) -> String? {
    if node.stage == .map { return source(of: graph.nodes[tokens(of: node)], in: graph) }
    return node.configuration.inputs["corpus"]?.id
  }

  /// The tokenizer comes before everything that it tokenized.
  private func tokens(of map: StageGraph.Node) -> Int { map.inputs[map.inputs.count - 1] }

  private func training(
    _ node: StageGraph.Node, _ settings: Settings, in model: CostModel
  ) throws -> Cost {
    let part = try trainingPart(node.run, settings)
    let size = try size(of: node.run, in: model)
    let columns = Double(try settings.int("map.order") + 1)
    let configuration = try configuration(of: node.run, in: model)
    var cost = model.training(
      size, configuration, lanes: try settings.int("training.lanes"),
      precision: try settings.precision,
      dataBytes: 4 * part.tokens * columns + part.documents * 8)
    if let input = configuration.overEncoding {
      // Of tables no gradient is ever held: the rows of a batch are staged with their gradients.
      let states = Double(input.bytes(moments: try moments(settings)))
      let positions = size.rows / Double(size.steps)
      let staged =
        positions * Double(20 * input.columns + 28 * input.layout.embedders.count)
      cost.memoryBytes += states + staged + 20 * Double(size.steps)
      cost.diskBytes += Double(size.snapshots * input.bytes(moments: nil)) + states
      cost.seconds +=
        Double(size.steps)
        * model.rates.tableSeconds(input, rows: positions, steps: size.steps)
    }
    return cost
  }

  private func evaluation(
    _ node: StageGraph.Node, _ settings: Settings, in model: CostModel
  ) throws -> Cost {
    let size = try size(of: node.run, in: model)
    let configuration = try configuration(of: node.run, in: model)
    let corpus = corpora[node.run]
    let perToken = Self.bytesPerToken(vocabulary: try vocabulary(settings))
    let limit = try settings.int("evaluation.finalPositions")
    let sets = [
      Double(corpus.train.bytes) * (try settings.double("corpus.heldoutShare", in: 0...1)),
      Double(corpus.other.bytes) * (try settings.double("corpus.otherShare", in: 0...1)),
    ].map { min($0 / perToken, limit == 0 ? .infinity : Double(limit)) }
    let scored = sets.reduce(0, +) * Double(size.snapshots)
    let batch = try settings.int("evaluation.batchPositions", in: 1...1 << 24)
    return Cost(
      flops: scored * size.forwardFlopsPerRow,
      memoryBytes: 4 * Double(size.parameters) + CostModel.processBytes
        + Double(configuration.cacheBytes * batch * model.threads), diskBytes: 10e3,
      seconds: model.rates.startSeconds
        + model.rates.scoringSeconds(
          configuration, rows: scored, batch: batch, length: size.rows / Double(size.units)))
  }

  private func moments(_ settings: Settings) throws -> TableMoments {
    guard let moments = TableMoments(rawValue: try settings.string("tables.moments")) else {
      throw settings.fault(
        "tables.moments",
        expected: "one of \(TableMoments.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return moments
  }

  private func configuration(of run: Int, in model: CostModel) throws -> ModelConfiguration {
    let vocabulary = try vocabulary(model.graph.experiment.runs[run].settings)
    return try model.model(
      of: run, inputs: [InputTable(order: 1, rows: vocabulary)], labels: vocabulary)
  }
}
