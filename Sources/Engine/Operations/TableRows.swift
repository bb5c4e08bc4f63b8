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
