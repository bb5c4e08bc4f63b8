/// Y[r] = X[r + distance] where that row belongs to the same segment, else 0: what stands so many rows
/// ahead. Nothing passes from one sentence to the next.
struct Shift: Operation {
  let input: Tensor
  let distance: Int
  let output: Tensor

  var name: String { "rows \(distance) ahead" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { 0 }
}

/// Y[r] = [A[r] | B[r]]: the columns of two tensors side by side.
struct SideBySide: Operation {
  let left: Tensor
  let right: Tensor
  let output: Tensor

  var name: String { "side by side" }
  var inputs: [Tensor] { [left, right] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { 0 }
}

/// The rows that the caller of a decoding step lends: what another graph left.
struct LentRows: Operation {
  /// Which of the two that can be lent.
  let index: Int
  let output: Tensor

  var name: String { "lent rows" }
  var inputs: [Tensor] { [] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { 0 }
}

/// Leaves rows with the caller of a decoding step.
struct TakenRows: Operation {
  let input: Tensor

  var name: String { "taken rows" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { 0 }
}
