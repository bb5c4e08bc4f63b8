import Engine

/// GPT-2 (Radford et al. 2019): learned positions, pre-norm blocks, tanh GELU. Parameters carry the
/// names of Hugging Face's GPT2LMHeadModel; a table of order n > 1 is `transformer.wte_n`.
package struct GPT2: Trunk {
  package static let prefix = "transformer"
  package static let tokenTable = "wte"

  package let size: TrunkSize
  package let settings: NoSettings
  package let prefix: String

  package init(_ size: TrunkSize, settings: NoSettings, prefix: String) {
    self.size = size
    self.settings = settings
    self.prefix = prefix
  }

  /// Columns of the feed-forward layer, F = 4C.
  private var hiddenWidth: Int { 4 * size.width }

  // MARK: - Closed forms

  /// Weights of one block's matrices: attention 4C², feed-forward 2CF; 12C² in all.
  private var blockWeights: Int {
    4 * size.width * size.width + 2 * size.width * hiddenWidth
  }

  /// T·C + L·(12C² + 13C) + 2C: positions; matrices, their biases 4C + F + C and two norms 4C of each
  /// block; last norm.
  package var parameterCount: Int {
    let C = size.width
    return size.context * C + size.layers * (blockWeights + 9 * C + hiddenWidth) + 2 * C
  }

  /// 2·L·12C².
  package var productFLOPs: Double { 2 * Double(size.layers * blockWeights) }

  /// L·(12C + H + 4) + 2C + 2. A block: its input, both norms' outputs (C each) and statistics (2
  /// each), queries, keys and values (3C), attention's output (C) and log-sums (H), their sum with the
  /// input (C), the hidden row before GELU (4C).
  package var savedColumns: Int {
    let (C, H) = (size.width, size.heads)
    return size.layers * (8 * C + hiddenWidth + H + 4) + 2 * C + 2
  }

  /// A gain and a bias of each column.
  package var normParameterCount: Int { 2 * size.width }

  // MARK: - Model

  package func positions(in g: inout GraphBuilder) -> Parameter? {
    g.parameter("\(prefix).wpe.weight", [size.context, size.width], .normal(size.deviation))
  }

  package func blocks(_ x: Tensor, in g: inout GraphBuilder) -> Tensor {
    (0..<size.layers).reduce(x) { block($0, named: "\(prefix).h.\($1)", in: &g) }
  }

  package func norm(
    _ x: Tensor, named name: String?, gain: Double, in g: inout GraphBuilder
  ) -> Tensor {
    g.layerNorm(x, named: name ?? "\(prefix).ln_f", gain: gain, isShared: name == nil)
  }

  // MARK: - Block

  /// Projections into the residual stream start with a deviation that is divided by √(2L).
  package func block(_ x: Tensor, named name: String, in g: inout GraphBuilder) -> Tensor {
    let C = size.width
    let residualDeviation = size.deviation / Double(2 * size.layers).squareRoot()

    let qkv = g.linear(
      g.layerNorm(x, named: name + ".ln_1"), to: 3 * C, named: name + ".attn.c_attn",
      deviation: size.deviation)
    let attended = g.linear(
      g.attention(qkv: qkv, heads: size.heads), to: C, named: name + ".attn.c_proj",
      deviation: residualDeviation, residual: x)

    let hidden = g.linear(
      g.layerNorm(attended, named: name + ".ln_2"), to: hiddenWidth, named: name + ".mlp.c_fc",
      deviation: size.deviation, addsBiasLast: true)
    return g.linear(
      hidden, activation: .gelu, to: C, named: name + ".mlp.c_proj", deviation: residualDeviation,
      residual: attended)
  }
}
