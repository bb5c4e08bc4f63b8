import Engine
import Support

/// What the trunks of the OLMo family have in common.
extension Trunk {
  /// - Throws: `UserError` for sizes and settings that rotary blocks cannot have.
  func validateRotaryBlocks(ropeTheta: Double, normEpsilon: Double) throws {
    if size.headColumns % 2 != 0 {
      throw UserError(
        "model width", expected: "an even number of columns a head, for rotary positions",
        found: "\(size.headColumns)", remedy: "Change width or heads.")
    }
    for (name, value) in [("ropeTheta", ropeTheta), ("normEpsilon", normEpsilon)]
    where !(value > 0 && value.isFinite) {
      throw UserError("model \(name)", expected: "a number above 0", found: "\(value)")
    }
  }
}

extension GraphBuilder {
  /// Causal attention whose queries and keys pass an RMSNorm over their full width, then turn by their
  /// positions; without biases (+ residual). Weights (C, C): `<name>.q_proj`, `k_proj`, `v_proj`,
  /// `o_proj`; gains `q_norm`, `k_norm`.
  mutating func rotaryAttention(
    _ x: Tensor, heads: Int, angles: RotaryAngles, named name: String, deviation: Double,
    epsilon: Double, residual: Tensor? = nil
  ) -> Tensor {
    func project(
      _ x: Tensor, _ part: String, residual: Tensor? = nil, in g: inout GraphBuilder
    ) -> Tensor {
      g.linear(
        x, to: x.columns, named: "\(name).\(part)", deviation: deviation, bias: false,
        residual: residual)
    }
    let q = rmsNorm(project(x, "q_proj", in: &self), named: name + ".q_norm", epsilon: epsilon)
    let k = rmsNorm(project(x, "k_proj", in: &self), named: name + ".k_norm", epsilon: epsilon)
    let v = project(x, "v_proj", in: &self)
    let attended = attention(qkv: rotary(q: q, k: k, v: v, angles: angles), heads: heads)
    return project(attended, "o_proj", residual: residual, in: &self)
  }
}
