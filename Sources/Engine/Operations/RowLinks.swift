/// Y[r] = X[link r], 0 where r stands for no row: from a link's second space to its first.
struct Gather: Operation {
  let input: Tensor
  let link: RowLink
  let output: Tensor

  var name: String { "gather rows" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { 0 }
}

/// Y[r] = Σ of X over the rows that stand for r, ascending: from a link's first space to its second.
struct ScatterSum: Operation {
  let input: Tensor
  let link: RowLink
  let output: Tensor

  var name: String { "sum rows" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { Double(input.columns) }
}

/// X[n] = Y[link n], or E[token n] where position n stands for no row; plus P[position n] where positions
/// are learned. The tokens are the first column of the lane's inputs.
struct LinkedRows: Operation {
  /// Y.
  let input: Tensor
  let link: RowLink
  /// E.
  let table: Parameter
  let positions: Parameter?
  let output: Tensor

  var name: String { "linked rows or tokens" + (positions == nil ? "" : " + positions") }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [table] + (positions.map { [$0] } ?? []) }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double {
    positions == nil ? 0 : Double(output.columns)
  }
}
