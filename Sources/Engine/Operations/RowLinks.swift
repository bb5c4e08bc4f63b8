/// Y[r] = X[link r], 0 where r stands for no row: from a link's second space to its first.
package struct Gather: Operation {
  package let input: Tensor
  package let link: RowLink
  package let output: Tensor

  package var name: String { "gather rows" }
  package var inputs: [Tensor] { [input] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { 0 }
}

/// Y[r] = Σ of X over the rows that stand for r, ascending: from a link's first space to its second.
package struct ScatterSum: Operation {
  package let input: Tensor
  package let link: RowLink
  package let output: Tensor

  package var name: String { "sum rows" }
  package var inputs: [Tensor] { [input] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { Double(input.columns) }
}

/// X[n] = Y[link n], or E[token n] where position n stands for no row; plus P[position n] where positions
/// are learned. The tokens are the first column of the lane's inputs.
package struct LinkedRows: Operation {
  /// Y.
  package let input: Tensor
  package let link: RowLink
  /// E.
  package let table: Parameter
  package let positions: Parameter?
  package let output: Tensor

  package var name: String { "linked rows or tokens" + (positions == nil ? "" : " + positions") }
  package var inputs: [Tensor] { [input] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [table] + (positions.map { [$0] } ?? []) }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double {
    positions == nil ? 0 : Double(output.columns)
  }
}
