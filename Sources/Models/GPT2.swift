import Engine

/// GPT-2 (Radford et al. 2019): learned positions, pre-norm blocks, tanh GELU, with a sum of n-gram
/// tables or over-encoding at the input and a label head at the output. Parameters carry the names of Hugging Face's
/// GPT2LMHeadModel; a table of order n > 1 is `transformer.wte_n`.
struct GPT2 {
  let configuration: ModelConfiguration

  /// Standard deviation of weights and tables; that of projections into the residual stream is
  /// divided by √(2L).
  private static let deviation = 0.02

  // MARK: - Model

  /// Traces the model and returns the result of its head.
  func callAsFunction(in g: inout GraphBuilder) -> Tensor {
    let (C, V) = (configuration.width, configuration.labels)
    let tables = configuration.inputTables(
      in: &g, named: "transformer.wte", deviation: Self.deviation)
    let positions = g.parameter(
      "transformer.wpe.weight", [configuration.context, C], .normal(Self.deviation))
    var x = configuration.inputEmbedding(
      in: &g, tokens: tables, positions: positions, named: "transformer")
    for layer in 0..<configuration.layers { x = block(x, layer, in: &g) }
    x = g.layerNorm(x, named: "transformer.ln_f")
    let head =
      configuration.tied
      ? tables[0] : g.parameter("lm_head.weight", [V, C], .normal(Self.deviation))
    return g.labelHead(x, weight: head, labels: V)
  }

  // MARK: - Block

  private func block(_ x: Tensor, _ layer: Int, in g: inout GraphBuilder) -> Tensor {
    let name = "transformer.h.\(layer)"
    let C = configuration.width
    let residualDeviation = Self.deviation / Double(2 * configuration.layers).squareRoot()

    let qkv = g.linear(
      g.layerNorm(x, named: name + ".ln_1"), to: 3 * C, named: name + ".attn.c_attn",
      deviation: Self.deviation)
    let attended = g.linear(
      g.attention(qkv: qkv, heads: configuration.heads), to: C, named: name + ".attn.c_proj",
      deviation: residualDeviation, residual: x)

    let hidden = g.linear(
      g.layerNorm(attended, named: name + ".ln_2"), to: configuration.hiddenWidth,
      named: name + ".mlp.c_fc", deviation: Self.deviation, addsBiasLast: true)
    return g.linear(
      hidden, activation: .gelu, to: C, named: name + ".mlp.c_proj", deviation: residualDeviation,
      residual: attended)
  }
}
