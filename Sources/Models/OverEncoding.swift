import Engine
import Kernels
import NGrams
import Support

/// An over-encoded input: tables of n-gram rows, projected and added to the 1-gram embedding.
///
///     X[n] = (E₁[x_n] + Σ_e G_e[row_e[n]]·W_e) / (1 + k(n − 1))
///
/// Source: Over-Tokenized Transformer, section 3 and Algorithm 1, without the biases that `nn.Linear`
/// would have there (equation 4 has none).
package struct OverEncoding: Sendable, Equatable {
  /// How the terms make up the embedding.
  package enum Reduction: String, CaseIterable, Sendable {
    /// Divided by their number, the 1-gram table included.
    case mean
    case sum
  }

  /// What is done to looked up rows before they are projected.
  package enum Normalization: String, CaseIterable, Sendable {
    case none
    /// RMSNorm with a gain over the rows of all tables side by side: `<prefix>.oe_norm.weight`.
    case rms
  }

  package var layout: OverEncodingLayout
  package var reduction: Reduction
  package var normalization: Normalization
  /// Whether the 1-gram table is one of the terms.
  package var token: Bool
  /// Standard deviation of the tables at the start.
  package var deviation: Double
  /// Standard deviation of the projections at the start.
  package var projectionDeviation: Double

  /// - Parameter projectionDeviation: 1/√(width of a table) unless given, times `deviation` where rows
  ///   are normalized, so that a projected row starts as large as the row.
  package init(
    layout: OverEncodingLayout, reduction: Reduction = .mean,
    normalization: Normalization = .none, token: Bool = true, deviation: Double = 0.02,
    projectionDeviation: Double? = nil
  ) {
    self.layout = layout
    self.reduction = reduction
    self.normalization = normalization
    self.token = token
    self.deviation = deviation
    let gain = normalization == .rms ? deviation : 1
    self.projectionDeviation =
      projectionDeviation ?? gain / Double(layout.embedders[0].width).squareRoot()
  }

  /// Reads the members of the layout (order, slices, rows, moduli, …) and `reduction` (mean),
  /// `normalization` (none), `token` (true), `deviation` (0.02) and `projectionDeviation` (see
  /// `init(layout:…)`). The caller finishes `reader`.
  package init(reader: inout ConfigReader, vocabulary: Int, width: Int) throws {
    let layout = try OverEncodingLayout(reader: &reader, vocabulary: vocabulary, width: width)
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
      layout: layout, reduction: reduction, normalization: normalization, token: token,
      deviation: deviation, projectionDeviation: projection)
  }

  /// Multiplies the sum of the terms.
  package var scale: Double {
    switch reduction {
    case .mean: 1 / Double((token ? 1 : 0) + layout.embedders.count)
    case .sum: 1
    }
  }

  /// Parameters of tables, projections and norm; not of the 1-gram table, which is the model's own.
  package var parameterCount: Int {
    layout.parameterCount + (normalization == .rms ? columns : 0)
  }

  /// Columns of all tables, side by side.
  package var columns: Int { layout.embedders.reduce(0) { $0 + $1.width } }

  /// Bytes of the tables' weights; of their moments and last steps too where `moments` says how.
  package func bytes(moments: TableMoments?) -> Int {
    layout.embedders.reduce(0) { sum, embedder in
      sum
        + TableSlot(name: "", rows: embedder.modulus, width: embedder.width, deviation: 0)
        .bytes(moments: moments)
    }
  }
}

extension ModelConfiguration {
  /// Declares the input tables that the embedding or a tied head uses, `<name>.weight` for order 1 and
  /// `<name>_n.weight` for order n.
  func inputTables(in g: inout GraphBuilder, named name: String, deviation: Double) -> [Parameter] {
    let used = hasInputTables || tied ? inputs : []
    return used.map { table in
      g.parameter(
        name + (table.order == 1 ? "" : "_\(table.order)") + ".weight", [table.rows, width],
        .normal(deviation))
    }
  }

  /// The embedded input, the one entry of every trunk: the sum of the input tables, or over-encoding,
  /// plus the positions where a trunk has learned ones.
  ///
  /// - Parameters:
  ///   - tokens: the input tables; only the 1-gram table when over-encoded, none if that is left out.
  ///   - name: prefix of the names of what over-encoding adds.
  func inputEmbedding(
    in g: inout GraphBuilder, tokens: [Parameter], positions: Parameter?, named name: String
  ) -> Tensor {
    guard let overEncoding else {
      return g.embeddingSum(tables: tokens, positions: positions, columns: width)
    }
    return g.overEncoding(
      tables: overEncoding.layout.embedders.map { ($0.modulus, $0.width) },
      tokens: overEncoding.token ? tokens[0] : nil, positions: positions, columns: width,
      scale: overEncoding.scale, isNormalized: overEncoding.normalization == .rms,
      deviation: overEncoding.deviation,
      projectionDeviation: overEncoding.projectionDeviation, named: name)
  }
}
