import Contracts
import Statistics
import Support

/// What counting the n-grams of the text that the runs of one seed read gives, as stage count has it.
package struct TextCounts: Sendable, Equatable {
  package struct Order: Sendable, Equatable {
    /// Of a Kneser-Ney model.
    package let order: Int
    /// Nats a token by set.
    package let losses: [ScoredSet: Double]

    package init(order: Int, losses: [ScoredSet: Double]) {
      self.order = order
      self.losses = losses
    }
  }

  package let orders: [Order]
  /// Distinct n-grams of the windows that were read, by order.
  package let distinct: [Int: Int]
  /// The share of a set's scored tokens that lie in 13 tokens running which the training part has too.
  package let overlap: [ScoredSet: Double]

  package init(orders: [Order], distinct: [Int: Int], overlap: [ScoredSet: Double]) {
    self.orders = orders
    self.distinct = distinct
    self.overlap = overlap
  }

  /// Reads the index of a stage's output.
  ///
  /// - Throws: `UserError` when it is missing, of another stage or id, or lacks a set.
  init(_ input: StageConfiguration.Input) throws {
    let index = try StageIndex(of: .count, input: input)
    var metadata = try ConfigReader(
      index.metadata, source: "\(input.path)/\(StageIndex.fileName): metadata")
    var overlaps = try metadata.object("overlap")
    var orders: [Order] = []
    var distinct: [Int: Int] = [:]
    for entry in try metadata.objects("orders") {
      var entry = entry
      let order = try entry.int("order", in: 2...8)
      distinct[order] = try entry.int("distinct")
      var sets = try entry.object("sets")
      var losses: [ScoredSet: Double] = [:]
      for name in ScoredSet.allCases {
        var set = try sets.object(name.rawValue)
        losses[name] = try set.double("natsPerToken")
      }
      orders.append(Order(order: order, losses: losses))
    }
    var overlap: [ScoredSet: Double] = [:]
    for name in ScoredSet.allCases {
      var set = try overlaps.object(name.rawValue)
      overlap[name] = try set.double("tokens")
    }
    self.init(orders: orders, distinct: distinct, overlap: overlap)
  }

  // MARK: - Columns of a CSV

  /// Of a model of an order: "kn4_eval_loss".
  package static func column(_ order: Int, _ set: ScoredSet) -> String {
    "kn\(order)_\(prefix(set))_loss"
  }

  private static func overlap(_ set: ScoredSet) -> String { "\(prefix(set))_overlap" }

  private static func prefix(_ set: ScoredSet) -> String { set == .heldout ? "eval" : set.rawValue }

  /// Distinct n-grams of the order of a row's first table: as many of its rows can be read in the pass.
  package static let distinctColumn = "distinct_grams"

  var names: [String] {
    orders.flatMap { order in ScoredSet.allCases.map { Self.column(order.order, $0) } }
      + [Self.distinctColumn] + ScoredSet.allCases.map(Self.overlap)
  }

  func cells(of variant: TextFigureParameters.Variant) -> [String] {
    let grams = variant.tables.first.flatMap { distinct[$0.order] } ?? 0
    return orders.flatMap { order in
      ScoredSet.allCases.map { "\(order.losses[$0] ?? .nan)" }
    } + ["\(grams)"] + ScoredSet.allCases.map { "\(overlap[$0] ?? .nan)" }
  }

  /// What the rows of one seed say; nil for a table without such columns.
  init?(
    _ table: PublishedTable, rows: [Int], variant: (Int) -> TextFigureParameters.Variant?
  ) throws {
    guard let first = rows.first, table.has(Self.distinctColumn) else { return nil }
    orders = try (2...8).filter { table.has(Self.column($0, .heldout)) }.map { order in
      var losses: [ScoredSet: Double] = [:]
      for set in ScoredSet.allCases {
        losses[set] = try table.numbers(Self.column(order, set))[first]
      }
      return Order(order: order, losses: losses)
    }
    let grams = try table.integers(Self.distinctColumn)
    var distinct: [Int: Int] = [:]
    for row in rows {
      if let order = variant(row)?.tables.first?.order { distinct[order] = grams[row] }
    }
    self.distinct = distinct
    var overlap: [ScoredSet: Double] = [:]
    for set in ScoredSet.allCases { overlap[set] = try table.numbers(Self.overlap(set))[first] }
    self.overlap = overlap
  }
}

/// The runs of a figure beside models of n-grams of the same text.
package struct Counting: Sendable {
  package let figure: TextFigure
  private let counts: [TextCounts]

  /// Nil where nothing was counted.
  package init?(_ figure: TextFigure) {
    guard !figure.counts.isEmpty else { return nil }
    self.figure = figure
    counts = figure.counts
  }

  /// A trunk that is trained does better than a model of these.
  package static let order = 4

  /// Orders of the models.
  package var orders: [Int] { counts[0].orders.map(\.order) }

  package func losses(_ order: Int, _ set: ScoredSet) -> [Double] {
    counts.map { $0.orders.first { $0.order == order }?.losses[set] ?? .nan }
  }

  /// The order that the baseline is compared with: 4, or the highest below it.
  private var reference: Int { orders.last { $0 <= Self.order } ?? orders[0] }

  /// Held-out loss of the baseline minus that of the model of n-grams.
  package var difference: Estimate {
    let baseline = figure.position(figure.parameters.baseline)
    let own = figure.losses(.heldout).map { $0[baseline] }
    return RepeatedMeasures(zip(own, losses(reference, .heldout)).map { [$0, $1] })
      .difference(0, 1)
  }

  /// Whether the baseline is not surely better than counting, so that what tables of n-grams gain may be
  /// no more than what the trunk has not learned yet.
  package var isUnderTrained: Bool { !((difference.interval?.high ?? .infinity) < 0) }

  package static let note = "under-trained"

  /// For people.
  package var summary: String {
    let baseline = figure.position(figure.parameters.baseline)
    let own = Summary(figure.losses(.heldout).map { $0[baseline] }).mean
    return String(
      format: "held-out loss of the baseline %.4f, of a Kneser-Ney %d-gram of the same text %.4f: "
        + "the trunk is %@", own, reference, Summary(losses(reference, .heldout)).mean,
      isUnderTrained ? Self.note : "better than counting")
  }

  package static let method = """
    Interpolated, modified Kneser-Ney models, as KenLM estimates them, of the windows that the runs of a \
    seed read, scored on the same rows. A trunk is called under-trained unless its baseline's held-out loss \
    is below that of the 4-gram by the 95 % interval over seeds: then what tables of n-grams gain may be \
    what counting gains. overlap: the share of scored tokens in 13 tokens running that the training part \
    has too.
    """

  var value: ConfigValue {
    func column(_ values: [Double]) -> ConfigValue {
      [
        "mean": .number(Summary(values).mean), "perSeed": .array(values.map(ConfigValue.number)),
      ]
    }
    return [
      "method": .string(Self.method), "underTrained": .bool(isUnderTrained),
      "reference": .integer(reference), "difference": difference.result,
      "orders": .array(
        orders.map { order in
          [
            "order": .integer(order), "eval_loss": column(losses(order, .heldout)),
            "other_loss": column(losses(order, .other)),
          ]
        }),
      "distinct": .array(
        Set(figure.parameters.variants.compactMap { $0.tables.first?.order }).sorted().map {
          order in
          [
            "order": .integer(order),
            "perSeed": .array(counts.map { .integer($0.distinct[order] ?? 0) }),
          ]
        }),
      "overlap": [
        "eval": .number(Summary(counts.map { $0.overlap[.heldout] ?? .nan }).mean),
        "other": .number(Summary(counts.map { $0.overlap[.other] ?? .nan }).mean),
      ],
    ]
  }
}
