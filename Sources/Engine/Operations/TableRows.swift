/// X[n] = the rows that position n looks up, one of each table, side by side: (N, Σ widths).
///
/// The gradient of each lookup goes to the batch, which adds up those of one row.
package struct TableRows: Operation {
  package let tables: [Table]
  package let output: Tensor

  package var name: String { "rows of \(tables.count) tables" }
  package var inputs: [Tensor] { [] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { 0 }
}

/// X[n] = F[id − 1] where position n has an id above 0 in the table's column of the lane's inputs, else
/// E[token n]; plus P[position n] where positions are learned. Forward alone.
package struct StoredRows: Operation {
  /// F.
  package let table: Table
  /// E.
  package let tokens: Parameter
  package let positions: Parameter?
  package let output: Tensor

  package var name: String { "stored rows or tokens" + (positions == nil ? "" : " + positions") }
  package var inputs: [Tensor] { [] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [tokens] + (positions.map { [$0] } ?? []) }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { positions == nil ? 0 : Double(output.columns) }
}
