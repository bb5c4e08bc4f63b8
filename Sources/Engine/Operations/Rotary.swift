import Kernels

/// The table of angles that all rotary operations of a model share.
package struct RotaryAngles: Sendable {
  /// (context, D): cosines, then sines.
  package let table: [Float]
  /// Columns of a head.
  package let D: Int

  /// Angles of `context` positions for heads of `D` columns, an even number.
  package init(context: Int, D: Int, theta: Double) {
    table = rotations(positions: context, D: D, theta: theta)
    self.D = D
  }
}

/// Queries and keys turned by their positions, beside the values: (N, 3·H·D) from three (N, H·D).
package struct Rotary: Operation {
  package let q: Tensor
  package let k: Tensor
  package let v: Tensor
  package let angles: RotaryAngles
  package let output: Tensor

  package var D: Int { angles.D }
  package var H: Int { q.columns / D }
  package var name: String { "rotary positions" }
  package var inputs: [Tensor] { [q, k, v] }
  package var outputs: [Tensor] { [output] }
  package var parameters: [Parameter] { [] }
  package var saved: [Tensor] { [] }
  package func canAdd(toInput index: Int) -> Bool { false }
  package func flops(position: Double) -> Double { Double(6 * q.columns) }
}
