import Foundation
import Models
import Support

/// What a stage run takes: seconds on one thread, memory with all its threads.
package struct Cost: Sendable, Equatable {
  /// Multiplications and additions of matrix products; 0 for stages that do none.
  package var flops = 0.0
  package var memoryBytes = 0.0
  package var diskBytes = 0.0
  package var seconds = 0.0

  package init(
    flops: Double = 0, memoryBytes: Double = 0, diskBytes: Double = 0, seconds: Double = 0
  ) {
    self.flops = flops
    self.memoryBytes = memoryBytes
    self.diskBytes = diskBytes
    self.seconds = seconds
  }

  /// Sums flops, disk and seconds; memory is the larger of both, since it is given back.
  package static func + (a: Cost, b: Cost) -> Cost {
    Cost(
      flops: a.flops + b.flops, memoryBytes: max(a.memoryBytes, b.memoryBytes),
      diskBytes: a.diskBytes + b.diskBytes, seconds: a.seconds + b.seconds)
  }
}

/// How fast one thread of this machine is: matrix products as calibrated just now, the other stages
/// as measured once (PERFORMANCE.md; they are minutes where training is hours).
package struct Rates: Sendable {
  /// FLOP/s of a matrix product of `rows` × `width` by `width` × 4 `width`.
  package let product: @Sendable (_ rows: Int, _ width: Int) -> Double
  /// Share of the product's rate that a whole training step reaches: what is not a product weighs
  /// more in narrow models. Fitted to training at widths 16 and 64.
  package func trainingShare(width: Int) -> Double { 0.8 * Double(width) / Double(width + 16) }
  /// The same for generating with a cache, where products are narrow.
  package var generationShare = 0.1
  /// Symbols or positions a second.
  package var sample = 60e6
  package var tokenize = 60e6
  package var map = 60e6
  /// Seconds to start a process and to open and close its files.
  package var startSeconds = 0.05

  package init(product: @escaping @Sendable (_ rows: Int, _ width: Int) -> Double) {
    self.product = product
  }
}

/// Costs of the nodes of a graph.
package struct CostModel {
  /// Compressed bytes an element of cfg3f's shards, zstd level 3, lengths of documents included.
  package static let bytesPerSymbol = 0.27
  package static let bytesPerToken = 0.3
  package static let bytesPerMapColumn = 0.26
  /// A stage that holds nothing: code, libraries and the shard on its way.
  package static let processBytes = 34e6

  package let graph: StageGraph
  package let rates: Rates
  /// Threads of each stage.
  package let threads: Int

  package init(_ graph: StageGraph, rates: Rates, threads: Int) {
    precondition(threads >= 1, "a stage has a thread")
    self.graph = graph
    self.rates = rates
    self.threads = threads
  }

  /// The sizes of a run that costs follow from.
  package struct RunSize: Sendable {
    package let parameters: Int
    package let steps: Int
    package let sentences: Int
    package let epochs: Double
    /// Predictions trained on.
    package let rows: Double
    package let snapshots: Int
    package let trainingFlops: Double
    package let forwardFlopsPerRow: Double
  }

  package func size(of run: Int) throws -> RunSize {
    let settings = graph.experiment.runs[run].settings
    let grammar = graph.grammars[run]
    let order = try settings.int("tokenizer.order")
    let model = try model(of: run)
    let steps = try settings.int("training.steps")
    let sentences = steps * (try settings.int("training.batchSentences"))
    let rowsPerSentence = grammar.meanRows(tokenizerOrder: order)
    let rows = Double(sentences) * rowsPerSentence
    let forward = model.forwardFLOPs(perTokenAt: Int(rowsPerSentence.rounded()))
    return RunSize(
      parameters: model.parameterCount, steps: steps, sentences: sentences,
      epochs: Double(sentences) / Double(try settings.int("data.trainDocuments")),
      rows: rows, snapshots: try settings.int("snapshots.count", in: 1...1 << 20),
      trainingFlops: 3 * forward * rows, forwardFlopsPerRow: forward)
  }

  /// The cost of every node, in the order of the graph.
  package func costs() throws -> [Cost] {
    try graph.nodes.map { try cost(of: $0) }
  }

  package func cost(of node: StageGraph.Node) throws -> Cost {
    let settings = graph.experiment.runs[node.run].settings
    let grammar = graph.grammars[node.run]
    let order = try settings.int("tokenizer.order")
    let train = Double(try settings.int("data.trainDocuments"))
    let characters = train * grammar.meanCharacters
    let rows = train * grammar.meanRows(tokenizerOrder: order)
    switch node.stage {
    case .sample:
      let heldout = node.configuration.parameters["stream"] == "heldout"
      let documents = heldout ? Double(try settings.int("data.heldoutDocuments")) : train
      return streaming(
        elements: documents * grammar.meanCharacters, rate: rates.sample,
        bytesPerElement: Self.bytesPerSymbol)
    case .tokenize:
      return streaming(
        elements: characters, rate: rates.tokenize,
        bytesPerElement: Self.bytesPerToken * (rows + train) / characters)
    case .map:
      let columns = Double(try settings.ints("map.inputOrders", in: 1...16).count + 1)
      return streaming(
        elements: rows, rate: rates.map, bytesPerElement: Self.bytesPerMapColumn * columns)
    case .train: return try training(node, settings: settings, rows: rows, documents: train)
    case .evaluate: return try evaluation(node, settings: settings, grammar: grammar)
    case .report: return Cost(memoryBytes: Self.processBytes, diskBytes: 200e3, seconds: 0.5)
    }
  }

  // MARK: - Parts

  private func streaming(elements: Double, rate: Double, bytesPerElement: Double) -> Cost {
    // Shards pass through memory one at a time.
    Cost(
      memoryBytes: Self.processBytes, diskBytes: elements * bytesPerElement,
      seconds: rates.startSeconds + elements / rate)
  }

  private func training(
    _ node: StageGraph.Node, settings: Settings, rows: Double, documents: Double
  ) throws -> Cost {
    let size = try size(of: node.run)
    let model = try model(of: node.run)
    let lanes = Double(try settings.int("training.lanes"))
    let laneRows = size.rows / Double(size.steps) / lanes
    let columns = Double(try settings.ints("map.inputOrders", in: 1...16).count + 1)
    let weights = 4 * Double(size.parameters)
    // Weights and both moments once; a worker holds the activations of the lane at work and one
    // gradient for every level of the tree of sums; the map set lies in memory.
    let workers = min(Double(threads), lanes)
    let memory =
      Self.processBytes + weights * (3 + workers * (log2(lanes) + 1))
      + model.activationBytes(rows: laneRows) * workers + rows * columns + documents * 8
    let speed =
      rates.product(Int(laneRows.rounded(.up)), model.width)
      * rates.trainingShare(width: model.width)
    return Cost(
      flops: size.trainingFlops, memoryBytes: memory,
      diskBytes: Double(size.snapshots + 3) * weights,
      seconds: rates.startSeconds + size.trainingFlops / speed)
  }

  private func evaluation(
    _ node: StageGraph.Node, settings: Settings, grammar: GrammarFacts
  ) throws -> Cost {
    let size = try size(of: node.run)
    let model = try model(of: node.run)
    let order = try settings.int("tokenizer.order")
    let perSentence = grammar.meanRows(tokenizerOrder: order)
    let batch = try settings.int("evaluation.batch", in: 1...1 << 16)
    let generated =
      perSentence
      * Double(
        (size.snapshots - 1) * (try settings.int("evaluation.samples", in: 0...1 << 40))
          + (try settings.int("evaluation.finalSamples", in: 0...1 << 40)))
    let scored =
      perSentence * Double(size.snapshots * (try settings.int("evaluation.heldoutSentences")))
    let generation = generated * size.forwardFlopsPerRow
    let scoring = scored * size.forwardFlopsPerRow
    let product = rates.product(batch, model.width)
    return Cost(
      flops: generation + scoring,
      memoryBytes: 4 * Double(size.parameters)
        + model.cacheBytes(rows: perSentence * Double(batch)) + Self.processBytes,
      diskBytes: Double(size.snapshots * (try settings.int("evaluation.heldoutSentences"))) * 12
        + generated * 0.4,
      seconds: rates.startSeconds + generation / (product * rates.generationShare)
        + scoring / (product * rates.trainingShare(width: model.width)))
  }

  /// The model of a run with the tables and classes that its map set will have.
  private func model(of run: Int) throws -> ModelConfiguration {
    let train = graph.nodes[graph.chains[run].train]
    let settings = graph.experiment.runs[run].settings
    let grammar = graph.grammars[run]
    let order = try settings.int("tokenizer.order")
    guard case .object(var members)? = train.configuration.parameters["model"] else {
      preconditionFailure("a train configuration has a model")
    }
    members["inputs"] = .array(
      try settings.ints("map.inputOrders", in: 1...16).map {
        [
          "order": .integer($0),
          "rows": .integer(try grammar.inputRows(order: $0, tokenizerOrder: order)),
        ]
      })
    members["labels"] = .integer(
      try grammar.labels(outputOrder: settings.int("map.outputOrder"), tokenizerOrder: order))
    var reader = try ConfigReader(
      .object(members), source: settings.entries["model.width"]?.origin ?? "", path: "model")
    let model = try ModelConfiguration(reader: &reader)
    try reader.finish()
    return model
  }
}

extension ModelConfiguration {
  /// Saved for the backward pass by `rows` positions: about 18 rows of C a layer.
  fileprivate func activationBytes(rows: Double) -> Double {
    4 * rows * Double(width) * Double(18 * layers + 6)
  }

  /// Keys and values of every layer.
  fileprivate func cacheBytes(rows: Double) -> Double { 8 * rows * Double(width * layers) }
}
