import Checkpoints
import Contracts
import Shards
import Support
import Training

/// Indexes, evidence, configurations and the states of checkpoints.
enum JSONTargets {
  static func index(_ scratch: ScratchDirectory) throws -> FuzzTarget {
    let directory = try scratch.directory("index")
    let shards = StageConfiguration(
      stage: "map", version: 1, parameters: ["order": 3],
      inputs: ["tokens": .init(id: "0123456789ab", path: "data")])
    let writer = try ShardSetWriter(
      directory: directory, element: .u8, columns: [Column("a", cardinality: 9)],
      configuration: shards)
    try writer.writeShard(0) { try $0.append(document: [1, 2, 3] as [UInt8]) }
    try writer.finish(metadata: ["inputs": [["order": 1, "rows": 9]], "labels": 9, "x": 0.25])
    let path = "\(directory)/\(StageIndex.fileName)"
    var seeds = [try FileBytes.read(path)]
    let train = StageConfiguration(stage: "train", version: 1, parameters: ["kind": "grammar"])
    let snapshot = TrainingRunIndex.Snapshot(
      step: 4, file: "weights-4.safetensors", sha256: "ab", kind: .grammar, sequences: 32,
      rows: 320, symbols: 288)
    try StageIndex.write(
      to: directory, configuration: train,
      content: [
        "model": ["layers": 2], "data": ["kind": "grammar"], "snapshots": [snapshot.value],
        "parameterCount": 100, "steps": 4, "sentences": 32, "rows": 320, "characters": 288,
        "finalLoss": 0.75, "seed": 1, "dataSeed": 2, "metrics": [["name": "metrics.jsonl"]],
      ])
    seeds.append(try FileBytes.read(path))
    let file = try scratch.file("index/\(StageIndex.fileName)")
    return FuzzTarget(
      "index", seeds: seeds, words: words, isSealed: true, reseal: reseal
    ) { bytes in
      try file.put(bytes)
      let index = try StageIndex(directory: directory)
      if index.content["shards"] != nil {
        let set = try ShardSet(directory: directory)
        _ = try set.load(threads: 1)
        _ = try set.metadataReader()
      } else {
        _ = try TrainingRunIndex(directory: directory)
      }
    }
  }

  static func evidence(_ scratch: ScratchDirectory) throws -> FuzzTarget {
    let directory = try scratch.directory("evidence")
    var environment: [String: ConfigValue] = [:]
    for key in EvidenceFile.environmentKeys { environment[key] = .string(key) }
    try EvidenceFile.write(
      [
        "stage": "train", "id": "0123456789ab", "environment": "a", "facts": ["rate": 1.5],
        "environments": ["a": .object(environment)], "history": [["id": "x", "inputs": [:]]],
      ], to: directory)
    let seed = try FileBytes.read("\(directory)/\(EvidenceFile.fileName)")
    let file = try scratch.file("evidence/\(EvidenceFile.fileName)")
    return FuzzTarget(
      "evidence", seeds: [seed], words: words, isSealed: true, reseal: reseal
    ) { bytes in
      try file.put(bytes)
      let evidence = try EvidenceFile(directory: directory, id: "0123456789ab")
      for record in evidence.history { _ = try? evidence.environment(of: record, remedy: "") }
    }
  }

  static func requests() -> FuzzTarget {
    let rows = (0..<7).map { row in
      #"{"doc_id": \#(row / 2), "idx": \#(row % 2), "label": \#(row / 2 % 2), "question": \#(row / 4),"#
        + #" "request": {"context": "Q: \u00e9?", "continuation": " \#(row)"}}"# + "\n"
    }
    let words = [
      "\"doc_id\": ", "\"idx\": ", "\"label\": ", "\"question\": ", "1000000", "\"request_type\": ",
      "\n",
      "\"continuation\": \" ", "\"context\": ",
    ]
    return FuzzTarget(
      "requests", seeds: [Array(rows.dropLast().joined().utf8)], words: words
    ) { bytes in
      let file = try RequestFile(bytes, source: "x.jsonl")
      let isWhole = file.documents.allSatisfy { document in
        document.choices.indices.contains(document.gold)
          && document.choices.allSatisfy { !$0.context.isEmpty && $0.characters > 1 }
      }
      let sample = file.sample(1, seed: 1, task: "x")
      guard isWhole, !sample.isEmpty else {
        throw Finding(target: "requests", problem: "a document that cannot be scored")
      }
    }
  }

  static func configuration() -> FuzzTarget {
    let text = """
      {"stage": "train", "version": 1, "inputs": {"data": {"id": "0123456789ab", "path": "data"}},
       "parameters": {"kind": "grammar", "model": {"architecture": "gpt2", "layers": 2, "width": 16, "heads": 2,
        "context": 24, "tied": false}, "optimizer": {"name": "adamw", "learningRate": 0.001,
        "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-08, "weightDecay": 0.1, "clipNorm": 1.0},
        "schedule": {"kind": "cosine", "warmupSteps": 1, "finalFraction": 0.1},
        "training": {"batchSequences": 16, "lanes": 4, "steps": 30, "precision": "float32",
        "checkpointEverySteps": 7, "logEverySteps": 5}, "seed": 1, "dataSeed": 2,
        "snapshots": {"count": 3, "spacing": "linear", "initial": false}}}
      """
    return FuzzTarget("config", seeds: [Array(text.utf8)], words: words) { bytes in
      let configuration = try StageConfiguration(
        ConfigValue.parse(json: bytes, source: "x.json"), source: "x.json")
      _ = configuration.id
      _ = try TrainingPlan(configuration, kind: .grammar, sequences: 37)
    }
  }

  static func yaml() -> FuzzTarget {
    let text = """
      # A preset.
      parts: [data/cfg3f-15, optimizer/adamw-cosine]
      set:
        data: {trainDocuments: 2048, heldoutDocuments: 256}
        schedule: {warmupSteps: 5, kind: "cosine"}
      seeds: [1, 2]
      sizes:
        - name: large
          set: {model: {layers: 2, width: 32, x: -1.5e-3, y: ~, z: true}}
        - name: 'small'
          text: |
            several
            lines
      jobs: cores

      """
    return FuzzTarget(
      "yaml", seeds: [Array(text.utf8)],
      words: [
        "- ", "? ", "&a", "*a", "<<: ", "!!int ", "---\n", "...\n", "|\n", ">\n", "# ", "%YAML",
      ]
    ) { bytes in
      guard let text = String(validating: bytes, as: UTF8.self) else { return }
      var reader = try ConfigReader(ConfigValue.parse(yaml: text, source: "x"), source: "x")
      _ = try reader.strings("parts", default: [])
      _ = try reader.ints("seeds")
      _ = try reader.objects("sizes")
    }
  }

  /// A line of metrics and the state of a checkpoint: what a run reads back of itself.
  static func state(_ scratch: ScratchDirectory) throws -> FuzzTarget {
    var state = ResumeState(id: "0123456789ab", kind: .grammar)
    for _ in 0..<3 { state.progress.add(sequences: 4, rows: 31, symbols: 27, lossSum: 0.1) }
    state.snapshots = [
      TrainingRunIndex.Snapshot(
        step: 2, file: "weights-2.safetensors", sha256: "ff", kind: .grammar, sequences: 8,
        rows: 62, symbols: 54)
    ]
    let metadata = state.metadata
    guard let text = metadata["state"] else { preconditionFailure("a state without its text") }
    return FuzzTarget("state", seeds: [Array(text.utf8)], words: words) { bytes in
      var metadata = metadata
      metadata["state"] = String(decoding: bytes, as: UTF8.self)
      _ = try ResumeState(metadata: metadata, id: "0123456789ab", kind: .grammar, path: "x")
    }
  }

  static func metrics(_ scratch: ScratchDirectory) throws -> FuzzTarget {
    let line = #"{"characters":52,"gradientNorm":0.25,"loss":1.1,"rows":60,"step":2}"# + "\n"
    let whole = Array(String(repeating: line, count: 5).utf8)
    let digest = SHA256.hex(of: whole)
    let file = try scratch.file("metrics.jsonl")
    return FuzzTarget("metrics", seeds: [whole], words: words) { bytes in
      try file.put(bytes)
      let log = try MetricsLog(path: file.path, bytes: whole.count, digest: digest)
      // A longer file is one that a kill left: it is cut back to what the checkpoint knows.
      guard bytes.starts(with: whole), log.bytes == whole.count else {
        throw Finding(target: "metrics", problem: "altered lines were taken for the run's own")
      }
    }
  }

  private static let words = [
    "\"stage\":", "\"version\":", "\"id\":", "\"shards\":", "\"digest\":", "\"columns\":",
    "\"steps\": ", "\"epochs\": ", "\"kind\": ", "1.5", "\"linear\"", "\"log\"", "[[[[", "{\"a\":",
  ]

  /// Spells the value again with a digest that fits it.
  private static func reseal(_ bytes: inout [UInt8]) -> Bool {
    guard case .object(var members)? = try? ConfigValue.parse(json: bytes, source: "x") else {
      return false
    }
    members["digest"] = nil
    members["digest"] = .string(SHA256.hex(of: ConfigValue.object(members).canonicalJSON))
    bytes = Array(ConfigValue.object(members).prettyJSON.utf8)
    return true
  }
}
