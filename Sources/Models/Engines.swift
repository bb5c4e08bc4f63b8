import Engine
import Kernels
import Parallel
import Support

extension ModelConfiguration {
  /// Traces the model for `mode` and plans it for lanes of up to `rows` rows.
  ///
  /// - Parameter precision: of the matrix products; other than single only when training.
  package func plan(_ mode: GraphMode, rows: Int, precision: Precision = .float32) -> Plan {
    var builder = GraphBuilder(mode: mode)
    trace(in: &builder)
    return Plan(
      builder,
      limits: Limits(
        rows: rows, segment: min(rows, context), precision: precision,
        given: mode.isDecoding ? [] : fGramLimits(rows: rows)))
  }

  /// Of the space of f-grams, where the input has one: at most one of the longest at each position.
  fileprivate func fGramLimits(rows: Int) -> [Limits.Rows] {
    input.textColumns.longestMatch.map {
      [Limits.Rows(rows: $0 * rows, segment: $0, tables: 1)]
    } ?? []
  }

  /// An empty lane as this model reads it.
  ///
  /// - Parameters:
  ///   - capacity: rows that there is room for without asking for memory.
  ///   - isTraining: whether it has the labels of further heads.
  package func makeLane(capacity: Int = 0, isTraining: Bool = false) -> PackedLane {
    PackedLane(
      tables: inputColumns, capacity: capacity,
      ahead: isTraining ? Array(labelsAhead.dropFirst()) : [],
      longestMatch: input.textColumns.longestMatch)
  }

  /// Traces embedding, trunk and outputs; where nothing is trained, of these the first alone.
  private func trace(in g: inout GraphBuilder) {
    let outputs = g.mode == .training ? outputs : [next]
    let rows = rows(in: &g, for: outputs)
    var column = 0
    for output in outputs {
      output(rows, labelColumn: column, in: &g)
      column += output.labelsAhead.count
    }
  }

  /// Traces embedding and trunk.
  private func rows(in g: inout GraphBuilder, for outputs: [any Output]) -> ModelRows {
    let (embedding, _) = trunk.embed(input, declaring: tables(for: outputs), in: &g)
    let hidden = trunk.blocks(embedding, in: &g)
    return ModelRows(
      trunk: trunk, next: next, embedding: embedding, hidden: hidden,
      normed: trunk.norm(hidden, named: nil, in: &g))
  }

  /// Names and shapes of the parameters.
  package var layout: ParameterLayout { plan(.training, rows: 1).layout }

  /// Parameters of this model, all zeros, to be filled by `initialize(seed:)` or a checkpoint.
  ///
  /// - Parameter tableMoments: the form of the tables' moments, where there are moments.
  package func makeParameters(
    moments: Bool, tableMoments: TableMoments = .float32
  ) -> ParameterStore {
    ParameterStore(layout: layout, moments: moments, tableMoments: tableMoments)
  }
}

extension TrainingEngine {
  /// A model with the weights of `seed`.
  ///
  /// - Parameters:
  ///   - lanes: lanes of a batch, a power of two.
  ///   - laneCapacity: rows that a lane may have; untouched capacity costs no memory.
  ///   - tableMoments: the form of the moments of over-encoding's tables.
  ///   - ranks: those that share the lanes, and the moments of the parameters.
  ///   - tables: whether they share the rows of tables.
  package convenience init(
    _ configuration: ModelConfiguration, seed: UInt64, lanes: Int, laneCapacity: Int, threads: Int,
    precision: Precision = .float32, tableMoments: TableMoments = .float32,
    ranks: any Communicator = LocalCommunicator(), tables: TablePlacement = .sharded
  ) {
    let plan = configuration.plan(.training, rows: laneCapacity, precision: precision)
    let share = RankShare(rank: ranks.rank, size: ranks.size)
    let parameters = ParameterStore(
      layout: plan.layout, moments: true, tableMoments: tableMoments, share: share,
      tableShare: tables == .sharded ? share : .whole)
    parameters.initialize(seed: seed, threads: threads)
    self.init(plan: plan, parameters: parameters, lanes: lanes, threads: threads, ranks: ranks)
  }
}

extension ScoringEngine {
  /// - Parameters:
  ///   - parameters: weights of this configuration.
  ///   - laneCapacity: rows that a lane may have.
  package convenience init(
    _ configuration: ModelConfiguration, parameters: ParameterStore, laneCapacity: Int, threads: Int
  ) {
    self.init(
      plan: configuration.plan(.scoring, rows: laneCapacity), parameters: parameters,
      labels: configuration.labels, threads: threads)
  }
}

extension FGramEngine {
  /// - Parameters:
  ///   - configuration: of a model with f-grams.
  ///   - parameters: weights of this configuration.
  ///   - capacity: f-grams that a worker runs at a time.
  package convenience init(
    _ configuration: ModelConfiguration, parameters: ParameterStore, capacity: Int, threads: Int
  ) {
    guard let fGrams = configuration.fGrams else {
      preconditionFailure("rows of f-grams of a model without")
    }
    var g = GraphBuilder(mode: .scoring)
    fGrams.traceAlone(on: configuration.trunk, in: &g)
    let plan = Plan(
      g,
      limits: Limits(
        rows: capacity, segment: 1, given: configuration.fGramLimits(rows: capacity)))
    self.init(
      plan: plan, parameters: parameters, columns: configuration.width, threads: threads)
  }
}

extension DraftingEngine {
  /// - Parameters:
  ///   - configuration: of a model with further heads.
  ///   - parameters: weights of this configuration.
  ///   - capacity: sequences that live at a time.
  ///   - drafts: how many of the further heads propose tokens, the first ones.
  package convenience init(
    _ configuration: ModelConfiguration, parameters: ParameterStore, capacity: Int, drafts: Int
  ) {
    guard let heads = configuration.furtherHeads, (1...heads.weights.count).contains(drafts) else {
      preconditionFailure("\(drafts) drafts of a model without so many further heads")
    }
    let rows = capacity * (drafts + 1)
    self.init(
      main: configuration.draftingPlan(for: heads, rows: rows),
      embedding: heads.isChain ? configuration.embeddingPlan(rows: rows) : nil,
      heads: heads.labelsAhead.prefix(drafts).map {
        configuration.plan(ofHead: $0, of: heads, rows: rows)
      },
      parameters: parameters, labels: configuration.labels, columns: configuration.width,
      attentionHeads: configuration.heads, capacity: capacity)
  }
}

extension ContinuationEngine {
  /// Floats of the caches that all requests of a call take, and rows that run together.
  private static let cachedFloats = 1 << 24
  private static let rows = 128

  /// As many requests at a time as their caches take 64 MB, 16 at most: neither changes a bit.
  ///
  /// - Parameter parameters: weights of this configuration.
  package convenience init(_ configuration: ModelConfiguration, parameters: ParameterStore) {
    let sequence = configuration.trunk.cacheColumns * configuration.context
    self.init(
      trunk: configuration.trunkPlan(rows: Self.rows),
      scoring: configuration.plan(.decoding(context: configuration.context), rows: Self.rows),
      parameters: parameters, tables: configuration.inputColumns, columns: configuration.width,
      attentionHeads: configuration.heads,
      capacity: max(1, min(16, Self.cachedFloats / max(1, sequence))))
  }
}

extension ModelConfiguration {
  private func decodingPlan(
    rows: Int, _ trace: (inout GraphBuilder) -> Void
  ) -> Plan {
    var g = GraphBuilder(mode: .decoding(context: context))
    trace(&g)
    return Plan(g, limits: Limits(rows: rows, segment: min(rows, context)))
  }

  /// The model as it decodes, with the rows that its further heads read.
  fileprivate func draftingPlan(for heads: any FurtherHeads, rows: Int) -> Plan {
    decodingPlan(rows: rows) { g in
      let rows = self.rows(in: &g, for: [next])
      g.takeRows(heads.source(rows))
      next(rows, labelColumn: 0, in: &g)
    }
  }

  /// The model without a head.
  fileprivate func trunkPlan(rows: Int) -> Plan {
    decodingPlan(rows: rows) { g in
      let (embedding, _) = trunk.embed(input, declaring: tables(for: []), in: &g)
      g.takeRows(trunk.blocks(embedding, in: &g))
    }
  }

  /// The model's input alone.
  fileprivate func embeddingPlan(rows: Int) -> Plan {
    decodingPlan(rows: rows) { g in
      let (embedding, _) = trunk.embed(input, declaring: tables(for: [next]), in: &g)
      g.takeRows(embedding)
    }
  }

  /// One further head on lent rows, and in a chain what it passes on.
  fileprivate func plan(ofHead i: Int, of heads: any FurtherHeads, rows: Int) -> Plan {
    decodingPlan(rows: rows) { g in
      let x = g.lentRows(0, columns: width)
      let embedding = heads.isChain ? g.lentRows(1, columns: width) : nil
      let head = heads.head(i, on: x, embedding: embedding, of: trunk, next: next, in: &g)
      if heads.isChain { g.takeRows(head.passedOn) }
      g.addLoss(
        "ahead\(i)", g.labelHead(head.rows, weight: head.unembedding, labels: labels))
    }
  }
}

extension DecodingEngine {
  /// - Parameters:
  ///   - parameters: weights of this configuration.
  ///   - capacity: sequences that live at a time.
  ///   - beginnings: how many rows at the beginnings of sequences are remembered.
  package convenience init(
    _ configuration: ModelConfiguration, parameters: ParameterStore, capacity: Int,
    beginnings: Int = 0
  ) {
    self.init(
      plan: configuration.plan(.decoding(context: configuration.context), rows: capacity),
      parameters: parameters, labels: configuration.labels, layers: configuration.layers,
      heads: configuration.heads, headColumns: configuration.trunk.size.headColumns,
      beginnings: beginnings)
  }
}
