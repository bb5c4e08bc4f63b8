import Foundation
import Support
import Testing

/// What cannot be right gets one message, exit 1, and nothing that looks finished.
@Suite struct BadInputTests {
  private func expectRefusal(
    _ result: Program.Result, _ words: String..., output: String? = nil, in place: Workplace
  ) {
    #expect(result.status == 1, "\(result.all)")
    #expect(result.output.isEmpty, "\(result.all)")
    let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 1, "\(result.all)")
    for word in words { #expect(result.errors.contains(word), "\(word): \(result.all)") }
    if let output { #expect(!place.exists(output + "/index.json")) }
  }

  /// A workplace whose plan is written and whose first sample is drawn; ids of sample and tokenize.
  private func prepared() throws -> (place: Workplace, sample: String, tokenize: String) {
    let place = try Workplace()
    #expect(try place.run("ott-plan", ["rules", "--preset", "tiny"]).status == 0)
    let sample = try place.ids("sample")[0]
    let drawn = try place.runStage("sample", sample, output: "data/sample/\(sample)")
    try #require(drawn.status == 0, "\(drawn.all)")
    return (place, sample, try place.ids("tokenize")[0])
  }

  @Test func unknownSettingsNameTheNearest() throws {
    let place = try Workplace()
    try place.replace("layers: 1}", by: "layer: 1}", in: "pipeline/presets/tiny.yaml")
    expectRefusal(
      try place.run("ott-plan", ["--preset", "tiny"]), "tiny.yaml", "model.layer",
      "Did you mean 'model.layers'?", in: place)
    expectRefusal(
      try place.run("ott-plan", ["--preset", "tyni"]), "Did you mean 'tiny'?", in: place)
  }

  @Test func unknownKeysOfConfigurations() throws {
    let (place, _, tokenize) = try prepared()
    let path = "data/config/tokenize/\(tokenize).json"
    try place.replace("\"order\":", by: "\"ordre\":", in: path)
    expectRefusal(
      try place.runStage("tokenize", tokenize, output: "out"), "order", output: "out", in: place)
  }

  @Test func missingFiles() throws {
    let (place, _, tokenize) = try prepared()
    expectRefusal(
      try place.run("ott-map", ["--config", "none.json", "--output", "out"]), "none.json",
      output: "out", in: place)
    try FileManager.default.removeItem(atPath: place.directory + "/data/sample")
    expectRefusal(
      try place.runStage("tokenize", tokenize, output: "out"), "index.json", output: "out",
      in: place)
  }

  @Test func damagedShards() throws {
    let (place, sample, tokenize) = try prepared()
    let folder = "\(place.directory)/data/sample/\(sample)"
    let shard = try #require(
      try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".shard") }
        .sorted().last)
    let whole = try FileBytes.read("\(folder)/\(shard)")
    var flipped = whole
    flipped[whole.count / 2] ^= 1
    for bytes in [Array(whole.dropLast()), flipped, Array("foreign".utf8), []] {
      try AtomicFile.write(bytes, to: "\(folder)/\(shard)")
      expectRefusal(
        try place.runStage("tokenize", tokenize, output: "out"), shard, output: "out", in: place)
      expectRefusal(
        try place.run("ott-shards", ["verify", "data/sample/\(sample)"]), shard, in: place)
    }
    try FileManager.default.removeItem(atPath: "\(folder)/\(shard)")
    expectRefusal(
      try place.runStage("tokenize", tokenize, output: "out"), shard, output: "out", in: place)
    try AtomicFile.write(whole, to: "\(folder)/\(shard)")
    let right = try place.runStage("tokenize", tokenize, output: "out")
    #expect(right.status == 0, "\(right.all)")
  }

  @Test func alteredIndex() throws {
    let (place, sample, tokenize) = try prepared()
    try place.replace(
      "\"root\": 15", by: "\"root\": 14", in: "data/sample/\(sample)/index.json")
    expectRefusal(
      try place.runStage("tokenize", tokenize, output: "out"), "index.json", output: "out",
      in: place)
  }

  /// What a message says to run is typed as it stands, and what was refused goes on.
  @Test func remediesCanBeTyped() throws {
    let (place, sample, tokenize) = try prepared()
    let folder = "data/sample/\(sample)"
    let shard = try #require(
      try FileManager.default.contentsOfDirectory(atPath: "\(place.directory)/\(folder)")
        .first { $0.hasSuffix(".shard") })
    let config = "data/config/tokenize/\(tokenize).json"
    let faults: [() throws -> Void] = [
      { try place.write("{}", to: "\(folder)/index.json") },
      { try place.replace("\"root\": 15", by: "\"root\": 14", in: "\(folder)/index.json") },
      { try FileManager.default.removeItem(atPath: "\(place.directory)/\(folder)/index.json") },
      { try FileManager.default.removeItem(atPath: "\(place.directory)/\(folder)") },
      { try place.write("damaged", to: "\(folder)/\(shard)") },
      { try place.replace("\"order\": 1", by: "\"order\": 2", in: config) },
      { try place.replace("\"version\": 1", by: "\"version\": 9", in: config) },
    ]
    for (number, fault) in faults.enumerated() {
      try fault()
      let output = "data/tokenize/\(tokenize)"
      let refused = try place.runStage("tokenize", tokenize, output: output)
      expectRefusal(refused, output: output, in: place)
      let remedy = refused.errors.components(separatedBy: "Run: ").dropFirst().joined()
        .components(separatedBy: ",")[0]
      let line = number < faults.count - 1 ? remedy : "make \(output)/index.json"
      try #require(!line.isEmpty, "\(refused.all)")
      let typed = try Program.start(
        "/bin/bash",
        ["-c", "make() { command make BIN=\(Program.directory) PRESET=tiny \"$@\"; }; \(line)"],
        in: place.directory
      ).wait()
      #expect(typed.status == 0, "\(line): \(typed.all)")
      let goes = try place.runStage("tokenize", tokenize, output: output)
      #expect(goes.status == 0, "\(goes.all)")
      try FileManager.default.removeItem(atPath: "\(place.directory)/\(output)")
    }
  }

  @Test func aGrammarThatIsNotThePlannedOne() throws {
    let (place, sample, _) = try prepared()
    try place.replace("22 -> 20 21 |", by: "22 -> 21 20 |", in: "data/grammars/cfg3f.grammar")
    expectRefusal(
      try place.runStage("sample", sample, output: "out"), "cfg3f.grammar", output: "out",
      in: place)
  }

  @Test func outputsThatCannotBeWritten() throws {
    let (place, sample, _) = try prepared()
    try place.write("", to: "file")
    expectRefusal(
      try place.runStage("sample", sample, output: "file/out"), "file", in: place)
  }

  @Test func theWrongStage() throws {
    let (place, sample, _) = try prepared()
    let result = try place.run(
      "ott-tokenize", ["--config", "data/config/sample/\(sample).json", "--output", "out"])
    expectRefusal(result, "sample", "tokenize", output: "out", in: place)
  }

  @Test func anotherRunsCheckpoint() throws {
    let (place, _, tokenize) = try prepared()
    let (map, train) = (try place.ids("map")[0], try place.ids("train")[0])
    for (stage, id) in [("tokenize", tokenize), ("map", map)] {
      let result = try place.runStage(stage, id, output: "data/\(stage)/\(id)")
      try #require(result.status == 0, "\(result.all)")
    }
    let config = "data/config/train/\(train).json"
    let stopped = try place.run(
      "ott-train", ["--config", config, "--output", "run", "--stop-after", "5"])
    try #require(stopped.status == 0, "\(stopped.all)")
    try place.replace("\"seed\": 1", by: "\"seed\": 7", in: config)
    expectRefusal(
      try place.runStage("train", train, output: "run"), "checkpoint.safetensors", output: "run",
      in: place)
  }

  @Test func aFigureWithoutItsRuns() throws {
    let (place, _, _) = try prepared()
    let report = try place.ids("report")[0]
    expectRefusal(
      try place.runStage("report", report, output: "out"), "index.json", output: "out", in: place)
  }

  @Test func rerunOfWhatIsNotThere() throws {
    let (place, _, _) = try prepared()
    let map = try place.ids("map")[0]
    let result = try place.make("rerun", "STAGE=map")
    #expect(result.status == 2, "\(result.all)")
    #expect(
      result.errors.contains(
        "expected a finished output, found none. "
          + "Run: make data/map/\(map)/index.json FIGURE=figure2 PRESET=tiny"))
  }
}
