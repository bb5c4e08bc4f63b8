import Foundation
import Support
import Testing

/// Text from the corpus to scores, through every executable on the way.
@Suite struct TextEvaluateTests {
  private let stages: TextStages

  init() throws { stages = try TextStages() }

  private func parameters(_ overEncoding: ConfigValue? = nil) -> ConfigValue {
    var model: [String: ConfigValue] = [
      "architecture": "gpt2", "layers": 1, "width": 16, "heads": 2, "context": 12, "tied": false,
    ]
    model["overEncoding"] = overEncoding
    var optimizer: [String: ConfigValue] = [
      "name": "adamw", "learningRate": 0.005, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
      "weightDecay": 0.1, "clipNorm": 1.0,
    ]
    if overEncoding != nil {
      optimizer["tables"] = [
        "learningRateMultiplier": 1, "weightDecay": 0, "moments": "float32",
      ]
    }
    return [
      "kind": "text", "model": .object(model), "optimizer": .object(optimizer),
      "schedule": ["kind": "cosine", "warmupSteps": 1, "finalFraction": 0.1],
      "training": [
        "batchSequences": 16, "lanes": 4, "epochs": 3, "checkpointEverySteps": 100,
        "logEverySteps": 10, "precision": "float32",
      ],
      "snapshots": ["count": 2, "spacing": "linear", "initial": false], "seed": 1, "dataSeed": 2,
    ]
  }

  /// Scores every row of every snapshot.
  private func scoring(stride: Int) -> ConfigValue {
    [
      "kind": "text", "stride": .integer(stride), "batchPositions": 4096, "positions": 0,
      "finalPositions": 0, "onlyLast": false,
    ]
  }

  @Test func fromTextToBitsPerByte() throws {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer)
    let both = ["tokens": tokens, "tokenizer": tokenizer]
    let (mapped, map) = try stages.run(
      "map", ["kind": "text", "content": "ngramIDs", "order": 2, "documentsPerShard": 20], both,
      name: "map")
    #expect(mapped.status == 0, "\(mapped.all)")
    let (trained, run) = try stages.run("train", parameters(), ["data": map], name: "run")
    #expect(trained.status == 0, "\(trained.all)")
    let scored = scoring(stride: 6)
    let (evaluated, scores) = try stages.run(
      "evaluate", scored, ["run": run, "heldout": map, "other": map], name: "scores")
    #expect(evaluated.status == 0, "\(evaluated.all)")
    let index = try StageIndex(directory: scores.path)
    guard case .array(let snapshots)? = index.content["metadata"]?["snapshots"],
      let last = snapshots.last, let heldout = last["sets"]?["heldout"],
      case .double(let nats)? = heldout["natsPerToken"],
      case .double(let perplexity)? = heldout["perplexity"],
      case .double(let bits)? = heldout["bitsPerByte"],
      case .integer(let bytes)? = heldout["bytes"],
      case .integer(let count)? = heldout["tokens"]
    else {
      Issue.record("the index lacks scores: \(index.content)")
      return
    }
    #expect(snapshots.count == 2)
    let metadata = try StageIndex(directory: map.path).content["metadata"]
    #expect(metadata?["positions"] == .integer(count))
    #expect(metadata?["bytes"] == .integer(bytes))
    // Untrained: log 300 = 5.7. The text repeats itself.
    #expect(nats > 0 && nats < 4)
    #expect(abs(perplexity - exp(nats)) < 1e-9 * perplexity)
    #expect(abs(bits - nats * Double(count) / log(2) / Double(bytes)) < 1e-9)
    #expect(last["sets"]?["other"] == heldout)

    func message(_ parameters: ConfigValue, _ inputs: [String: StageConfiguration.Input]) throws
      -> String
    {
      let (result, _) = try stages.run("evaluate", parameters, inputs, name: "bad")
      #expect(result.status == 1, "\(result.all)")
      #expect(result.errors.split(separator: "\n").count == 1)
      return result.errors
    }
    #expect(try message(scored, ["run": run]).contains("a map set beside 'run'"))
    #expect(
      try message(scoring(stride: 13), ["run": run, "heldout": map])
        .contains("at most 12, the context of the model"))
    #expect(try message(["kind": "txt"], ["run": run, "heldout": map]).contains("text"))
    #expect(try message(scored, ["run": map, "heldout": map]).contains("train"))
    let other = try stages.tokenizer(290, name: "other")
    let otherTokens = try stages.tokens(other, name: "otherTokens")
    let (second, otherMap) = try stages.run(
      "map", ["kind": "text", "content": "ngramIDs", "order": 2, "documentsPerShard": 20],
      ["tokens": otherTokens, "tokenizer": other], name: "otherMap")
    #expect(second.status == 0, "\(second.all)")
    #expect(
      try message(scored, ["run": run, "heldout": otherMap]).contains(
        "tokens of another tokenizer than the run's: expected \(tokenizer.id) with 300 tokens"))
  }

  /// Over-encoded, from sets of both kinds: the same scores, whichever set feeds the run or is scored.
  @Test func overEncodedRuns() throws {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer)
    let both = ["tokens": tokens, "tokenizer": tokenizer]
    let tables: [String: ConfigValue] = [
      "order": 3, "slices": 2, "rows": 700, "moduli": "coprime",
    ]
    var rows = tables
    rows["kind"] = "text"
    rows["content"] = "overEncoding"
    rows["documentsPerShard"] = 20
    let (first, ids) = try stages.run(
      "map", ["kind": "text", "content": "ngramIDs", "order": 3, "documentsPerShard": 20], both,
      name: "ids")
    let (second, mapped) = try stages.run("map", .object(rows), both, name: "rows")
    #expect(first.status == 0 && second.status == 0, "\(first.all)\(second.all)")
    var found: [ConfigValue] = []
    for (name, data, heldout) in [("a", ids, mapped), ("b", mapped, ids), ("c", ids, ids)] {
      let (trained, run) = try stages.run(
        "train", parameters(.object(tables)), ["data": data], name: "run" + name)
      #expect(trained.status == 0, "\(trained.all)")
      let (evaluated, scores) = try stages.run(
        "evaluate", scoring(stride: 5), ["run": run, "heldout": heldout],
        name: "scores" + name)
      #expect(evaluated.status == 0, "\(evaluated.all)")
      let metadata = try StageIndex(directory: scores.path).content["metadata"]
      found.append(try #require(metadata?["snapshots"]))
    }
    #expect(found[0] == found[1])
    #expect(found[0] == found[2])

    func message(_ changes: [String: ConfigValue], _ data: StageConfiguration.Input) throws
      -> String
    {
      let (result, _) = try stages.run(
        "train", parameters(.object(tables.merging(changes) { $1 })), ["data": data], name: "bad")
      #expect(result.status == 1, "\(result.all)")
      #expect(result.errors.split(separator: "\n").count == 1)
      return result.errors
    }
    #expect(
      try message(["rows": 801], mapped).contains("map set of other over-encoding tables: expected")
    )
    #expect(try message(["moduli": "paper"], mapped).contains("map set of other over-encoding"))
    #expect(
      try message(["order": 4, "slices": 1, "columns": 0.9375], ids).contains("order 4 or more"))
    #expect(
      try message(["rows": 0], ids).contains(
        "model.overEncoding.rows: expected an integer in 1...2147483647"))
    #expect(try message(["slices": 3], ids).contains("a multiple of k · orders = 3 · 2 = 6"))
    #expect(
      try message(["moduli": "equal"], ids).contains(
        "two over-encoding tables of the same order and modulus"))
  }
}
