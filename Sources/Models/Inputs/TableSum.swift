import Engine
import Support

/// The plain input: one row of each table of n-grams, summed.
///
///     X[n] = Σ_g E_g[row_g[n]]
///
/// Source: Over-Tokenized Transformer, section 2 (the naive n-gram input is one table, of order n).
package struct TableSum: Input {
  package let tables: [InputTable]

  /// - Parameter tables: in the order of the sum.
  package init(_ tables: [InputTable]) { self.tables = tables }

  package var readsTables: Bool { true }
  package var columnRows: [Int] { tables.map(\.rows) }

  /// The input of every configuration that names no other.
  package static func read(
    _ reader: inout ConfigReader, tables: [InputTable], trunk: any Trunk
  ) -> TableSum? { TableSum(tables) }

  package func validate(width: Int) throws {
    if tables.isEmpty || tables.contains(where: { $0.order < 1 || $0.rows < 1 }) {
      throw UserError(
        "model inputs", expected: "one or more tables with order and rows of at least 1",
        found: "\(tables.map { "order \($0.order), rows \($0.rows)" })")
    }
    if Set(tables.map(\.order)).count != tables.count {
      throw UserError(
        "model inputs", expected: "distinct orders", found: "\(tables.map(\.order))")
    }
  }

  // MARK: - Closed forms

  package func parameterCount(width: Int) -> Int { 0 }

  // MARK: - Trace

  package func callAsFunction(
    tables declared: [Parameter], positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor {
    g.embeddingSum(tables: declared, positions: positions, columns: width)
  }
}
