/// Y[r] = X[r + distance] where that row belongs to the same segment, else 0: what stands so many rows
/// ahead. Nothing passes from one sentence to the next.
package struct Shift: Operation {
  package let input: Tensor
  package let distance: Int
  package let output: Tensor

  package var name: String { "rows \(distance) ahead" }
  package var inputs: [Tensor] { [input] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { 0 }
}

/// Y[r] = [A[r] | B[r]]: the columns of two tensors side by side.
package struct SideBySide: Operation {
  package let left: Tensor
  package let right: Tensor
  package let output: Tensor

  package var name: String { "side by side" }
  package var inputs: [Tensor] { [left, right] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { 0 }
}

/// The rows that the caller of a decoding step lends: what another graph left.
package struct LentRows: Operation {
  /// Which of the two that can be lent.
  package let index: Int
  package let output: Tensor

  package var name: String { "lent rows" }
  package var inputs: [Tensor] { [] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { 0 }
}

/// Leaves rows with the caller of a decoding step.
package struct TakenRows: Operation {
  package let input: Tensor

  package var name: String { "taken rows" }
  package var inputs: [Tensor] { [input] }
  package var outputs: [Tensor] { [] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }

  package func flops(position: Double) -> Double { 0 }
}
