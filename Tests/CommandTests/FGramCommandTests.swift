import Foundation
import NGrams
import Shards
import Support
import Testing

/// ott-discover, and ott-map with what it finds, from the outside.
@Suite struct FGramCommandTests {
  private let stages: TextStages

  init() throws { stages = try TextStages() }

  private let discover: ConfigValue = ["longest": 4, "minimumCount": 5]

  @Test func memoryIsNoPartOfTheOutput() throws {
    let tokens = try stages.tokens(stages.tokenizer())
    let (result, input) = try stages.run("discover", discover, ["tokens": tokens], name: "found")
    #expect(result.status == 0, "\(result.all)")
    let set = try ShardSet(directory: input.path)
    _ = try set.verify(threads: 1)
    #expect(set.elements > 100 && set.stage.stage == "discover")
    let config = stages.directory + "/discover-found.json"
    for (memory, threads) in [("1", "1"), ("100000", "4")] {
      let other = "\(stages.directory)/\(memory)"
      let result = try Program.run(
        "ott-discover",
        ["--config", config, "--output", other, "--memory", memory, "--threads", threads])
      #expect(result.status == 0 && result.output.contains("found \(set.elements) f-grams"))
      #expect(
        try FileBytes.read(other + "/index.json") == FileBytes.read(input.path + "/index.json"))
    }
    let usage = try Program.run(
      "ott-discover", ["--config", config, "--output", "x", "--memory", "0"])
    #expect(usage.status == 2 && usage.errors.contains("--memory: expected 1..."))
  }

  @Test func matchesFollow() throws {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer)
    let found = try stages.run("discover", discover, ["tokens": tokens], name: "found").input
    let (result, input) = try stages.run(
      "map",
      [
        "kind": "text", "content": "fGrams", "longest": 3, "size": 50, "documentsPerShard": 13,
      ], ["tokens": tokens, "tokenizer": tokenizer, "fgrams": found], name: "map")
    #expect(result.status == 0, "\(result.all)")
    let set = try ShardSet(directory: input.path)
    _ = try set.verify(threads: 1)
    #expect(set.columns.map(\.name) == ["token", "match", "label"])
    #expect(set.metadata["size"] == 50 && set.metadata["fgrams"] == .string(found.id))
  }

  /// SCONE from outside: f-grams are found, a model of them is trained, its rows are stored, and the run is
  /// scored by them.
  @Test func aStoreScoresAsTheModel() throws {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer)
    func output(
      _ stage: String, _ parameters: ConfigValue, _ inputs: [String: StageConfiguration.Input],
      name: String, threads: Int = 2
    ) throws -> StageConfiguration.Input {
      let (result, input) = try stages.run(stage, parameters, inputs, name: name, threads: threads)
      #expect(result.status == 0, "\(result.all)")
      return input
    }
    let found = try output("discover", discover, ["tokens": tokens], name: "found")
    let map = try output(
      "map",
      [
        "kind": "text", "content": "fGrams", "longest": 3, "size": 0, "documentsPerShard": 13,
      ], ["tokens": tokens, "tokenizer": tokenizer, "fgrams": found], name: "map")
    let run = try output("train", Self.training(seed: 1), ["data": map], name: "run")
    let inputs = ["run": run, "heldout": map]
    let plain = try output("evaluate", Self.scoring, inputs, name: "plain")
    func logQ(_ scores: StageConfiguration.Input) throws -> String {
      let result = try Program.run("ott-shards", ["cat", scores.path + "/scores-heldout"])
      #expect(result.status == 0 && result.output.utf8.count > 1000, "\(result.all)")
      return result.output
    }
    let expected = try logQ(plain)
    for (precision, threads) in [("float32", 1), ("float32", 3), ("bfloat16", 2)] {
      let name = "\(precision)\(threads)"
      let store = try output(
        "materialize", ["precision": .string(precision)], ["run": run, "fgrams": found],
        name: "store-" + name, threads: threads)
      if threads == 3 {
        for file in ["keys", "rows", "index.json"] {
          #expect(
            try FileBytes.read("\(store.path)/\(file)")
              == FileBytes.read("\(stages.directory)/store-float321/\(file)"))
        }
      }
      let scores = try output(
        "evaluate", Self.scoring, inputs.merging(["store": store]) { $1 }, name: "scores-" + name,
        threads: threads)
      #expect(try (logQ(scores) == expected) == (precision == "float32"))
    }
    // Texts are continued by the store's rows as by the f-gram model's.
    func continued(_ more: String...) throws -> String {
      let result = try Program.run(
        "ott-generate",
        [
          "--run", run.path, "--tokenizer", tokenizer.path, "--fgrams", found.path, "--prompt",
          "The 3", "--prompt", "again and", "--tokens", "6", "--samples", "3",
        ] + more)
      #expect(result.status == 0, "\(result.all)")
      return result.output
    }
    let texts = try continued()
    for placement in ["memory", "disk"] {
      let store = stages.directory + "/store-float321"
      #expect(try continued("--store", store, "--placement", placement) == texts)
    }
    // A store of another run, f-grams of another set, several snapshots.
    let other = try output(
      "train", Self.training(seed: 9), ["data": map],
      name: "other")
    let store = StageConfiguration.Input(
      id: try StageIndex(directory: stages.directory + "/store-float321").id,
      path: stages.directory + "/store-float321")
    let (refused, _) = try stages.run(
      "evaluate", Self.scoring, ["run": other, "heldout": map, "store": store], name: "refused")
    #expect(refused.status == 1 && refused.errors.contains("rows of another model"))
    let foreignStore = try Program.run(
      "ott-generate",
      [
        "--run", other.path, "--tokenizer", tokenizer.path, "--fgrams", found.path, "--prompt",
        "The", "--tokens", "2", "--store", store.path,
      ])
    #expect(foreignStore.status == 1 && foreignStore.errors.contains("rows of another model"))
    let fewer = try output(
      "discover", ["longest": 4, "minimumCount": 6], ["tokens": tokens], name: "fewer")
    let (foreign, _) = try stages.run(
      "materialize", ["precision": "float32"], ["run": run, "fgrams": fewer], name: "foreign")
    #expect(
      foreign.status == 1 && foreign.errors.contains("inputs.fgrams: expected f-grams of longest 3")
    )
  }

  private static func training(seed: Int) -> ConfigValue {
    [
      "kind": "text",
      "model": [
        "architecture": "olmo2", "layers": 1, "width": 16, "heads": 2, "context": 12, "tied": false,
        "fGrams": ["longest": 3],
      ],
      "optimizer": [
        "name": "adamw", "learningRate": 0.005, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
        "weightDecay": 0.1, "clipNorm": 1.0,
      ],
      "schedule": ["kind": "cosine", "warmupSteps": 1, "finalFraction": 0.1],
      "training": [
        "batchSequences": 16, "lanes": 4, "epochs": 3, "checkpointEverySteps": 100,
        "logEverySteps": 10, "precision": "float32",
      ],
      "snapshots": ["count": 1, "spacing": "linear", "initial": false], "seed": .integer(seed),
      "dataSeed": 2,
    ]
  }

  private static let scoring: ConfigValue = [
    "kind": "text", "stride": 6, "batchPositions": 256, "positions": 0, "finalPositions": 0,
    "onlyLast": true,
  ]

  @Test(
    arguments: [
      (
        ["longest": 9, "minimumCount": 5],
        "parameters.longest: expected an integer in 2...8, found integer 9"
      ),
      (
        ["longest": 1, "minimumCount": 5],
        "parameters.longest: expected an integer in 2...8, found integer 1"
      ),
      (["longest": 2, "minimumCount": 0], "parameters.minimumCount"),
      (["longest": 2, "minimumCount": 100_000], "which none of its"),
      (["longest": 2], "minimumCount"),
    ] as [(ConfigValue, String)])
  func oneMessage(parameters: ConfigValue, message: String) throws {
    let tokens = try stages.tokens(stages.tokenizer())
    let (result, input) = try stages.run(
      "discover", parameters, ["tokens": tokens], name: "refused")
    #expect(result.status == 1 && result.errors.contains(message), "\(result.all)")
    #expect(result.errors.split(separator: "\n").count == 1)
    #expect(!FileBytes.exists(input.path + "/index.json"))
  }
}
