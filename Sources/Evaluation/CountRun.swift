import Contracts
import NGrams
import Shards
import Support
import Training

/// Counts the n-grams of the windows that a training run reads and scores Kneser-Ney models of several
/// orders on map sets, row by row as a transformer of the same context is scored.
///
/// Inputs: `data`, the map set that runs train on, and under any other name a map set over tokens of the
/// same tokenizer. One thread: counting is a small part of what one run costs.
package struct CountRun {
  package let parameters: CountParameters
  package let sets: [TextSet]
  private let configuration: StageConfiguration
  private let data: TrainingData
  private let order: DataOrder
  /// By set: of its tokens in the whole training part.
  package let overlaps: [Overlap]

  /// What a model of one order has.
  package struct OrderScores: Sendable {
    package let order: Int
    /// Distinct grams of this order.
    package let distinct: Int
    /// In the order of the sets.
    package let sets: [(name: String, scores: TextScores)]
  }

  /// Opens and checks the data and the sets.
  ///
  /// - Throws: `UserError` when a parameter is wrong, an input is missing or another than its id says,
  ///   the data are no text, or a set is of another tokenizer.
  package init(_ configuration: StageConfiguration, threads: Int) throws {
    self.configuration = configuration
    parameters = try CountParameters(configuration)
    var data = try TrainingData(configuration.input("data"), threads: threads)
    guard let text = data.text else {
      throw UserError(
        "\(configuration.source): inputs.data", expected: "a map set of kind text",
        found: "kind \(data.kind.rawValue)",
        remedy: "A grammar's own probabilities are the baseline of its sentences.")
    }
    sets = try TextSet.all(
      of: configuration, beside: "data", text: text, columns: .tokens, threads: threads)
    overlaps = Overlap.measure(of: sets, in: data)
    data.cut(context: parameters.context)
    guard parameters.batchSequences <= data.sentences else {
      throw UserError(
        "\(configuration.source): parameters.batchSequences",
        expected: "at most the \(data.sentences) windows of the data",
        found: "\(parameters.batchSequences)")
    }
    self.data = data
    order = DataOrder(
      documents: data.sentences, batchSequences: parameters.batchSequences,
      seed: parameters.dataSeed)
  }

  /// Windows that the run reads, each once, in the order of their numbers.
  package var windows: [Int] {
    let positions = parameters.steps.multipliedReportingOverflow(by: parameters.batchSequences)
    guard !positions.overflow, positions.partialValue < data.sentences else {
      return Array(0..<data.sentences)
    }
    var batch: [Int] = []
    var result: [Int] = []
    for step in 1...parameters.steps {
      order.fill(&batch, step: step)
      result += batch
    }
    return result.sorted()
  }

  /// Counts, scores, writes the shards and last the index into `output`.
  ///
  /// - Parameter progress: called after each order.
  package func write(
    to output: String, progress: (OrderScores) -> Void
  ) throws -> (events: Int, orders: [OrderScores]) {
    var counts = GramCounts(order: parameters.order, vocabulary: data.labels)
    for window in windows {
      try Interruption.check()
      counts.add(data.tokens(of: window))
    }
    let cut = try sets.map {
      try $0.windows(
        context: parameters.context, stride: parameters.stride, positions: parameters.positions)
    }
    let orders = try (2...parameters.order).map { order in
      let model = KneserNey(counts, order: order)
      let scores = try zip(sets, cut).map { set, windows in
        try Interruption.check()
        return (set.name, set.scores(windows, logQ: set.logQ(windows, model: model)))
      }
      let result = OrderScores(order: order, distinct: counts.distinct(order), sets: scores)
      progress(result)
      return result
    }
    try write(orders, events: counts.events, to: output)
    return (counts.events, orders)
  }

  private func write(_ orders: [OrderScores], events: Int, to output: String) throws {
    var files = ScoreSets(output: output, configuration: configuration)
    for (i, set) in sets.enumerated() {
      try files.write(orders.map { $0.sets[i].scores }, of: set)
    }
    try files.finish(metadata: [
      "kind": .string(DataKind.text.rawValue), "model": "Kneser-Ney, modified and interpolated",
      "windows": .integer(windows.count), "tokens": .integer(events),
      "sets": .array(sets.map { .string($0.name) }),
      "overlap": .object(
        Dictionary(
          uniqueKeysWithValues: zip(sets, overlaps).map { ($0.name, $1.value) })),
      "orders": .array(
        orders.map { order in
          [
            "order": .integer(order.order), "distinct": .integer(order.distinct),
            "sets": .object(
              Dictionary(uniqueKeysWithValues: order.sets.map { ($0.name, $0.scores.value) })),
          ]
        }),
    ])
  }
}
