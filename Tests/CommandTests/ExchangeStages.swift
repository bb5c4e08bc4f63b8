import Foundation
import Support
import Testing

/// Runs over text that are exported and imported from outside.
final class ExchangeStages {
  let stages: TextStages
  let tokenizer: StageConfiguration.Input
  let tokens: StageConfiguration.Input
  /// Exact ids of bigrams.
  let map: StageConfiguration.Input

  var directory: String { stages.directory }

  init() throws {
    stages = try TextStages()
    tokenizer = try stages.tokenizer()
    tokens = try stages.tokens(tokenizer)
    let (mapped, map) = try stages.run(
      "map", ["kind": "text", "content": "ngramIDs", "order": 2, "documentsPerShard": 20],
      ["tokens": tokens, "tokenizer": tokenizer], name: "map")
    #expect(mapped.status == 0, "\(mapped.all)")
    self.map = map
  }

  static let encoding: ConfigValue = [
    "order": 2, "slices": 2, "rows": 97, "moduli": "coprime", "deviation": 0.05,
  ]

  static func model(_ architecture: String, _ more: [String: ConfigValue] = [:]) -> ConfigValue {
    .object(
      [
        "architecture": .string(architecture), "layers": 2, "width": 16, "heads": 2, "context": 12,
        "tied": false,
      ].merging(more) { $1 })
  }

  static func training(
    _ model: ConfigValue, seed: Int = 1, initial: Bool = false, snapshots: Int = 2
  ) -> ConfigValue {
    var optimizer: [String: ConfigValue] = [
      "name": "adamw", "learningRate": 0.005, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
      "weightDecay": 0.1, "clipNorm": 1.0,
    ]
    if model["overEncoding"] != nil {
      optimizer["tables"] = [
        "learningRateMultiplier": 1, "weightDecay": 0, "moments": "float32",
      ]
    }
    return [
      "kind": "text", "model": model, "optimizer": .object(optimizer),
      "schedule": ["kind": "cosine", "warmupSteps": 1, "finalFraction": 0.1],
      "training": [
        "batchSequences": 16, "lanes": 4, "epochs": 2, "checkpointEverySteps": 3,
        "logEverySteps": 4, "precision": "float32",
      ],
      "snapshots": [
        "count": .integer(snapshots), "spacing": "linear", "initial": .bool(initial),
      ], "seed": .integer(seed),
      "dataSeed": 2,
    ]
  }

  /// A finished run of `model`.
  func run(_ model: ConfigValue, name: String, seed: Int = 1) throws -> StageConfiguration.Input {
    let (trained, run) = try stages.run(
      "train", Self.training(model, seed: seed), ["data": map], name: name)
    #expect(trained.status == 0, "\(trained.all)")
    return run
  }

  /// Scores of every row, of every snapshot.
  ///
  /// - Parameter heldout: what is scored; the training data unless given.
  func scores(
    of run: StageConfiguration.Input, on heldout: StageConfiguration.Input? = nil, name: String
  ) throws -> [ConfigValue?] {
    let (evaluated, scores) = try stages.run(
      "evaluate",
      [
        "kind": "text", "stride": 6, "batchPositions": 256, "positions": 0, "finalPositions": 0,
        "onlyLast": false,
      ], ["run": run, "heldout": heldout ?? map], name: name)
    #expect(evaluated.status == 0, "\(evaluated.all)")
    guard
      case .array(let snapshots)? = try StageIndex(directory: scores.path).metadata["snapshots"]
    else { return [] }
    return snapshots.map { $0["sets"] }
  }

  /// Exports a run into `name`.
  func export(
    _ run: StageConfiguration.Input, to name: String, _ more: String...
  ) throws -> Program.Result {
    try Program.run(
      "ott-export", ["--run", run.path, "--to", "\(directory)/\(name)"] + more, in: directory)
  }

  /// Configures and runs an import of the directory `name`.
  func imported(
    _ name: String, to output: String, _ more: String...
  ) throws -> (result: Program.Result, input: StageConfiguration.Input) {
    let configured = try Program.run(
      "ott-import",
      ["configure", "--output", "\(directory)/config"] + more + ["\(directory)/\(name)"])
    let id = configured.output.trimmingCharacters(in: .whitespacesAndNewlines)
    let input = StageConfiguration.Input(id: id, path: "\(directory)/\(output)")
    guard configured.status == 0 else { return (configured, input) }
    return (
      try Program.run(
        "ott-import",
        ["--config", "\(directory)/config/\(id).json", "--output", input.path, "--quiet"]), input
    )
  }

  /// Every file below a directory of `directory`.
  func content(_ name: String) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for file in try FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(name)") {
      files[file] = try FileBytes.read("\(directory)/\(name)/\(file)")
    }
    return files
  }

  /// Names of temporaries in `directory`.
  func temporaries() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.contains(".tmp-") }
  }

  func read(json path: String) throws -> ConfigValue {
    try ConfigValue.load(json: "\(directory)/\(path)")
  }
}
