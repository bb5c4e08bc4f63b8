import Foundation
import Support
import Testing

/// ott-import, and what is done with its runs, from the outside.
@Suite struct ImportCommandTests {
  private let exchange: ExchangeStages

  init() throws { exchange = try ExchangeStages() }

  private var directory: String { exchange.directory }

  /// Exports a run of OLMo 2 into `model`.
  private func exported(_ more: [String: ConfigValue] = [:]) throws -> StageConfiguration.Input {
    let run = try exchange.run(ExchangeStages.model("olmo2", more), name: "run")
    let result = try exchange.export(run, to: "model")
    #expect(result.status == 0, "\(result.all)")
    return run
  }

  /// Replaces members of model/config.json; null removes one.
  private func configure(_ changes: [String: ConfigValue]) throws {
    guard case .object(var members) = try exchange.read(json: "model/config.json") else { return }
    for (key, value) in changes {
      members[key] = value == .string("gone") ? nil : value
    }
    try AtomicFile.write(
      ConfigValue.object(members).prettyJSON, to: directory + "/model/config.json")
  }

  @Test func keysThatChangeNumbersAreRefused() throws {
    _ = try exported()
    let original = try FileBytes.read(directory + "/model/config.json")
    for (changes, message) in [
      (
        ["model_type": "llama"], "model_type: expected gpt2, olmo2, olmoe, overtoken, found 'llama'"
      ),
      (["rope_scaling": ["type": "linear", "factor": 2.0]], "rope_scaling: expected null"),
      (
        ["rope_parameters": ["rope_type": "yarn", "rope_theta": 500000.0]],
        "rope_parameters.rope_type: expected string 'default'"
      ),
      (
        ["rope_parameters": ["rope_type": "default", "rope_theta": 500000.0, "factor": 2.0]],
        "rope_parameters.factor: unknown key"
      ),
      (["rope_theta": 10000.0], "rope_theta: expected 500000.0, as rope_parameters says"),
      (["num_key_value_heads": 1], "num_key_value_heads: expected 2, as many as queries"),
      (["head_dim": 16], "head_dim: expected hidden_size / num_attention_heads = 8"),
      (["hidden_act": "gelu"], "hidden_act: expected string 'silu', which is all"),
      (["attention_bias": true], "attention_bias: expected false"),
      (["quantization_config": ["bits": 4]], "quantization_config: unknown key"),
      (["hidden_size": 17], "model width: expected a multiple of 2 heads, found 17"),
      (["intermediate_size": 64], "mlp.gate_proj.weight: expected shape [64, 16]"),
      (["num_hidden_layers": 3], "model.layers.2"),
      (["num_hidden_layers": 1], "model.layers.1.mlp.down_proj.weight: expected only tensors of"),
      (["vocab_size": 299], "shape [299, 16]"),
      (["tie_word_embeddings": true, "vocab_size": 200], "shape [200, 16]"),
      (["hidden_size": "gone"], "hidden_size: expected an integer"),
    ] as [([String: ConfigValue], String)] {
      try configure(changes)
      let (result, input) = try exchange.imported("model", to: "refused")
      #expect(result.status == 1 && result.errors.contains(message), "\(message): \(result.all)")
      #expect(result.errors.split(separator: "\n").count == 1)
      #expect(!FileBytes.exists(input.path))
      try AtomicFile.write(original, to: directory + "/model/config.json")
    }
    try configure(["attn_magic": 3])
    let (unknown, _) = try exchange.imported("model", to: "refused")
    #expect(unknown.status == 1 && unknown.errors.contains("--ignore"), "\(unknown.all)")
    let (ignored, _) = try exchange.imported("model", to: "ignored", "--ignore", "attn_magic")
    #expect(ignored.status == 0, "\(ignored.all)")
  }

  @Test func damageIsRefused() throws {
    _ = try exported()
    let files = try exchange.content("model")
    let weights = try #require(files["model.safetensors"])
    func restore() throws {
      try FileManager.default.removeItem(atPath: directory + "/model")
      try AtomicFile.makeDirectory(directory + "/model")
      for (name, bytes) in files { try AtomicFile.write(bytes, to: "\(directory)/model/\(name)") }
    }
    let path = directory + "/model/"
    for (message, harm) in [
      ("config.json: expected the configuration of a model", { unlink(path + "config.json") }),
      (
        "model.safetensors: expected it, or model.safetensors.index.json",
        { unlink(path + "model.safetensors") }
      ),
      ("no tokenizer in this directory", { unlink(path + "tokenizer.json") }),
      ("truncated", { truncate(path + "model.safetensors", off_t(weights.count - 1)) }),
    ] as [(String, () -> Int32)] {
      #expect(harm() == 0)
      let (result, _) = try exchange.imported("model", to: "refused")
      #expect(result.status == 1 && result.errors.contains(message), "\(result.all)")
      #expect(result.errors.split(separator: "\n").count == 1)
      try restore()
    }
    // Another form of one tensor, and weights that changed behind the configuration.
    let at = try #require(weights.firstRange(of: Array("\"dtype\":\"F32\"".utf8))).lowerBound
    var other = weights
    other.replaceSubrange((at + 9)..<(at + 12), with: Array("U32".utf8))
    try AtomicFile.write(other, to: path + "model.safetensors")
    let (form, _) = try exchange.imported("model", to: "refused")
    #expect(form.status == 1 && form.errors.contains("of F32, BF16, F16"), "\(form.all)")
    try restore()
    let (good, input) = try exchange.imported("model", to: "good")
    #expect(good.status == 0, "\(good.all)")
    other = weights
    other[other.count - 1] ^= 1
    try AtomicFile.write(other, to: path + "model.safetensors")
    let changed = try Program.run(
      "ott-import",
      ["--config", "\(directory)/config/\(input.id).json", "--output", directory + "/changed"])
    #expect(changed.status == 1 && changed.errors.contains("another model"), "\(changed.all)")
    #expect(!FileBytes.exists(directory + "/changed/index.json"))
  }

  @Test func tokenizersWithFewerTokens() throws {
    _ = try exported()
    let fewer = try exchange.stages.tokenizer(290, name: "fewer")
    let more = try exchange.stages.tokenizer(310, name: "more")
    let (refused, _) = try exchange.imported("model", to: "refused", "--tokenizer", more.path)
    #expect(refused.status == 1 && refused.errors.contains("at most 300 tokens"), "\(refused.all)")
    for (vocabulary, tokens) in [("model", 300), ("tokenizer", 290)] {
      let (result, input) = try exchange.imported(
        "model", to: "of-" + vocabulary, "--tokenizer", fewer.path, "--vocabulary", vocabulary)
      #expect(result.status == 0, "\(result.all)")
      let index = try StageIndex(directory: input.path)
      #expect(index.content["model"]?["labels"] == .integer(tokens))
      #expect(index.content["data"]?["vocabulary"] == 290)
      #expect(try exchange.export(input, to: "out-" + vocabulary).status == 0)
    }
  }

  @Test func tasksAreScored() throws {
    let run = try exported()
    let (imported, back) = try exchange.imported(
      "model", to: "back", "--tokenizer", exchange.tokenizer.path)
    #expect(imported.status == 0, "\(imported.all)")
    let questions = Program.project + "/data/texts/questions.jsonl"
    let file = StageConfiguration.Input(
      id: String(SHA256.hex(of: try FileBytes.read(questions)).prefix(12)), path: questions)
    func scores(_ run: StageConfiguration.Input, _ name: String) throws -> ConfigValue? {
      let (result, output) = try exchange.stages.run(
        "downstream",
        [
          "tasks": [["name": "questions", "metric": "acc"]], "questions": 0, "seed": 0,
          "onlyLast": true,
        ], ["run": run, "tokenizer": exchange.tokenizer, "questions": file], name: name)
      #expect(result.status == 0, "\(result.all)")
      guard
        case .array(let snapshots)? = try StageIndex(directory: output.path).metadata["snapshots"]
      else { return nil }
      return snapshots.last?["tasks"]
    }
    let ours = try scores(back, "ours")
    #expect(try ours != nil && ours == scores(run, "theirs"))
  }

  // MARK: - Going on

  /// Training that begins with an imported model: with tables of zeros exactly as it was, and with the same
  /// bytes for any threads and after a stop.
  @Test func goesOnOverEncoded() throws {
    _ = try exported()
    let (imported, begun) = try exchange.imported(
      "model", to: "begun", "--tokenizer", exchange.tokenizer.path)
    #expect(imported.status == 0, "\(imported.all)")
    let zeros: ConfigValue = [
      "order": 2, "slices": 1, "rows": 97, "moduli": "coprime", "deviation": 0.0,
      "reduction": "sum",
    ]
    let inputs = ["data": exchange.map, "initial": begun]
    let parameters = ExchangeStages.training(
      ExchangeStages.model("olmo2", ["overEncoding": zeros]), initial: true)
    var bytes: [[String: [UInt8]]] = []
    for threads in [1, 2, 4] {
      let (result, _) = try exchange.stages.run(
        "train", parameters, inputs, name: "on\(threads)", threads: threads)
      #expect(result.status == 0, "\(result.all)")
      bytes.append(try exchange.content("on\(threads)").filter { $0.key != "evidence.json" })
    }
    #expect(bytes[0] == bytes[1] && bytes[0] == bytes[2])
    let config = "\(directory)/train-on1.json"
    let stopped = directory + "/stopped"
    for stop in [["--stop-after", "4"], []] {
      let result = try Program.run(
        "ott-train", ["--config", config, "--output", stopped, "--quiet"] + stop)
      #expect(result.status == 0, "\(result.all)")
    }
    #expect(try exchange.content("stopped").filter { $0.key != "evidence.json" } == bytes[0])
    // The first snapshot is the imported model; the last is another.
    let run = StageConfiguration.Input(
      id: try StageIndex(directory: directory + "/on1").id, path: directory + "/on1")
    let scores = try exchange.scores(of: run, name: "scores")
    let whole = try exchange.scores(of: begun, name: "whole")
    #expect(scores.count == 3 && whole.count == 1 && whole[0] != nil)
    #expect(scores[0] == whole[0] && scores[2] != whole[0])
  }

  @Test func weightsThatDoNotFitAreRefused() throws {
    let run = try exported()
    let tokenizer = try exchange.stages.tokenizer(280, name: "other")
    let tokens = try exchange.stages.tokens(tokenizer, name: "other-tokens")
    let map = try exchange.stages.run(
      "map", ["kind": "text", "content": "ngramIDs", "order": 2, "documentsPerShard": 20],
      ["tokens": tokens, "tokenizer": tokenizer], name: "other-map"
    ).input
    let over = try exchange.run(
      ExchangeStages.model("olmo2", ["overEncoding": ExchangeStages.encoding]), name: "over")
    for (model, inputs, message) in [
      (
        ExchangeStages.model("olmo2", ["ropeTheta": 1.0]), ["data": exchange.map, "initial": run],
        "expected the trunk of the run that begins with it"
      ),
      (
        ExchangeStages.model("gpt2"), ["data": exchange.map, "initial": run],
        "expected the trunk of the run that begins with it"
      ),
      (
        ExchangeStages.model("olmo2", ["tied": true]), ["data": exchange.map, "initial": run],
        "tensor lm_head.weight: expected only tensors of the model that is trained"
      ),
      (
        ExchangeStages.model("olmo2"), ["data": exchange.map, "initial": over],
        "found one that would be lost"
      ),
      (ExchangeStages.model("olmo2"), ["data": map, "initial": run], "data.tokenizer: expected"),
      (
        ExchangeStages.model("olmo2"), ["data": exchange.map, "begin": run],
        "inputs: expected 'data', a map set, and at most 'initial'"
      ),
      (
        ExchangeStages.model("olmo2"),
        ["data": exchange.map, "initial": .init(id: over.id, path: run.path)],
        "index.json: id: expected \(over.id)"
      ),
    ] as [(ConfigValue, [String: StageConfiguration.Input], String)] {
      let (result, _) = try exchange.stages.run(
        "train", ExchangeStages.training(model), inputs, name: "refused")
      #expect(result.status == 1 && result.errors.contains(message), "\(message): \(result.all)")
      #expect(result.errors.split(separator: "\n").count == 1)
    }
    // Another context is no other model where positions turn.
    let (longer, _) = try exchange.stages.run(
      "train", ExchangeStages.training(ExchangeStages.model("olmo2", ["context": 16])),
      ["data": exchange.map, "initial": run], name: "longer")
    #expect(longer.status == 0, "\(longer.all)")
  }
}
