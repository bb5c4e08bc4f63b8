import Checkpoints
import Contracts
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
  let grammar: Grammar
  private var sets: ScoreSets

  init(output: String, configuration: StageConfiguration, grammar: Grammar) {
    self.grammar = grammar
    sets = ScoreSets(output: output, configuration: configuration)
  }

  mutating func write(samples: [GeneratedSentence], isCorrect: [Bool]) throws {
    let symbols = [Column("symbol", cardinality: grammar.terminalCount + 1)]
    try sets.write("samples", .u8, symbols) { sink in
      for sample in samples { try sink.append(document: sample.symbols) }
    }
    let columns = [
      Column("ending", cardinality: Ending.allCases.count), Column("correct", cardinality: 2),
    ]
    try sets.write("judgement", .u8, columns) { sink in
      try sink.append(document: samples.map(\.ending.rawValue) + isCorrect.map { $0 ? 1 : 0 })
    }
  }

  mutating func write(logP: [Double], scores: [SnapshotScores]) throws {
    let columns =
      [Column("logP")] + scores.map { Column("logQ\($0.snapshot.step)") }
    try sets.write("scores", .f64, columns) { sink in
      try sink.append(document: scores.reduce(logP) { $0 + $1.heldOut.logQ })
    }
  }

  /// Writes the index.
  func finish(metadata: ConfigValue) throws { try sets.finish(metadata: metadata) }
}

/// The scores as the index holds them.
struct EvaluationReport {
  let run: TrainingRunIndex
  let variant: Variant
  let scores: [SnapshotScores]
  let limits: GenerationLimits

  var value: ConfigValue {
    [
      "kind": .string(DataKind.grammar.rawValue), "model": run.model,
      "parameters": .integer(run.parameterCount), "seed": .integer(run.seed),
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
      "step": .integer(score.snapshot.step),
      DataKind.grammar.sequences: .integer(score.snapshot.sequences),
      DataKind.grammar.symbols: .integer(score.snapshot.symbols),
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
    if let unseen = score.unseen { members["unseen"] = unseen.value }
    if let drafts = score.drafts { members["drafts"] = drafts.value }
    return .object(members)
  }
}
