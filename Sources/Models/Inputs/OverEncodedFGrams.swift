import Engine
import NGrams
import Support

/// F-grams beside tables of n-gram rows: what `FGrams` makes of a token takes the place of its embedding among
/// the terms of `OverEncoding`.
///
///     X[n] = s · (F[n] + t · Σ_e G_e[row_e[n]]·W_e)
///
/// F[n] being the row of the longest f-gram that ends at n, or E₁[x_n]; s and t as the reduction says.
///
/// Source: SCONE, Algorithm 1; Over-Tokenized Transformer, equation 4. Neither paper has both.
package struct OverEncodedFGrams: Input {
  package let fGrams: FGrams
  package let overEncoding: OverEncoding

  /// - Parameter overEncoding: with the token among its terms.
  package init(fGrams: FGrams, overEncoding: OverEncoding) {
    precondition(overEncoding.token, "f-grams stand in the token's place")
    (self.fGrams, self.overEncoding) = (fGrams, overEncoding)
  }

  // MARK: - Configuration

  /// Reads the objects `fGrams` and `overEncoding`, where there are both.
  package static func read(
    _ reader: inout ConfigReader, tables: [InputTable], trunk: any Trunk
  ) throws -> OverEncodedFGrams? {
    guard reader.has(FGrams.key), reader.has("overEncoding"),
      let fGrams = try FGrams.read(&reader, tables: tables, trunk: trunk),
      let overEncoding = try OverEncoding.read(&reader, tables: tables, trunk: trunk)
    else { return nil }
    guard overEncoding.token else {
      throw reader.fault(
        "overEncoding", expected: "token: true beside \(FGrams.key), which stand in its place",
        found: "false", remedy: "Delete it, or \(FGrams.key).")
    }
    return OverEncodedFGrams(fGrams: fGrams, overEncoding: overEncoding)
  }

  package func validate(width: Int) throws {
    try fGrams.validate(width: width)
    try overEncoding.validate(width: width)
  }

  // MARK: - Columns of a lane

  package var tables: [InputTable] { fGrams.tables }
  package var readsTables: Bool { true }
  /// The token, how many tokens its f-gram has, and the row in each table.
  package var columnRows: [Int] { fGrams.columnRows + overEncoding.columnRows.dropFirst() }
  package var textColumns: TextColumns {
    .matchesAndTables(
      longest: fGrams.longest, overEncoding.layout, overEncoding.lookBack)
  }

  // MARK: - Closed forms

  package func parameterCount(width: Int) -> Int {
    fGrams.parameterCount(width: width) + overEncoding.parameterCount(width: width)
  }
  package var idleParameterCount: Int { fGrams.idleParameterCount }
  package var tableParameterCount: Int { overEncoding.tableParameterCount }
  package func productFLOPs(width: Int) -> Double { overEncoding.productFLOPs(width: width) }
  package var savedColumns: Int { overEncoding.savedColumns }
  package var usualFGramRows: Double { fGrams.usualFGramRows }
  package var fGramRowFLOPs: Double { fGrams.fGramRowFLOPs }
  package var fGramSavedColumns: Int { fGrams.fGramSavedColumns }

  // MARK: - Trace

  package func callAsFunction(
    tables declared: [Parameter], positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor {
    let base = fGrams(tables: declared, positions: nil, width: width, named: name, in: &g)
    return overEncoding.terms(
      tokens: nil, base: base, positions: positions, width: width, named: name, in: &g)
  }
}
