import Checkpoints
import Grammar
import Shards
import Support

/// What the stage "evaluate" writes beside its index, so that every score can be computed again:
///
/// * `scores/`: f64, one document of as many rows as scored sentences; columns "logP" and for each
///   snapshot "logQ<step>", in nats.
/// * `samples/`: u8, column "symbol": the generated sentences of the last snapshot.
/// * `judgement/`: u8, one document of as many rows as samples; columns "ending" (0 complete, 1 too
///   long, 2 malformed) and "correct".
struct EvaluationFiles {
  let output: String
  let configuration: StageConfiguration
  let grammar: Grammar
  private var digests: [String: ConfigValue] = [:]

  init(output: String, configuration: StageConfiguration, grammar: Grammar) {
    self.output = output
    self.configuration = configuration
    self.grammar = grammar
  }

  mutating func write(samples: [GeneratedSentence], isCorrect: [Bool]) throws {
    try set("samples", .u8, [Column("symbol", cardinality: grammar.terminalCount + 1)]) { sink in
      for sample in samples { try sink.append(document: sample.symbols) }
    }
    let columns = [
      Column("ending", cardinality: Ending.allCases.count), Column("correct", cardinality: 2),
    ]
    try set("judgement", .u8, columns) { sink in
      try sink.append(document: samples.map(\.ending.rawValue) + isCorrect.map { $0 ? 1 : 0 })
    }
  }

  mutating func write(logP: [Double], scores: [SnapshotScores]) throws {
    let columns =
      [Column("logP")] + scores.map { Column("logQ\($0.snapshot.step)") }
    try set("scores", .f64, columns) { sink in
      try sink.append(document: scores.reduce(logP) { $0 + $1.heldOut.logQ })
    }
  }

  private mutating func set(
    _ name: String, _ element: ElementType, _ columns: [Column],
    _ body: (inout ShardSink) throws -> Void
  ) throws {
    let directory = "\(output)/\(name)"
    try AtomicFile.makeDirectory(directory)
    let writer = try ShardSetWriter(
      directory: directory, element: element, columns: columns, configuration: configuration)
    try writer.writeShard(0, body)
    try writer.finish(metadata: ["content": .string(name)])
    digests[name] = .string(
      SHA256.hex(of: try FileBytes.read("\(directory)/\(StageIndex.fileName)")))
  }

  /// Writes the index; it names the digest of each set's index.
  func finish(metadata: ConfigValue) throws {
    try StageIndex.write(
      to: output, configuration: configuration,
      content: ["metadata": metadata, "sets": .object(digests)])
  }
}

/// The scores as the index holds them.
struct EvaluationReport {
  let run: TrainingRunIndex
  let variant: Variant
  let scores: [SnapshotScores]
  let limits: GenerationLimits

  var value: ConfigValue {
    [
      "model": run.model, "parameters": .integer(run.parameterCount), "seed": .integer(run.seed),
      "steps": .integer(run.steps),
      "tokenizerOrder": .integer(variant.tokenizer.vocabulary.order),
      "inputOrders": .array(variant.mapper.tables.map { .integer($0.order) }),
      "outputOrder": .integer(variant.mapper.outputOrder),
      "maxLength": .integer(limits.symbols),
      "snapshots": .array(scores.map(snapshot)),
    ]
  }

  private func snapshot(_ score: SnapshotScores) -> ConfigValue {
    let held = score.heldOut
    var members: [String: ConfigValue] = [
      "step": .integer(score.snapshot.step), "sentences": .integer(score.snapshot.sentences),
      "characters": .integer(score.snapshot.characters),
      "samples": .integer(score.accuracy.samples), "accurate": .integer(score.accuracy.correct),
      "accuracy": .double(score.accuracy.share),
      "accuracyLow": .double(score.accuracy.interval.low),
      "accuracyHigh": .double(score.accuracy.interval.high),
      "endings": [
        "complete": .integer(score.accuracy.endings[0]),
        "tooLong": .integer(score.accuracy.endings[1]),
        "malformed": .integer(score.accuracy.endings[2]),
      ],
      "heldoutSentences": .integer(held.loss.count),
      "natsPerCharacter": .double(held.loss.ratio),
      "natsPerCharacterStandardError": .double(held.loss.standardError),
      "entropyNatsPerCharacter": .double(held.entropy.ratio),
      "excessNatsPerCharacter": .double(held.excess.ratio),
      "excessStandardError": .double(held.excess.standardError),
    ]
    if let kl = held.divergence {
      members["klPerCharacter"] = .double(kl.ratio)
      members["klPerCharacterStandardError"] = .double(kl.standardError)
      members["prefixSentences"] = .integer(kl.count)
    }
    if let marginal = score.marginalAccuracy {
      members["accuracyMarginal"] = .double(marginal.share)
      members["accuracyMarginalLow"] = .double(marginal.interval.low)
      members["accuracyMarginalHigh"] = .double(marginal.interval.high)
    }
    return .object(members)
  }
}
