import Kernels

extension Rotary: CPUOperation {
  package func forward(_ w: borrowing Workspace) {
    var qkv = w.value(output).mutableSpan
    rotaryQKV(
      into: &qkv, q: w.value(q).span, k: w.value(k).span, v: w.value(v).span,
      rotations: angles.table.span, positions: w.positions(of: output).span, H: H, D: D)
  }

  package func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dQ = w.gradient(q).mutableSpan
    var dK = w.gradient(k).mutableSpan
    var dV = w.gradient(v).mutableSpan
    rotaryQKVBackward(
      dQ: &dQ, dK: &dK, dV: &dV, w.gradient(output).span, rotations: angles.table.span,
      positions: w.positions(of: output).span, H: H, D: D)
  }
}
