import Engine
import Support

/// OLMo 2 (OLMo Team 2024, §3): norms after attention and feed-forward, inside the residual branch,
/// RMSNorm of queries and keys over their full width, rotary positions, SwiGLU, no biases.
///
/// Parameters carry the names of Hugging Face's Olmo2ForCausalLM; a table of order n > 1 is
/// `model.embed_tokens_n`. Every `…_proj.weight` is stored (in, out), the transpose of Hugging
/// Face's; tables and `lm_head.weight` are as there.
package struct OLMo2: Trunk {
  package struct Settings: TrunkSettings {
    /// Columns of the feed-forward layer, F; 0 for ⌊8C/3⌋ rounded up to a multiple of 16. (The
    /// released models round up to 256: give theirs by number.)
    package var hiddenWidth: Int
    /// θ of the rotary positions.
    package var ropeTheta: Double
    /// ε of every RMSNorm.
    package var normEpsilon: Double

    package init(hiddenWidth: Int, ropeTheta: Double = 500_000, normEpsilon: Double = 1e-6) {
      self.hiddenWidth = hiddenWidth
      self.ropeTheta = ropeTheta
      self.normEpsilon = normEpsilon
    }

    /// The released models' θ and ε.
    package init() { self.init(hiddenWidth: 0) }

    /// Reads the keys `hiddenWidth`, `ropeTheta` and `normEpsilon`.
    package init(reader: inout ConfigReader) throws {
      let standard = Self()
      hiddenWidth = try reader.int(
        "hiddenWidth", default: standard.hiddenWidth, in: 0...10_000_000)
      ropeTheta = try reader.double("ropeTheta", default: standard.ropeTheta)
      normEpsilon = try reader.double("normEpsilon", default: standard.normEpsilon)
    }
  }

  package static let prefix = "model"
  package static let tokenTable = "embed_tokens"

  package let size: TrunkSize
  package let settings: Settings
  package let prefix: String

  package init(_ size: TrunkSize, settings: Settings, prefix: String) {
    self.size = size
    self.settings = settings
    self.prefix = prefix
  }

  /// F.
  package var hiddenWidth: Int {
    settings.hiddenWidth > 0 ? settings.hiddenWidth : (8 * size.width / 3 + 15) & ~15
  }

  package func validateSettings() throws {
    if settings.hiddenWidth < 0 {
      throw UserError(
        "model hiddenWidth", expected: "0 or more", found: "\(settings.hiddenWidth)")
    }
    try validateRotaryBlocks(ropeTheta: settings.ropeTheta, normEpsilon: settings.normEpsilon)
  }

  package var scoredSettings: Settings {
    var settings = settings
    settings.hiddenWidth = hiddenWidth
    return settings
  }

  // MARK: - Closed forms

  /// Weights of one block's matrices: attention 4C², feed-forward 3CF.
  private var blockWeights: Int {
    4 * size.width * size.width + 3 * size.width * hiddenWidth
  }

  /// L·(4C² + 3CF + 4C) + C: matrices and four gains of each block; last gain.
  package var parameterCount: Int {
    size.layers * (blockWeights + 4 * size.width) + size.width
  }

  /// 2·L·(4C² + 3CF).
  package var productFLOPs: Double { 2 * Double(size.layers * blockWeights) }

  /// L·(10C + 3F + H + 4) + 2C + 1. A block: its input, queries and keys before their norms (C each),
  /// queries, keys and values side by side (3C), attention's output (C) and log-sums (H), both
  /// branches before their norms (C each), the sum between them (C), gate, up and their product (3F);
  /// a scale of each norm (4).
  package var savedColumns: Int {
    let (C, H) = (size.width, size.heads)
    return size.layers * (10 * C + 3 * hiddenWidth + H + 4) + 2 * C + 1
  }

  /// A gain of each column.
  package var normParameterCount: Int { size.width }

  // MARK: - Model

  package func blocks(_ x: Tensor, in g: inout GraphBuilder) -> Tensor {
    let angles = angles
    return (0..<size.layers).reduce(x) { block($0, "\(prefix).layers.\($1)", angles, in: &g) }
  }

  package func norm(
    _ x: Tensor, named name: String?, gain: Double, in g: inout GraphBuilder
  ) -> Tensor {
    g.rmsNorm(
      x, named: name ?? "\(prefix).norm", epsilon: settings.normEpsilon, gain: gain,
      isShared: name == nil)
  }

  private var angles: RotaryAngles {
    RotaryAngles(context: size.context, D: size.headColumns, theta: settings.ropeTheta)
  }

  // MARK: - Block

  package func block(_ x: Tensor, named name: String, in g: inout GraphBuilder) -> Tensor {
    block(x, name, angles, in: &g)
  }

  private func block(
    _ x: Tensor, _ name: String, _ angles: RotaryAngles, in g: inout GraphBuilder
  ) -> Tensor {
    let attention = g.rotaryAttention(
      x, heads: size.heads, angles: angles, named: name + ".self_attn", deviation: size.deviation,
      epsilon: settings.normEpsilon)
    let attended = norm(attention, name + ".post_attention_layernorm", residual: x, in: &g)
    return norm(
      feedForward(attended, name + ".mlp", in: &g), name + ".post_feedforward_layernorm",
      residual: attended, in: &g)
  }

  private func feedForward(_ x: Tensor, _ name: String, in g: inout GraphBuilder) -> Tensor {
    let gate = project(x, to: hiddenWidth, name + ".gate_proj", in: &g)
    let up = project(x, to: hiddenWidth, name + ".up_proj", in: &g)
    return project(g.swiGLU(gate: gate, up: up), to: size.width, name + ".down_proj", in: &g)
  }

  private func norm(
    _ x: Tensor, _ name: String, residual: Tensor? = nil, in g: inout GraphBuilder
  ) -> Tensor {
    g.rmsNorm(x, named: name, epsilon: settings.normEpsilon, residual: residual)
  }

  private func project(
    _ x: Tensor, to columns: Int, _ name: String, in g: inout GraphBuilder
  ) -> Tensor {
    g.linear(x, to: columns, named: name, deviation: size.deviation, bias: false)
  }
}
