import Checkpoints
import Contracts
import Models
import NGrams
import Support
import Tokenization

/// The stage "import": a Hugging Face directory becomes a run of no steps.
///
/// Inputs: `model`, the directory, whose id digests every file of it that is read, and `tokenizer`, whose
/// tokens it reads: the directory itself, or any other with as many tokens. Files of the output:
///
///     weights-0.safetensors  the weights as a snapshot, float32: widened from bfloat16 and float16
///     index.json             written last: as that of a training run
///
/// So whatever scores a run scores the model, and stage train goes on from it by its input `initial`.
package enum ImportStage {
  static let weightsName = "weights-0.safetensors"

  /// The configuration of an import.
  package static func configuration(
    model directory: String, tokenizer: String?, parameters: ImportParameters
  ) throws -> StageConfiguration {
    let model = try ModelDirectory(directory)
    // What is wrong with it is said at once.
    _ = try ImportedModel(model, ignoring: parameters.ignoredKeys)
    return parameters.configuration(inputs: [
      "model": .init(id: try model.id(), path: directory),
      "tokenizer": try BytePairModel.input(path: tokenizer ?? directory).input,
    ])
  }

  /// Runs the stage; says what was imported.
  ///
  /// - Throws: `UserError` for inputs that are missing or others than their ids say, and as `ImportedModel`.
  package static func run(
    _ configuration: StageConfiguration, output: String
  ) throws -> StageSummary {
    let parameters = try ImportParameters(configuration)
    let input = try configuration.input("model")
    let directory = try ModelDirectory(input.path)
    let found = try directory.id()
    guard found == input.id else {
      throw UserError(
        "\(input.path): another model than the configuration's", expected: "digest \(input.id)",
        found: found, remedy: "Write the configuration anew: ott-import configure.")
    }
    let imported = try ImportedModel(directory, ignoring: parameters.ignoredKeys)
    let tokenizer = try configuration.input("tokenizer")
    let tokens = try BytePairModel.load(input: tokenizer)
    let (value, model) = try fitted(imported, tokens.vocabularySize, parameters, directory.path)
    try Interruption.check()
    let digest = try imported.writeWeights(
      of: model,
      metadata: ["format": "overtoken weights", "id": configuration.id, "step": "0"],
      to: "\(output)/\(weightsName)")
    let snapshot = TrainingRunIndex.Snapshot(
      step: 0, file: weightsName, sha256: digest, kind: .text, sequences: 0, rows: 0, symbols: 0)
    try StageIndex.write(
      to: output, configuration: configuration,
      content: [
        "model": value, "parameterCount": .integer(model.parameterCount),
        "data": data(imported, tokens, tokenizer: tokenizer.id, directory),
        "steps": 0, DataKind.text.sequences: 0, "rows": 0, DataKind.text.symbols: 0, "seed": 0,
        "dataSeed": 0, "snapshots": [snapshot.value],
      ])
    return StageSummary(
      "imported \(model.parameterCount) parameters of \(directory.path)",
      amounts: ["parameters": model.parameterCount])
  }

  /// The model with as many tokens as `parameters` say.
  private static func fitted(
    _ imported: ImportedModel, _ tokens: Int, _ parameters: ImportParameters, _ path: String
  ) throws -> (ConfigValue, ModelConfiguration) {
    guard tokens <= imported.model.labels else {
      throw UserError(
        "\(path): tokenizer",
        expected: "at most \(imported.model.labels) tokens, as the model knows",
        found: "\(tokens)", remedy: "Name the model's own by --tokenizer.")
    }
    guard parameters.vocabulary == .tokenizer, tokens < imported.model.labels else {
      return (imported.value, imported.model)
    }
    guard imported.model.overEncoding == nil, imported.model.fGrams == nil,
      case .object(var members) = imported.value
    else {
      throw UserError(
        "\(path): vocabulary",
        expected: "'\(ImportParameters.Vocabulary.model.rawValue)' of a model with n-grams",
        found: "'\(parameters.vocabulary.rawValue)'",
        remedy: "Its tables are made for \(imported.model.labels) tokens.")
    }
    members["inputs"] = [["order": 1, "rows": .integer(tokens)]]
    members["labels"] = .integer(tokens)
    var reader = try ConfigReader(.object(members), source: path)
    return (.object(members), try ModelConfiguration(reader: &reader))
  }

  /// What a map set over the model's text says of it.
  private static func data(
    _ imported: ImportedModel, _ tokens: BytePairModel, tokenizer: String,
    _ directory: ModelDirectory
  ) -> ConfigValue {
    var members: [String: ConfigValue] = [
      "kind": .string(DataKind.text.rawValue), "vocabulary": .integer(tokens.vocabularySize),
      "tokenizer": .string(tokenizer),
      "labelBytes": .array(tokens.textBytes.map(ConfigValue.integer)),
    ]
    members.merge(
      imported.fGrams?.columns
        ?? ["content": .string(TextMap.Content.ngramIDs.rawValue), "order": 2]
    ) { $1 }
    // A model may name several, of which none is the one behind a document.
    if case .integer(let end)? = directory.configuration["eos_token_id"],
      end < tokens.vocabularySize,
      end >= 0
    {
      members["endOfText"] = .integer(end)
    }
    return .object(members)
  }
}
