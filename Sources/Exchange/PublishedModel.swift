import Checkpoints
import Models
import NGrams
import Support

/// How a model of ours stands in a Hugging Face directory: as a class of transformers', or, where none of
/// them computes it, by `modeling_overtoken.py`, which adds its input to one.
struct PublishedModel {
  /// `model_type` of a directory with a modelling file of ours.
  static let ownType = "overtoken"
  /// The key of its `config.json` under which the model stands as we read it.
  static let ownKey = "overtoken"
  /// That of the f-grams.
  static let fGramsKey = "fgrams"
  private static let ownClass = "OvertokenForCausalLM"
  private static let module = "modeling_overtoken"
  static let moduleFile = module + ".py"

  let model: ModelConfiguration
  /// The object that `model` was read from.
  private let value: ConfigValue
  private let trunk: any PublishedTrunk
  private let isTied: Bool
  /// Rows of n-grams that a modelling file has to look up; none for a class of transformers'.
  private let tables: [PublishedTable]
  private let fGrams: RunFGrams?

  /// - Parameters:
  ///   - value: the object that `model` was read from.
  ///   - rows: how tokens become the rows that it reads.
  ///   - fGrams: of a model that has them.
  /// - Throws: `UserError` for a model that cannot be exported, which says what can.
  init(
    _ model: ModelConfiguration, value: ConfigValue, rows: TokenRows, fGrams: RunFGrams?,
    source: String
  ) throws {
    guard let trunk = model.trunk as? any PublishedTrunk else {
      preconditionFailure("a trunk that is not published")
    }
    guard rows.labelTokens == 1 else {
      throw UserError(
        "\(source): model", expected: "labels of one token",
        found: "labels of \(rows.labelTokens) tokens (map.outputOrder)",
        remedy: "generate() reads one token a label: such a model cannot be exported.")
    }
    if model.fGrams != nil && model.overEncoding != nil {
      throw UserError(
        "\(source): model",
        expected: "f-grams or tables of n-grams, which a directory has a form for",
        found: "both")
    }
    (self.model, self.value, self.trunk, self.fGrams) = (model, value, trunk, fGrams)
    isTied = model.outputs[0].isTied
    tables = model.isStock ? [] : rows.published(width: model.width)
  }

  /// Whether transformers loads it without code of ours.
  var isStock: Bool { model.isStock }

  /// The name of the class that loads it.
  var headClass: String { isStock ? type(of: trunk).headClass : Self.ownClass }

  // MARK: - config.json

  /// - Parameters:
  ///   - begin, end: ids of the tokens before and behind a document, where there are any.
  func configuration(begin: Int?, end: Int?) -> ConfigValue {
    let type = Architecture(of: model.trunk).rawValue
    var members: [String: ConfigValue] = [
      "architectures": [.string(headClass)],
      "model_type": .string(isStock ? type : Self.ownType),
      "vocab_size": .integer(model.labels), "tie_word_embeddings": .bool(isStock && isTied),
      "bos_token_id": Self.number(begin), "eos_token_id": Self.number(end), "pad_token_id": .null,
      "dtype": "float32", "torch_dtype": "float32", "use_cache": true,
    ]
    guard !isStock else { return .object(members.merging(trunk.published) { $1 }) }
    let inner: [String: ConfigValue] = [
      "model_type": .string(type), "vocab_size": .integer(model.labels),
      "tie_word_embeddings": false, "bos_token_id": .null, "eos_token_id": .null,
      "pad_token_id": .null,
    ]
    let encoding = model.overEncoding
    members.merge([
      "auto_map": [
        "AutoConfig": .string(Self.module + ".OvertokenConfig"),
        "AutoModelForCausalLM": .string("\(Self.module).\(Self.ownClass)"),
      ],
      "hidden_size": .integer(model.width), "num_hidden_layers": .integer(model.layers),
      "num_attention_heads": .integer(model.heads),
      "max_position_embeddings": .integer(model.context),
      "trunk": .object(inner.merging(trunk.published) { $1 }),
      "trunk_name": .string(Swift.type(of: model.trunk).prefix),
      "token_table": .string(Swift.type(of: model.trunk).tokenTable),
      "tied_head": .bool(isTied), "reads_tokens": .bool(encoding?.token ?? false),
      "tables": .array(tables.map(\.value)), "projected": .bool(encoding != nil),
      "normalized": .bool(encoding?.normalization == .rms),
      "table_scale": .double(encoding?.tableScale ?? 1), "scale": .double(encoding?.scale ?? 1),
      Self.ownKey: value,
    ]) { $1 }
    if let fGrams { members[Self.fGramsKey] = .object(self.members(of: fGrams, inner)) }
    return .object(members)
  }

  /// The f-gram model, and its f-grams.
  private func members(
    of fGrams: RunFGrams, _ inner: [String: ConfigValue]
  ) -> [String: ConfigValue] {
    guard let input = model.fGrams, let trunk = input.model as? any PublishedTrunk else {
      preconditionFailure("f-grams without a model")
    }
    return fGrams.source.members.merging([
      "trunk": .object(inner.merging(trunk.published) { $1 }),
      "positions": .bool(input.ownPositions), "normalized": .bool(input.output != .none),
      "counts": .array(
        (2...fGrams.set.longest).map { .integer(fGrams.set.ids(ofLength: $0).count) }),
    ]) { $1 }
  }

  /// What the directory's weights hold beside the model's own.
  var furtherTensors: [SafeTensors.Tensor] { fGrams?.tensors ?? [] }

  /// `generation_config.json`: greedy.
  ///
  /// - Parameter ends: tokens behind which nothing is generated, the usual one first.
  func generation(begin: Int?, ends: [Int]) -> ConfigValue {
    [
      "bos_token_id": Self.number(begin), "pad_token_id": Self.number(ends.first),
      "eos_token_id": ends.count > 1
        ? .array(ends.map(ConfigValue.integer)) : Self.number(ends.first),
      "do_sample": false,
    ]
  }

  private static func number(_ id: Int?) -> ConfigValue { id.map(ConfigValue.integer) ?? .null }
}

extension ModelConfiguration {
  /// Whether the embedding is one row of one table, and its tokens are the labels.
  fileprivate var isStock: Bool {
    input is TableSum && inputs.count == 1 && inputs[0].order == 1 && inputs[0].rows == labels
  }
}

/// A table of rows of n-grams as `modeling_overtoken.py` looks them up:
///
///     row_t = ((Σ_{j < order} x_{t−j} radixʲ) mod modulus) + bias[min(t, order)]
///
/// with x = 0 before the start of the document.
struct PublishedTable: Equatable {
  /// Below the name of the trunk.
  let name: String
  let order, radix, rows, width: Int
  /// Nil where ids are exact.
  let modulus: Int?
  /// (order + 1), or empty for zeros.
  let bias: [Int]

  var value: ConfigValue {
    [
      "name": .string(name), "order": .integer(order), "radix": .integer(radix),
      "rows": .integer(rows), "width": .integer(width),
      "modulus": modulus.map(ConfigValue.integer) ?? .null,
      "bias": .array(bias.map(ConfigValue.integer)),
    ]
  }
}
