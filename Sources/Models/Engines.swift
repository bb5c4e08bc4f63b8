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
      builder, limits: Limits(rows: rows, segment: min(rows, context), precision: precision))
  }

  /// Traces embedding, trunk and outputs; where nothing is trained, of these the first alone.
  private func trace(in g: inout GraphBuilder) {
    let outputs = g.mode == .training ? outputs : [next]
    let (rows, tables) = trunk.embed(input, declaring: tables(for: outputs), in: &g)
    let x = trunk(rows, in: &g)
    var column = 0
    for output in outputs {
      output(
        x, tokens: tables.first, deviation: type(of: trunk).deviation, labelColumn: column, in: &g)
      column += output.labelColumns
    }
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
  ///   - ranks: those that share the lanes.
  package convenience init(
    _ configuration: ModelConfiguration, seed: UInt64, lanes: Int, laneCapacity: Int, threads: Int,
    precision: Precision = .float32, tableMoments: TableMoments = .float32,
    ranks: any Communicator = LocalCommunicator()
  ) {
    let plan = configuration.plan(.training, rows: laneCapacity, precision: precision)
    let parameters = ParameterStore(
      layout: plan.layout, moments: true, tableMoments: tableMoments)
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
