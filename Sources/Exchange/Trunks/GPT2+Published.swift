import Models
import Support

/// `GPT2LMHeadModel`.
extension GPT2: PublishedTrunk {
  static var headClass: String { "GPT2LMHeadModel" }
  static var isUsuallyTied: Bool { true }

  /// Of the layer norms.
  private static let epsilon = 1e-5

  var published: [String: ConfigValue] {
    [
      "n_embd": .integer(size.width), "n_layer": .integer(size.layers),
      "n_head": .integer(size.heads), "n_positions": .integer(size.context),
      "n_ctx": .integer(size.context), "n_inner": .integer(4 * size.width),
      "activation_function": "gelu_new", "layer_norm_epsilon": .double(Self.epsilon),
      "scale_attn_weights": true, "scale_attn_by_inverse_layer_idx": false,
      "reorder_and_upcast_attn": false, "add_cross_attention": false, "attn_pdrop": 0.0,
      "embd_pdrop": 0.0, "resid_pdrop": 0.0, "initializer_range": .double(size.deviation),
    ]
  }

  static func members(_ reader: inout ConfigReader) throws -> [String: ConfigValue] {
    let width = try reader.int("n_embd", default: 768, in: 1...1_000_000)
    try reader.fixed("n_inner", .integer(4 * width))
    try reader.fixed("layer_norm_epsilon", .double(epsilon))
    try reader.fixed("scale_attn_weights", true)
    for key in [
      "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention",
    ] { try reader.fixed(key, false) }
    let activations = ["gelu_new", "gelu_pytorch_tanh"]
    let activation = try reader.string("activation_function", default: "gelu_new")
    guard activations.contains(activation) else {
      throw reader.fault(
        "activation_function", expected: activations.joined(separator: " or "), found: activation,
        remedy: "A model of this kind cannot be imported.")
    }
    return [
      "layers": .integer(try reader.int("n_layer", default: 12, in: 1...1_000)),
      "width": .integer(width),
      "heads": .integer(try reader.int("n_head", default: 12, in: 1...100_000)),
      "context": .integer(try reader.int("n_positions", default: 1024, in: 1...10_000_000)),
      "deviation": .double(try reader.double("initializer_range", default: 0.02, in: 0...10)),
    ]
  }
}
