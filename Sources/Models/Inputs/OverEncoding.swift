import Engine
import Kernels
import NGrams
import Support

/// An over-encoded input: tables of n-gram rows, projected and added to the 1-gram embedding.
///
///     X[n] = (E₁[x_n] + Σ_e G_e[row_e[n]]·W_e) / (1 + k(n − 1))
///
/// is the paper's `mean`; other reductions do not shrink the token's own embedding.
///
/// Source: Over-Tokenized Transformer, section 3 and Algorithm 1, without the biases that `nn.Linear`
/// would have there (equation 4 has none).
package struct OverEncoding: Input {
  /// How the terms make up the embedding.
  package enum Reduction: String, CaseIterable, Sendable {
    /// Divided by their number, the 1-gram table included: the more tables, the smaller the token's part.
    case mean
    case sum
    /// The token's embedding, and the tables' terms divided by the root of their number: at the start
    /// neither part's size depends on n and k.
    case normalizedSum
  }

  /// What is done to looked up rows before they are projected.
  package enum Normalization: String, CaseIterable, Sendable {
    case none
    /// RMSNorm with a gain over the rows of all tables side by side: `<prefix>.oe_norm.weight`.
    case rms
  }

  package let layout: OverEncodingLayout
  /// How far the n-grams of a window of text look back.
  package let lookBack: LookBack
  package let reduction: Reduction
  package let normalization: Normalization
  /// Whether the 1-gram table is one of the terms.
  package let token: Bool
  /// Standard deviation of the tables at the start.
  package let deviation: Double
  /// Standard deviation of the projections at the start.
  package let projectionDeviation: Double

  /// - Parameter projectionDeviation: 1/√(width of a table) unless given, times `deviation` where rows
  ///   are normalized, so that a projected row starts as large as the row.
  package init(
    layout: OverEncodingLayout, lookBack: LookBack = .document, reduction: Reduction = .mean,
    normalization: Normalization = .none, token: Bool = true, deviation: Double = 0.02,
    projectionDeviation: Double? = nil
  ) {
    self.layout = layout
    self.lookBack = lookBack
    self.reduction = reduction
    self.normalization = normalization
    self.token = token
    self.deviation = deviation
    let gain = normalization == .rms ? deviation : 1
    self.projectionDeviation =
      projectionDeviation ?? gain / Double(layout.embedders[0].width).squareRoot()
  }

  // MARK: - Configuration

  /// Reads the object `overEncoding`: the members of the layout (order, slices, rows, moduli, …) and
  /// `lookBack` (document), `reduction` (mean), `normalization` (none), `token` (true), `deviation` (0.02) and
  /// `projectionDeviation` (see `init(layout:…)`).
  package static func read(
    _ reader: inout ConfigReader, tables: [InputTable], trunk: any Trunk
  ) throws -> OverEncoding? {
    guard var object = try reader.optionalObject("overEncoding") else { return nil }
    guard tables.count == 1, tables[0].order == 1 else {
      throw reader.fault(
        "overEncoding", expected: "one input table, of order 1",
        found: tables.isEmpty
          ? "none" : tables.map { "order \($0.order)" }.joined(separator: ", "),
        remedy: "Map the tokens without other input orders.")
    }
    let result = try OverEncoding(
      reader: &object, vocabulary: tables[0].rows, width: trunk.size.width)
    try object.finish()
    return result
  }

  private init(reader: inout ConfigReader, vocabulary: Int, width: Int) throws {
    let layout = try OverEncodingLayout(reader: &reader, vocabulary: vocabulary, width: width)
    let lookBack =
      reader.has("lookBack") ? try reader.choice("lookBack", LookBack.self) : .document
    let reduction = try reader.choice("reduction", Reduction.self, default: .mean)
    let normalization = try reader.choice(
      "normalization", Normalization.self, default: Normalization.none)
    let token = try reader.bool("token", default: true)
    let deviation =
      reader.has("deviation") ? try reader.double("deviation", in: 0...1e3) : 0.02
    let projection =
      reader.has("projectionDeviation")
      ? try reader.double("projectionDeviation", in: 0...1e3) : nil
    self.init(
      layout: layout, lookBack: lookBack, reduction: reduction, normalization: normalization,
      token: token, deviation: deviation, projectionDeviation: projection)
  }

  package func validate(width: Int) throws {
    guard layout.width == width else {
      throw UserError(
        "over-encoded model", expected: "a trunk of \(layout.width) columns, those of the tables",
        found: "\(width)", remedy: "Make the layout for the width of the model.")
    }
  }

  // MARK: - Columns of a lane

  package var tables: [InputTable] { [InputTable(order: 1, rows: layout.vocabulary)] }
  package var readsTables: Bool { token }
  package var columnRows: [Int] { [layout.vocabulary] + layout.embedders.map(\.modulus) }
  package var textColumns: TextColumns { .tables(layout, lookBack) }

  // MARK: - Closed forms

  /// Σ M_e·width + C·Σ widths, and a gain for each column where rows are normalized.
  package func parameterCount(width: Int) -> Int {
    layout.parameterCount + (normalization == .rms ? columns : 0)
  }

  package var tableParameterCount: Int { layout.tableParameterCount }

  /// Of the projections: 2·C·Σ widths.
  package func productFLOPs(width: Int) -> Double { 2 * Double(width * columns) }

  /// The rows as they are projected; where they are normalized, as they were looked up, and a scale.
  package var savedColumns: Int { normalization == .rms ? 2 * columns + 1 : columns }

  /// Columns of all tables, side by side.
  package var columns: Int { layout.embedders.reduce(0) { $0 + $1.width } }

  /// Bytes of the tables' weights; of their moments and last steps too where `moments` says how. Of the share
  /// of one of so many ranks.
  package func bytes(moments: TableMoments?, ranks: Int = 1) -> Int {
    layout.embedders.reduce(0) { sum, embedder in
      sum
        + TableSlot(name: "", rows: embedder.modulus, width: embedder.width, deviation: 0)
        .bytes(moments: moments, ranks: ranks)
    }
  }

  // MARK: - Trace

  /// Multiplies the sum of the terms.
  package var scale: Double {
    reduction == .mean ? 1 / Double((token ? 1 : 0) + layout.embedders.count) : 1
  }

  /// Multiplies the tables' terms alone.
  package var tableScale: Double {
    reduction == .normalizedSum ? 1 / Double(layout.embedders.count).squareRoot() : 1
  }

  package func callAsFunction(
    tables declared: [Parameter], positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor {
    terms(
      tokens: token ? declared[0] : nil, base: nil, positions: positions, width: width,
      named: name, in: &g)
  }

  /// The same with a row of each position, `base`, in place of the token's embedding.
  func terms(
    tokens: Parameter?, base: Tensor?, positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor {
    g.overEncoding(
      tables: layout.embedders.map { ($0.modulus, $0.width) }, tokens: tokens, base: base,
      positions: positions, columns: width, scale: scale,
      tableScale: tableScale,
      isNormalized: normalization == .rms, deviation: deviation,
      projectionDeviation: projectionDeviation, named: name)
  }
}

extension ModelConfiguration {
  /// The over-encoded input, with f-grams beside it or without; nil for any other.
  package var overEncoding: OverEncoding? {
    (input as? OverEncoding) ?? (input as? OverEncodedFGrams)?.overEncoding
  }
}
