import Checkpoints
import Contracts
import Grammar
import Models
import Parallel
import Statistics
import Support

/// All scores of one snapshot.
package struct SnapshotScores: Sendable {
  package let snapshot: TrainingRunIndex.Snapshot
  package let heldOut: HeldOutScores
  /// Of generation as the model's output says: for a joint output by drawing n-grams.
  package let accuracy: Accuracy
  /// Of generation from the marginal of the first symbol; joint outputs, last snapshot only.
  package let marginalAccuracy: Accuracy?
  /// On strings not trained on; of the last snapshot, where the training stream is an input.
  package let unseen: UnseenScores?
  /// Of generation in which further heads propose tokens.
  package let drafts: DraftCounts?
}

/// Evaluates every weight snapshot of one training run against its grammar.
///
/// A sample counts as right when the model ended it with EOS within the limits and its symbols are a
/// sentence of the grammar. It is wrong when no EOS came within `maxLength` symbols or the model's
/// context, when the model said BOS, or when the string is not in the language; grams of an n-gram
/// tokenizer are strung together, wherever they stand.
///
/// Results depend on configuration and weights, not on threads: a generated sentence is the same in
/// any company, and sentences are scored in groups of fixed composition.
package struct EvaluationRun {
  package let parameters: GrammarEvaluateParameters
  package let run: TrainingRunIndex
  package let variant: Variant
  private let configuration: StageConfiguration
  private let grammar: Grammar
  private let heldout: HeldOutSet
  private let trained: TrainingStream?
  private let modelConfiguration: ModelConfiguration

  /// Positions of held-out sentences that are scored in one pass.
  private static let positionsPerGroup = 1024

  /// Opens and checks grammar, run and held-out sentences.
  ///
  /// - Throws: `UserError` when a digest or id differs, when run or held-out sentences belong to another
  ///   grammar or each other's model, or when there are too few sentences.
  package init(
    _ configuration: StageConfiguration, _ parameters: GrammarEvaluateParameters
  ) throws {
    self.configuration = configuration
    self.parameters = parameters
    let bytes = try FileBytes.read(parameters.grammar)
    let digest = SHA256.hex(of: bytes)
    guard digest == parameters.grammarDigest else {
      throw UserError(
        "\(parameters.grammar): the grammar is not the one that was planned",
        expected: "SHA-256 \(parameters.grammarDigest)", found: digest,
        remedy: "Run the same make again, which plans with the grammar as it is now.")
    }
    grammar = try Grammar(bytes: bytes, source: parameters.grammar).rooted(at: parameters.root)
    let input = try configuration.input("run")
    run = try TrainingRunIndex(directory: input.path)
    guard run.id == input.id else {
      throw UserError(
        "\(input.path)/\(StageIndex.fileName): id", expected: input.id, found: run.id,
        remedy: StageIndex.remedy(input.path))
    }
    let source = "\(input.path)/\(StageIndex.fileName)"
    variant = try Variant(mapMetadata: run.data, source: "\(source): data")
    var reader = try ConfigReader(run.model, source: source, path: "model")
    modelConfiguration = try ModelConfiguration(reader: &reader)
    try reader.finish()
    let tables = modelConfiguration.inputs.map { [$0.order, $0.rows] }
    guard tables == variant.mapper.tables.map({ [$0.order, $0.rows] }),
      modelConfiguration.labels == variant.labels
    else {
      throw UserError(
        "\(source): model", expected: "the tables and labels of its data",
        found: "tables \(tables), \(modelConfiguration.labels) labels",
        remedy: StageIndex.remedy(input.path))
    }
    let most = modelConfiguration.furtherHeads?.weights.count ?? 0
    if let drafts = parameters.drafts, drafts > most {
      throw UserError(
        "\(configuration.source): parameters.drafts",
        expected: most == 0
          ? "no such key: the model has no further heads" : "at most \(most), its further heads",
        found: "\(drafts)", remedy: most == 0 ? "Delete it." : "Lower it.")
    }
    heldout = try HeldOutSet(
      mapped: configuration.input("heldout"), symbols: configuration.input("symbols"),
      variant: variant, count: parameters.heldoutSentences,
      grammarDigest: parameters.grammarDigest, root: parameters.root)
    trained = try configuration.inputs["trained"].map {
      try TrainingStream($0, grammarDigest: parameters.grammarDigest, root: parameters.root)
    }
  }

  /// Scores all snapshots, writes the shards and last the index into `output`.
  ///
  /// - Parameters:
  ///   - ranks: those that share the sentences, each with its threads; rank 0 alone judges and writes.
  ///   - progress: called after each snapshot, by rank 0.
  /// - Returns: the scores on rank 0.
  package func write(
    to output: String, threads: Int, ranks: any Communicator = LocalCommunicator(),
    progress: (SnapshotScores) -> Void
  ) throws -> [SnapshotScores] {
    try parameters.device?.require(oneOf: ranks, configuration.source)
    let pool = WorkerPool(threads: threads)
    // A device is used by one worker: which sentences run together decides its bits.
    let scorers = parameters.device == nil ? pool : WorkerPool(threads: 1)
    let model: any SnapshotModel =
      try parameters.device.map { try DeviceModel(modelConfiguration, on: $0) }
      ?? EngineModel(modelConfiguration)
    let sentences = try heldout.sentences()
    let heldOut = try HeldOut(
      sentences, tables: variant.mapper.tables.count, positionsPerGroup: Self.positionsPerGroup,
      context: model.context)
    let truth = try Truth(
      grammar: grammar, sentences: sentences, targetSentences: parameters.prefixSentences,
      variant: variant, pool: pool)
    let sessions = try WorkerSessions(
      model, threads: scorers.threads, rows: heldOut.largest.positions,
      sequences: parameters.batch)
    // No device has drafts: the parameters say so.
    let drafting = (model as? EngineModel).flatMap { engine in
      parameters.drafts.map { (engine, $0) }
    }.map { engine, drafts in
      DraftingSessions(
        (0..<pool.threads).map { _ in
          engine.makeDraftingSession(sequences: parameters.batch, drafts: drafts)
        })
    }
    var scores: [SnapshotScores] = []
    var files = EvaluationFiles(output: output, configuration: configuration, grammar: grammar)
    for (position, snapshot) in run.snapshots.enumerated() {
      try Interruption.check()
      try run.verify(snapshot)
      try model.load(run.path(of: snapshot))
      let isLast = position == run.snapshots.count - 1
      let compared = try scoreAll(
        heldOut, truth: truth, variant: variant, sessions: sessions, pool: scorers, ranks: ranks)
      let count = isLast ? parameters.finalSamples : parameters.samples
      var (generated, drafts) = (nil as [GeneratedSentence]?, nil as DraftCounts?)
      if let drafting {
        // Proposals are counted by the worker: one rank makes them all.
        if ranks.decides { (generated, drafts) = try drafted(count, drafting, pool, model) }
      } else {
        generated = try self.generated(count, .label, sessions, scorers, model, ranks)
      }
      let joint =
        isLast && variant.isJoint
        ? try self.generated(count, .token, sessions, scorers, model, ranks) : nil
      guard let compared, let generated else { continue }
      let isCorrect = judge(generated, grammar: grammar, pool: pool)
      var marginal: Accuracy?
      var unseen: UnseenScores?
      if isLast {
        if let trained {
          unseen = UnseenScores(
            generated, isCorrect: isCorrect, logP: truth.logP, logQ: compared.logQ,
            characters: heldOut.characters,
            isUnseen: try trained.areUnseen(generated.map(\.symbols) + sentences.map(\.symbols)))
        }
        try files.write(samples: generated, isCorrect: isCorrect)
        if let joint {
          marginal = Accuracy(joint, isCorrect: judge(joint, grammar: grammar, pool: pool))
        }
      }
      let score = SnapshotScores(
        snapshot: snapshot, heldOut: compared,
        accuracy: Accuracy(generated, isCorrect: isCorrect), marginalAccuracy: marginal,
        unseen: unseen, drafts: drafts)
      scores.append(score)
      progress(score)
    }
    guard ranks.decides else { return [] }
    try files.write(logP: truth.logP, scores: scores)
    try files.finish(
      metadata: EvaluationReport(run: run, variant: variant, scores: scores, limits: limits(model))
        .value)
    return scores
  }

  private func limits(_ model: any LabelModel) -> GenerationLimits {
    GenerationLimits(
      symbols: parameters.maxLength ?? grammar.lengthRange.upperBound, positions: model.context)
  }

  private func drafted(
    _ count: Int, _ sessions: DraftingSessions, _ pool: WorkerPool, _ model: any LabelModel
  ) throws -> ([GeneratedSentence], DraftCounts?) {
    try generateAll(
      count, batch: parameters.batch, seed: parameters.seed, variant: variant, drafting: sessions,
      limits: limits(model), draw: .label, pool: pool)
  }

  private func generated(
    _ count: Int, _ draw: Draw, _ sessions: WorkerSessions, _ pool: WorkerPool,
    _ model: any LabelModel, _ ranks: any Communicator
  ) throws -> [GeneratedSentence]? {
    try generateAll(
      count, batch: parameters.batch, seed: parameters.seed, variant: variant, sessions: sessions,
      limits: limits(model), draw: draw, pool: pool, ranks: ranks)
  }
}
