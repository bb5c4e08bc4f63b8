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
