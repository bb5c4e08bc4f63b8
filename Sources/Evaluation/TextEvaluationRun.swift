import Checkpoints
import Models
import NGrams
import Shards
import Support

/// The parameters of the stage "evaluate" with kind text, checked for themselves.
package struct TextEvaluationParameters: Sendable, Equatable {
  /// Rows by which a window begins behind the one before; see `TextWindow`.
  package let stride: Int
  /// Rows of one pass through the model. Part of the identity: last bits may depend on it.
  package let batchPositions: Int
  /// Rows of each set that are scored, the first ones, at snapshots before the last and at the last;
  /// nil for all. With 0 only the last snapshot is scored.
  package let positions, finalPositions: Int?

  /// `kind` has been read from `reader`, the reader of the configuration's parameters.
  package init(reader: inout ConfigReader) throws {
    stride = try reader.int("stride", in: 1...10_000_000)
    batchPositions = try reader.int("batchPositions", default: 4096, in: 1...1 << 24)
    positions = try reader.optionalInt("positions", in: 0...Int.max)
    finalPositions = try reader.optionalInt("finalPositions", in: 1...Int.max)
    try reader.finish()
  }
}

/// The scores of one snapshot on each set.
package struct TextSnapshotScores: Sendable {
  package let snapshot: TrainingRunIndex.Snapshot
  /// In the order of the sets.
  package let sets: [(name: String, scores: TextScores)]
}

/// Scores the weight snapshots of a training run over text on map sets: loss, perplexity, bits per byte.
///
/// Inputs: `run`, and under any other name a map set over tokens of the run's tokenizer. Results depend
/// on configuration and weights, not on threads.
package struct TextEvaluationRun {
  package let parameters: TextEvaluationParameters
  package let run: TrainingRunIndex
  package let sets: [TextSet]
  private let configuration: StageConfiguration
  private let model: ModelConfiguration

  /// Opens and checks the run and the sets.
  ///
  /// - Parameter reader: of the configuration's parameters; `kind` has been read.
  /// - Throws: `UserError` when a parameter is wrong, an input is missing or another than its id says,
  ///   the run was not trained on text, or a set does not fit it.
  package init(
    _ configuration: StageConfiguration, reader: inout ConfigReader, threads: Int
  ) throws {
    self.configuration = configuration
    parameters = try TextEvaluationParameters(reader: &reader)
    let input = try configuration.input("run")
    let source = "\(input.path)/\(StageIndex.fileName)"
    run = try TrainingRunIndex(directory: input.path)
    guard run.id == input.id else {
      throw UserError(
        "\(source): id", expected: input.id, found: run.id, remedy: StageIndex.remedy(input.path))
    }
    guard let text = try TextMap(run.data, source: source) else {
      throw UserError(
        "\(source): data", expected: "a run on byte-pair tokens", found: "another",
        remedy: "Evaluate a run on a grammar's sentences without parameters.kind.")
    }
    var modelReader = try ConfigReader(run.model, source: source, path: "model")
    model = try ModelConfiguration(reader: &modelReader)
    try modelReader.finish()
    guard parameters.stride <= model.context else {
      throw UserError(
        "\(configuration.source): parameters.stride",
        expected: "at most \(model.context), the context of the model",
        found: "\(parameters.stride)")
    }
    let names = configuration.inputs.keys.filter { $0 != "run" }.sorted()
    guard !names.isEmpty else {
      throw UserError(
        "\(configuration.source): inputs", expected: "a map set beside 'run'", found: "none",
        remedy: "Add the map set of held-out text as input 'heldout'.")
    }
    if let name = names.first(where: { $0.contains { !Self.isPlain($0) } }) {
      throw UserError(
        "\(configuration.source): inputs", expected: "names of letters, digits, - and _",
        found: "'\(name)'")
    }
    let layout = model.overEncoding?.layout
    sets = try names.map {
      try TextSet(
        name: $0, configuration.input($0), text: text, layout: layout, threads: threads)
    }
  }

  private static func isPlain(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber || "-_".contains(character))
  }

  /// Scores the snapshots, writes the shards and last the index into `output`.
  ///
  /// - Parameter progress: called after each snapshot that was scored.
  package func write(
    to output: String, threads: Int, progress: (TextSnapshotScores) -> Void
  ) throws -> [TextSnapshotScores] {
    let engineModel = EngineModel(model)
    let engine = engineModel.scoringEngine(
      rows: max(parameters.batchPositions, model.context), threads: threads)
    var scores: [TextSnapshotScores] = []
    for snapshot in run.snapshots {
      let isLast = snapshot.step == run.steps
      let positions = isLast ? parameters.finalPositions : parameters.positions
      if positions == 0 { continue }
      try Interruption.check()
      try run.verify(snapshot)
      try engineModel.load(run.path(of: snapshot))
      let found = try sets.map { set in
        let windows = set.windows(
          context: model.context, stride: parameters.stride, positions: positions)
        let logQ = try set.logQ(
          windows, engine: engine, batchPositions: parameters.batchPositions,
          lanesAtATime: 4 * threads, check: Interruption.check)
        return (set.name, set.scores(windows, logQ: logQ))
      }
      scores.append(TextSnapshotScores(snapshot: snapshot, sets: found))
      progress(scores[scores.count - 1])
    }
    var files = ScoreSets(output: output, configuration: configuration)
    for (i, set) in sets.enumerated() {
      try files.write(
        "scores-\(set.name)", .f64, ["document", "tokens", "bytes", "nats"].map { Column($0) }
      ) { sink in
        for score in scores {
          let documents = score.sets[i].scores.documents
          try sink.append(
            document: documents.map { Double($0.document) } + documents.map { Double($0.tokens) }
              + documents.map { Double($0.bytes) } + documents.map(\.nats))
        }
      }
    }
    try files.finish(metadata: metadata(scores))
    return scores
  }

  private func metadata(_ scores: [TextSnapshotScores]) -> ConfigValue {
    [
      "kind": "text", "model": run.model, "parameters": .integer(run.parameterCount),
      "seed": .integer(run.seed), "steps": .integer(run.steps),
      "context": .integer(model.context), "stride": .integer(parameters.stride),
      "sets": .array(sets.map { .string($0.name) }),
      "snapshots": .array(
        scores.map { score in
          [
            "step": .integer(score.snapshot.step), "sentences": .integer(score.snapshot.sentences),
            "rows": .integer(score.snapshot.rows), "bytes": .integer(score.snapshot.characters),
            "sets": .object(
              Dictionary(uniqueKeysWithValues: score.sets.map { ($0.name, $0.scores.value) })),
          ]
        }),
    ]
  }
}
