import Models
import Support

/// `OlmoeForCausalLM`. Its files hold the experts one by one, as ours do.
extension OLMoE: PublishedTrunk {
  static var headClass: String { "OlmoeForCausalLM" }
  static var isUsuallyTied: Bool { false }

  /// The weight of the balance loss is ours, which is not transformers'; see docs/SETTINGS.md.
  var published: [String: ConfigValue] {
    RotaryKeys.published(
      size: size, hiddenWidth: expertWidth, ropeTheta: settings.ropeTheta,
      normEpsilon: settings.normEpsilon
    ).merging([
      "num_experts": .integer(settings.experts), "num_experts_per_tok": .integer(settings.topK),
      "norm_topk_prob": .bool(settings.normalizeTopK), "clip_qkv": .null,
      "output_router_logits": false, "router_aux_loss_coef": .double(settings.balanceLoss),
    ]) { $1 }
  }

  static func members(_ reader: inout ConfigReader) throws -> [String: ConfigValue] {
    var members = try RotaryKeys.members(&reader, usualEpsilon: 1e-5, usualContext: 4096)
    try reader.absent("clip_qkv", "clipping of queries, keys and values")
    members["expertWidth"] = .integer(try reader.int("intermediate_size", in: 1...10_000_000))
    members["experts"] = .integer(try reader.int("num_experts", default: 64, in: 1...65_536))
    members["topK"] = .integer(try reader.int("num_experts_per_tok", default: 8, in: 1...65_536))
    members["normalizeTopK"] = .bool(try reader.bool("norm_topk_prob", default: false))
    return members
  }
}
