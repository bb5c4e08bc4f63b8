import Checkpoints
import Contracts
import Models
import NGrams
import Parallel
import Shards
import Stores
import Support

/// The scores of one snapshot on each set.
package struct TextSnapshotScores: Sendable {
  package let snapshot: TrainingRunIndex.Snapshot
  /// In the order of the sets.
  package let sets: [(name: String, scores: TextScores)]
}

/// Scores the weight snapshots of a training run over text on map sets: loss, perplexity, bits per byte.
///
/// Inputs: `run`, where the rows of its f-grams are to come from a store that one, `store`, and under any
/// other name a map set over tokens of the run's tokenizer. Results depend on configuration and weights, not
/// on threads.
package struct TextEvaluationRun {
  package let parameters: TextEvaluateParameters
  package var run: TrainingRunIndex { trained.index }
  package let sets: [TextSet]
  private let configuration: StageConfiguration
  private let trained: TextRun
  private let store: FGramStore?
  private var model: ModelConfiguration { trained.model }

  /// Opens and checks the run and the sets.
  ///
  /// - Throws: `UserError` when a parameter is wrong, an input is missing or another than its id says,
  ///   the run was not trained on text, or a set does not fit it.
  package init(
    _ configuration: StageConfiguration, _ parameters: TextEvaluateParameters, threads: Int
  ) throws {
    self.configuration = configuration
    self.parameters = parameters
    trained = try TextRun(
      configuration,
      remedy: "Evaluate a run on a grammar's sentences with kind \(DataKind.grammar.rawValue).")
    let model = trained.model
    guard parameters.stride <= model.context else {
      throw UserError(
        "\(configuration.source): parameters.stride",
        expected: "at most \(model.context), the context of the model",
        found: "\(parameters.stride)")
    }
    store = try Self.store(of: configuration, trained, parameters)
    sets = try TextSet.all(
      of: configuration, beside: "run", "store", text: trained.text,
      columns: model.input.textColumns, threads: threads)
  }

  /// - Throws: `UserError` for rows of another model, or of one snapshot where several are scored.
  private static func store(
    of configuration: StageConfiguration, _ trained: TextRun, _ parameters: TextEvaluateParameters
  ) throws -> FGramStore? {
    guard let input = configuration.inputs["store"] else { return nil }
    let snapshots = parameters.onlyLast ? 1 : trained.index.snapshots.count
    guard snapshots == 1 else {
      throw UserError(
        "\(configuration.source): inputs.store",
        expected: "parameters.onlyLast: a store is of the last snapshot",
        found: "\(snapshots) snapshots to score", remedy: "Set onlyLast, or delete the input.")
    }
    if let device = parameters.device {
      throw UserError(
        "\(configuration.source): parameters.device", expected: "no device with an input store",
        found: device.rawValue, remedy: "Delete one of them.")
    }
    let index = try StageIndex(of: .materialize, input: input)
    return try FGramStore(directory: index.directory, placement: .disk, model: trained.index.id)
  }

  /// Scores the snapshots, writes the shards and last the index into `output`.
  ///
  /// - Parameters:
  ///   - ranks: those that share the lanes, each with its threads; rank 0 alone writes.
  ///   - progress: called after each snapshot that was scored, by rank 0.
  /// - Returns: the scores on rank 0.
  package func write(
    to output: String, threads: Int, ranks: any Communicator = LocalCommunicator(),
    progress: (TextSnapshotScores) -> Void
  ) throws -> [TextSnapshotScores] {
    try parameters.device?.require(oneOf: ranks, configuration.source)
    let laneCapacity = max(parameters.batchPositions, model.context)
    let (weights, scoring) = try scorer(laneCapacity: laneCapacity, threads: threads)
    var scores: [TextSnapshotScores] = []
    for snapshot in run.snapshots {
      let isLast = snapshot.step == run.steps
      if parameters.onlyLast && !isLast { continue }
      let positions = isLast ? parameters.finalPositions : parameters.positions
      try Interruption.check()
      try run.verify(snapshot)
      try weights.load(run.path(of: snapshot))
      let engine = try scoring()
      let found = try sets.compactMap { set -> (String, TextScores)? in
        let windows = try set.windows(
          context: model.context, stride: parameters.stride, positions: positions)
        let logQ = try set.logQ(
          windows, engine: engine, batchPositions: parameters.batchPositions,
          lanesAtATime: 4 * threads, ranks: ranks, check: Interruption.check)
        return logQ.map { (set.name, set.scores(windows, logQ: $0)) }
      }
      guard ranks.decides else { continue }
      scores.append(TextSnapshotScores(snapshot: snapshot, sets: found))
      progress(scores[scores.count - 1])
    }
    guard ranks.decides else { return [] }
    var files = ScoreSets(output: output, configuration: configuration)
    for (i, set) in sets.enumerated() {
      try files.write(scores.map { $0.sets[i].scores }, of: set)
    }
    try files.finish(metadata: metadata(scores))
    return scores
  }

  /// What takes the weights of a snapshot, and what scores lanes with them.
  private func scorer(
    laneCapacity: Int, threads: Int
  ) throws -> (weights: any SnapshotModel, engine: () throws -> any LaneScoring) {
    if let device = parameters.device {
      let model = try DeviceModel(model, on: device)
      let engine = try model.scoringEngine(rows: laneCapacity)
      return (model, { engine })
    }
    let model = EngineModel(model)
    guard let store else {
      let engine = model.scoringEngine(rows: laneCapacity, threads: threads)
      return (model, { engine })
    }
    return (
      model,
      {
        StoredScoring(
          model, store: store, laneCapacity: laneCapacity, lanes: 4 * threads, threads: threads)
      }
    )
  }

  private func metadata(_ scores: [TextSnapshotScores]) -> ConfigValue {
    .object(
      trained.members.merging([
        "stride": .integer(parameters.stride), "sets": .array(sets.map { .string($0.name) }),
        "snapshots": .array(
          scores.map { score in
            score.snapshot.members("sets", score.sets.map { ($0.name, $0.scores.value) })
          }),
      ]) { $1 })
  }
}
