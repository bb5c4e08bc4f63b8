import Models
import Support

/// A trunk as `config.json` of Hugging Face transformers describes it, keys of version 4 and 5 alike. A trunk
/// becomes exchangeable by a file with a conformance and its line in `Architecture.published`.
protocol PublishedTrunk: Trunk {
  /// The name of its class with a head on the next token.
  static var headClass: String { get }
  /// Whether the head is tied where `tie_word_embeddings` is left out.
  static var isUsuallyTied: Bool { get }

  /// The keys that say what the trunk computes, and how it is initialized.
  var published: [String: ConfigValue] { get }

  /// Reads these keys, each left out one as transformers reads it, into the members of a configuration's
  /// `model`: those of `TrunkSize` and of the trunk's own settings.
  ///
  /// - Throws: `UserError` for a value with which transformers would compute something else.
  static func members(_ reader: inout ConfigReader) throws -> [String: ConfigValue]
}

extension Architecture {
  /// The trunk as transformers names it: by this case's raw value.
  var published: any PublishedTrunk.Type {
    switch self {
    case .gpt2: GPT2.self
    case .olmo2: OLMo2.self
    case .olmoe: OLMoE.self
    }
  }

  /// That of a trunk.
  init(of trunk: any Trunk) {
    guard let own = Self.allCases.first(where: { $0.trunk == type(of: trunk) }) else {
      preconditionFailure("a trunk that no configuration names")
    }
    self = own
  }
}

/// Keys of every configuration.
enum PublishedKeys {
  /// Those that change no number of inference, whatever they say.
  static let silent = [
    "_attn_implementation_autoset", "_name_or_path", "_num_labels", "architectures",
    "attention_dropout",
    "attn_pdrop",
    "bos_token_id", "dtype", "embd_pdrop", "eos_token_id", "gradient_checkpointing", "id2label",
    "keys_to_ignore_at_inference", "label2id", "n_ctx", "output_attentions", "output_hidden_states",
    "output_router_logits", "pad_token_id", "resid_pdrop", "return_dict", "router_aux_loss_coef",
    "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
    "summary_use_proj", "task_specific_params", "tokenizer_class", "torch_dtype",
    "transformers_version", "use_cache",
  ]
}

extension ConfigReader {
  /// Takes a key that has to be `value`, or be left out.
  ///
  /// - Throws: `UserError` for another value: transformers would compute something else.
  mutating func fixed(_ key: String, _ value: ConfigValue) throws {
    guard let found = self.value(key), found != value else { return }
    throw fault(
      key, expected: "\(value.summary), which is all that is computed here", found: found.summary,
      remedy: "A model of this kind cannot be imported.")
  }

  /// Takes a key that has to be null, or be left out.
  mutating func absent(_ key: String, _ meaning: String) throws {
    guard let found = value(key) else { return }
    throw fault(
      key, expected: "null: \(meaning) is not computed here", found: found.summary,
      remedy: "A model of this kind cannot be imported.")
  }
}

/// What the OLMo family's configurations have in common.
enum RotaryKeys {
  /// θ where a configuration leaves it out.
  private static let usualTheta = 10_000.0

  /// Version 4 has `rope_theta` and `rope_scaling`, version 5 `rope_parameters`.
  static func published(
    size: TrunkSize, hiddenWidth: Int, ropeTheta: Double, normEpsilon: Double
  ) -> [String: ConfigValue] {
    [
      "hidden_size": .integer(size.width), "num_hidden_layers": .integer(size.layers),
      "num_attention_heads": .integer(size.heads), "num_key_value_heads": .integer(size.heads),
      "max_position_embeddings": .integer(size.context), "intermediate_size": .integer(hiddenWidth),
      "hidden_act": "silu", "rms_norm_eps": .double(normEpsilon), "attention_bias": false,
      "attention_dropout": 0.0, "initializer_range": .double(size.deviation),
      "rope_theta": .double(ropeTheta), "rope_scaling": .null,
      "rope_parameters": ["rope_type": "default", "rope_theta": .double(ropeTheta)],
    ]
  }

  /// Members of a model but for its feed-forward layers.
  static func members(
    _ reader: inout ConfigReader, usualEpsilon: Double, usualContext: Int
  ) throws -> [String: ConfigValue] {
    let width = try reader.int("hidden_size", in: 1...1_000_000)
    let heads = try reader.int("num_attention_heads", in: 1...100_000)
    if let shared = try reader.optionalInt("num_key_value_heads"), shared != heads {
      throw reader.fault(
        "num_key_value_heads", expected: "\(heads), as many as queries", found: "\(shared)",
        remedy: "Grouped-query attention is not computed here: it cannot be imported.")
    }
    if let columns = try reader.optionalInt("head_dim"), columns * heads != width {
      throw reader.fault(
        "head_dim", expected: "hidden_size / num_attention_heads = \(width / heads)",
        found: "\(columns)")
    }
    try reader.fixed("hidden_act", "silu")
    try reader.fixed("attention_bias", false)
    return [
      "layers": .integer(try reader.int("num_hidden_layers", in: 1...1_000)),
      "width": .integer(width), "heads": .integer(heads),
      "context": .integer(
        try reader.int("max_position_embeddings", default: usualContext, in: 1...10_000_000)),
      "deviation": .double(try reader.double("initializer_range", default: 0.02, in: 0...10)),
      "normEpsilon": .double(try reader.double("rms_norm_eps", default: usualEpsilon)),
      "ropeTheta": .double(try theta(&reader)),
    ]
  }

  private static func theta(_ reader: inout ConfigReader) throws -> Double {
    try reader.absent("rope_scaling", "scaling of rotary positions")
    let older = try reader.optionalDouble("rope_theta")
    guard var parameters = try reader.optionalObject("rope_parameters") else {
      return older ?? usualTheta
    }
    try parameters.fixed("rope_type", "default")
    try parameters.fixed("partial_rotary_factor", 1.0)
    let theta = try parameters.double("rope_theta", default: older ?? usualTheta)
    if let older, older != theta {
      throw reader.fault(
        "rope_theta", expected: "\(theta), as rope_parameters says", found: "\(older)",
        remedy: "Keep the one that the model was trained with.")
    }
    return theta
  }
}
