import Checkpoints
import Contracts
import Models
import NGrams
import Parallel
import Shards
import Support

/// A finished training run over text: the input `run` of stages that score it.
struct TextRun {
  let index: TrainingRunIndex
  /// What the run's training data say of their text.
  let text: TextMap
  let model: ModelConfiguration

  /// - Parameter remedy: what to do with a run over anything else.
  /// - Throws: `UserError` when the run is missing, unfinished, another than its id says, or not over
  ///   text.
  init(_ configuration: StageConfiguration, remedy: String) throws {
    let input = try configuration.input("run")
    let source = "\(input.path)/\(StageIndex.fileName)"
    index = try TrainingRunIndex(directory: input.path)
    guard index.id == input.id else {
      throw UserError(
        "\(source): id", expected: input.id, found: index.id,
        remedy: StageIndex.remedy(input.path))
    }
    guard let text = try TextMap(index.data, source: source) else {
      throw UserError(
        "\(source): data", expected: "a run on byte-pair tokens", found: "another",
        remedy: remedy)
    }
    self.text = text
    var reader = try ConfigReader(index.model, source: source, path: "model")
    model = try ModelConfiguration(reader: &reader)
    try reader.finish()
  }

  /// The f-grams that the run's training data were matched with, of input `fgrams`; nil for models without.
  ///
  /// - Throws: `UserError` when the input is missing or another set, or there for a model without.
  func fGrams(_ configuration: StageConfiguration, threads: Int) throws -> FGramSet? {
    guard model.fGrams != nil else {
      guard configuration.inputs["fgrams"] == nil else {
        throw UserError(
          "\(configuration.source): inputs.fgrams",
          expected: "no such input: the run has no f-grams",
          found: "one", remedy: "Delete it.")
      }
      return nil
    }
    let input = try configuration.input("fgrams")
    guard case .matches(let longest, let size, let id, _) = text.columns, input.id == id else {
      throw UserError(
        "\(configuration.source): inputs.fgrams", expected: "\(text.columns), the run's",
        found: input.id, remedy: "Name the f-grams that the run's data were mapped with.")
    }
    return try DiscoveredGrams(ShardSet(input: input)).load(
      longest: longest, size: size, pool: WorkerPool(threads: threads))
  }

  /// What the index of every stage that scores the run says of it.
  var members: [String: ConfigValue] {
    [
      "kind": .string(DataKind.text.rawValue), "model": index.model,
      "parameters": .integer(index.parameterCount), "seed": .integer(index.seed),
      "steps": .integer(index.steps), "context": .integer(model.context),
    ]
  }
}

extension TrainingRunIndex.Snapshot {
  /// Where in the run it was taken, and `scores` under their name.
  func members(_ name: String, _ scores: [(name: String, value: ConfigValue)]) -> ConfigValue {
    [
      "step": .integer(step), DataKind.text.sequences: .integer(sequences), "rows": .integer(rows),
      DataKind.text.symbols: .integer(symbols),
      name: .object(Dictionary(uniqueKeysWithValues: scores)),
    ]
  }
}
