import Engine
import Support

/// OLMoE (Muennighoff et al. 2024): norms before attention and feed-forward, RMSNorm of queries and keys
/// over their full width, rotary positions, and a mixture of experts in every layer: a router's softmax
/// over all E experts, the k largest without renormalization, SwiGLU experts, no row dropped.
///
/// Parameters carry the names of Hugging Face's OlmoeForCausalLM, experts one by one as its files have
/// them; a table of order n > 1 is `model.embed_tokens_n`. Every `…_proj.weight` and the router's
/// `mlp.gate.weight` is stored (in, out), the transpose of Hugging Face's; tables and `lm_head.weight`
/// are as there.
///
/// All matrices start as normal draws with `size.deviation`, which OLMoE cuts off at three deviations;
/// the optimizer decays matrices and tables alone, where OLMoE decays norms too.
package struct OLMoE: Trunk {
  package struct Settings: TrunkSettings {
    /// E.
    package var experts: Int
    /// k, experts of a row.
    package var topK: Int
    /// Columns of an expert, F; 0 for half of the width, rounded up to a multiple of 16.
    package var expertWidth: Int
    /// Whether the weights of the chosen experts are divided by their sum.
    package var normalizeTopK: Bool
    /// Weights of the routers' losses; with 0 they are measured alone.
    package var balanceLoss: Double
    package var zLoss: Double
    /// θ of the rotary positions.
    package var ropeTheta: Double
    /// ε of every RMSNorm.
    package var normEpsilon: Double

    package init(
      experts: Int, topK: Int, expertWidth: Int = 0, normalizeTopK: Bool = false,
      balanceLoss: Double = 0.01, zLoss: Double = 0.001, ropeTheta: Double = 10_000,
      normEpsilon: Double = 1e-5
    ) {
      (self.experts, self.topK, self.expertWidth) = (experts, topK, expertWidth)
      self.normalizeTopK = normalizeTopK
      (self.balanceLoss, self.zLoss) = (balanceLoss, zLoss)
      (self.ropeTheta, self.normEpsilon) = (ropeTheta, normEpsilon)
    }

    /// Those of the released model.
    package init() { self.init(experts: 64, topK: 8) }

    /// Reads the keys `experts`, `topK`, `expertWidth`, `normalizeTopK`, `balanceLoss`, `zLoss`,
    /// `ropeTheta` and `normEpsilon`.
    package init(reader: inout ConfigReader) throws {
      let standard = Self()
      experts = try reader.int("experts", default: standard.experts, in: 1...65_536)
      topK = try reader.int("topK", default: standard.topK, in: 1...65_536)
      expertWidth = try reader.int(
        "expertWidth", default: standard.expertWidth, in: 0...10_000_000)
      normalizeTopK = try reader.bool("normalizeTopK", default: standard.normalizeTopK)
      balanceLoss = try reader.double("balanceLoss", default: standard.balanceLoss, in: 0...1e3)
      zLoss = try reader.double("zLoss", default: standard.zLoss, in: 0...1e3)
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
  package var expertWidth: Int {
    settings.expertWidth > 0 ? settings.expertWidth : ((size.width + 1) / 2 + 15) & ~15
  }

  package func validateSettings() throws {
    if settings.experts < 1 {
      throw UserError("model experts", expected: "at least 1", found: "\(settings.experts)")
    }
    if settings.topK < 1 || settings.topK > settings.experts {
      throw UserError(
        "model topK", expected: "1 to \(settings.experts), the experts", found: "\(settings.topK)",
        remedy: "Change topK or experts.")
    }
    if settings.expertWidth < 0 {
      throw UserError(
        "model expertWidth", expected: "0 or more", found: "\(settings.expertWidth)")
    }
    for (name, value) in [("balanceLoss", settings.balanceLoss), ("zLoss", settings.zLoss)]
    where !(value >= 0 && value.isFinite) {
      throw UserError("model \(name)", expected: "a number of 0 or more", found: "\(value)")
    }
    try validateRotaryBlocks(ropeTheta: settings.ropeTheta, normEpsilon: settings.normEpsilon)
  }

  package var scoredSettings: Settings {
    var settings = settings
    (settings.balanceLoss, settings.zLoss) = (0, 0)
    settings.expertWidth = expertWidth
    return settings
  }

  // MARK: - Closed forms

  /// Weights of one block's matrices of which a row meets `experts`: attention 4C², router CE, experts
  /// 3CF each.
  private func blockWeights(experts: Int) -> Int {
    let C = size.width
    return 4 * C * C + C * settings.experts + experts * 3 * C * expertWidth
  }

  private func parameterCount(experts: Int) -> Int {
    size.layers * (blockWeights(experts: experts) + 4 * size.width) + size.width
  }

  /// L·(4C² + CE + 3CFE + 4C) + C: matrices and four gains of each block; last gain.
  package var parameterCount: Int { parameterCount(experts: settings.experts) }

  /// The same with k experts instead of E: those that a row meets.
  package var activeParameterCount: Int { parameterCount(experts: settings.topK) }

  /// 2·L·(4C² + CE + 3CFk).
  package var productFLOPs: Double {
    2 * Double(size.layers) * Double(blockWeights(experts: settings.topK))
  }

  /// L·(10C + 2kF + 2E + 2k + H + 4) + 2C + 1. A block: its input, both norms' outputs (C each), queries
  /// and keys before their norms (C each), queries, keys and values side by side (3C), attention's output
  /// (C) and log-sums (H), its sum with the input (C), the router's logits and probabilities (E each),
  /// its choices and their weights (k each), gate and up of k experts (2kF); a scale of each norm (4).
  package var savedColumns: Int {
    let (C, H, E, k) = (size.width, size.heads, settings.experts, settings.topK)
    return size.layers * (10 * C + 2 * k * expertWidth + 2 * E + 2 * k + H + 4) + 2 * C + 1
  }

  /// Those of the routers.
  package var lossColumns: Int { 2 }

  /// A gain of each column.
  package var normParameterCount: Int { size.width }

  // MARK: - Model

  /// Traces the blocks; in training also the routers' losses, `balance` and `router-z`, of all layers
  /// together. Those of a trunk under another prefix have its name in front.
  package func blocks(_ x: Tensor, in g: inout GraphBuilder) -> Tensor {
    let angles = angles
    var (x, routings) = (x, [Routing]())
    for layer in 0..<size.layers {
      let routing: Routing
      (x, routing) = block(x, "\(prefix).layers.\(layer)", angles, in: &g)
      routings.append(routing)
    }
    addLosses(of: routings, named: prefix == Self.prefix ? "" : prefix + ".", share: 1, in: &g)
    return x
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

  /// - Parameter share: of the losses' weights that these routers have: 1 of all layers.
  private func addLosses(
    of routings: [Routing], named name: String, share: Double, in g: inout GraphBuilder
  ) {
    guard g.mode == .training, !routings.isEmpty else { return }
    g.addTrunkLoss(
      name + "balance", g.balanceLoss(routings), weight: share * settings.balanceLoss)
    g.addTrunkLoss(name + "router-z", g.routerZLoss(routings), weight: share * settings.zLoss)
  }

  // MARK: - Block

  /// Traces a block beside the trunk's; in training also its router's losses, `<name>.balance` and
  /// `<name>.router-z`, weighted as those of one layer of the trunk.
  package func block(_ x: Tensor, named name: String, in g: inout GraphBuilder) -> Tensor {
    let (mixed, routing) = block(x, name, angles, in: &g)
    addLosses(of: [routing], named: name + ".", share: 1 / Double(max(1, size.layers)), in: &g)
    return mixed
  }

  private func block(
    _ x: Tensor, _ name: String, _ angles: RotaryAngles, in g: inout GraphBuilder
  ) -> (Tensor, Routing) {
    let attended = g.rotaryAttention(
      norm(x, name + ".input_layernorm", in: &g), heads: size.heads, angles: angles,
      named: name + ".self_attn", deviation: size.deviation, epsilon: settings.normEpsilon,
      residual: x)
    let y = norm(attended, name + ".post_attention_layernorm", in: &g)
    let routing = g.router(
      y, experts: settings.experts, chosen: settings.topK, normalizes: settings.normalizeTopK,
      named: name + ".mlp.gate", deviation: size.deviation)
    let mixed = g.experts(
      y, routing, hidden: expertWidth, named: name + ".mlp.experts", deviation: size.deviation,
      residual: attended)
    return (mixed, routing)
  }

  private func norm(_ x: Tensor, _ name: String, in g: inout GraphBuilder) -> Tensor {
    g.rmsNorm(x, named: name, epsilon: settings.normEpsilon)
  }
}
