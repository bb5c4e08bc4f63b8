import Kernels

/// The table of angles that all rotary operations of a model share.
package struct RotaryAngles: Sendable {
  /// (context, D): cosines, then sines.
  let table: [Float]
  /// Columns of a head.
  let D: Int

  /// Angles of `context` positions for heads of `D` columns, an even number.
  package init(context: Int, D: Int, theta: Double) {
    table = rotations(positions: context, D: D, theta: theta)
    self.D = D
  }
}

/// Queries and keys turned by their positions, beside the values: (N, 3·H·D) from three (N, H·D).
struct Rotary: Operation {
  let q: Tensor
  let k: Tensor
  let v: Tensor
  let angles: RotaryAngles
  let output: Tensor

  var D: Int { angles.D }
  var H: Int { q.columns / D }
  var name: String { "rotary positions" }
  var inputs: [Tensor] { [q, k, v] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }
  func canAdd(toInput index: Int) -> Bool { false }
  func flops(position: Double) -> Double { Double(6 * q.columns) }
}
