/// X[n] = the rows that position n looks up, one of each table, side by side: (N, Σ widths).
///
/// The gradient of each lookup goes to the batch, which adds up those of one row.
struct TableRows: Operation {
  let tables: [Table]
  let output: Tensor

  var name: String { "rows of \(tables.count) tables" }
  var inputs: [Tensor] { [] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { 0 }
}

/// X[n] = F[id − 1] where position n has an id above 0 in the table's column of the lane's inputs, else
/// E[token n]; plus P[position n] where positions are learned. Forward alone.
struct StoredRows: Operation {
  /// F.
  let table: Table
  /// E.
  let tokens: Parameter
  let positions: Parameter?
  let output: Tensor

  var name: String { "stored rows or tokens" + (positions == nil ? "" : " + positions") }
  var inputs: [Tensor] { [] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [tokens] + (positions.map { [$0] } ?? []) }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { positions == nil ? 0 : Double(output.columns) }
}
