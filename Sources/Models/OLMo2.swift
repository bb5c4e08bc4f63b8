import Engine

/// OLMo 2 (OLMo Team 2024, §3): norms after attention and feed-forward, inside the residual branch,
/// RMSNorm of queries and keys over their full width, rotary positions, SwiGLU, no biases; a sum of
/// n-gram tables or over-encoding at the input and a label head at the output.
///
/// Parameters carry the names of Hugging Face's Olmo2ForCausalLM; a table of order n > 1 is
/// `model.embed_tokens_n`. Every `…_proj.weight` is stored (in, out), the transpose of Hugging
/// Face's; tables and `lm_head.weight` are as there.
struct OLMo2 {
  let configuration: ModelConfiguration
  let settings: OLMo2Settings

  /// Standard deviation of every weight and table.
  private static let deviation = 0.02

  // MARK: - Model

  /// Traces the model and returns the result of its head.
  func callAsFunction(in g: inout GraphBuilder) -> Tensor {
    let (C, V) = (configuration.width, configuration.labels)
    let tables = configuration.inputTables(
      in: &g, named: "model.embed_tokens", deviation: Self.deviation)
    let angles = RotaryAngles(
      context: configuration.context, D: C / configuration.heads, theta: settings.ropeTheta)
    var x = configuration.inputEmbedding(in: &g, tokens: tables, positions: nil, named: "model")
    for layer in 0..<configuration.layers { x = block(x, layer, angles, in: &g) }
    x = g.rmsNorm(x, named: "model.norm", epsilon: settings.normEpsilon)
    let head =
      configuration.tied
      ? tables[0] : g.parameter("lm_head.weight", [V, C], .normal(Self.deviation))
    return g.labelHead(x, weight: head, labels: V)
  }

  // MARK: - Block

  private func block(_ x: Tensor, _ layer: Int, _ angles: RotaryAngles, in g: inout GraphBuilder)
    -> Tensor
  {
    let name = "model.layers.\(layer)"
    let attended = g.rmsNorm(
      attention(x, name + ".self_attn", angles, in: &g), named: name + ".post_attention_layernorm",
      epsilon: settings.normEpsilon, residual: x)
    return g.rmsNorm(
      feedForward(attended, name + ".mlp", in: &g), named: name + ".post_feedforward_layernorm",
      epsilon: settings.normEpsilon, residual: attended)
  }

  private func attention(
    _ x: Tensor, _ name: String, _ angles: RotaryAngles, in g: inout GraphBuilder
  ) -> Tensor {
    let C = configuration.width
    let q = g.rmsNorm(
      project(x, to: C, name + ".q_proj", in: &g), named: name + ".q_norm",
      epsilon: settings.normEpsilon)
    let k = g.rmsNorm(
      project(x, to: C, name + ".k_proj", in: &g), named: name + ".k_norm",
      epsilon: settings.normEpsilon)
    let v = project(x, to: C, name + ".v_proj", in: &g)
    let qkv = g.rotary(q: q, k: k, v: v, angles: angles)
    let attended = g.attention(qkv: qkv, heads: configuration.heads)
    return project(attended, to: C, name + ".o_proj", in: &g)
  }

  private func feedForward(_ x: Tensor, _ name: String, in g: inout GraphBuilder) -> Tensor {
    let gate = project(x, to: configuration.hiddenWidth, name + ".gate_proj", in: &g)
    let up = project(x, to: configuration.hiddenWidth, name + ".up_proj", in: &g)
    return project(
      g.swiGLU(gate: gate, up: up), to: configuration.width, name + ".down_proj", in: &g)
  }

  private func project(_ x: Tensor, to columns: Int, _ name: String, in g: inout GraphBuilder)
    -> Tensor
  {
    g.linear(x, to: columns, named: name, deviation: Self.deviation, bias: false)
  }
}
