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

  func flops(position: Double) -> Double { Double(6 * q.columns) }

  func forward(_ w: borrowing Workspace) {
    var qkv = w.value(output).mutableSpan
    rotaryQKV(
      into: &qkv, q: w.value(q).span, k: w.value(k).span, v: w.value(v).span,
      rotations: angles.table.span, positions: w.lane.positions.span, H: H, D: D)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    precondition(
      (0..<3).allSatisfy { !accumulation.addsInput($0) }, "rotary does not share its inputs")
    var dQ = w.gradient(q).mutableSpan
    var dK = w.gradient(k).mutableSpan
    var dV = w.gradient(v).mutableSpan
    rotaryQKVBackward(
      dQ: &dQ, dK: &dK, dV: &dV, w.gradient(output).span, rotations: angles.table.span,
      positions: w.lane.positions.span, H: H, D: D)
  }
}
