import Foundation
import Shards
import Support
import Testing

/// ott-train from the outside: signals, kills, exit codes and messages.
@Suite(.serialized) struct TrainCommandTests {
  let directory: String

  init() throws {
    directory = NSTemporaryDirectory() + "ott-train-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }

  func remove() { try? FileManager.default.removeItem(atPath: directory) }

  /// Writes a map set of 64 documents that count up modulo 3, and the configuration of a run over it.
  func writeConfiguration(
    steps: Int = 600, learningRate: Double = 0.001, context: Int = 24,
    precision: Precision = .float32
  ) throws -> String {
    let map = StageConfiguration(stage: "map", version: 1, parameters: [:])
    let path = directory + "/map"
    try AtomicFile.makeDirectory(path)
    let writer = try ShardSetWriter(
      directory: path, element: .u8,
      columns: [Column("input0", cardinality: 5), Column("label", cardinality: 5)],
      configuration: map)
    try writer.writeShards(count: 1, threads: 1) { _, sink in
      for d in 0..<64 {
        let ids = (0..<d % 23).map { UInt8(($0 + d) % 3 + 2) }
        try sink.append(document: [0] + ids + ids + [1])
      }
    }
    try writer.finish(metadata: [
      "inputs": [["order": 1, "rows": 5]], "labels": 5, "labelCharacters": [0, 0, 1, 1, 1],
    ])
    let file: ConfigValue = [
      "stage": "train", "version": 1,
      "inputs": ["data": ["id": .string(map.id), "path": .string(path)]],
      "parameters": [
        "kind": "grammar",
        "model": [
          "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2,
          "context": .integer(context), "tied": false,
        ],
        "optimizer": [
          "name": "adamw", "learningRate": .double(learningRate), "beta1": 0.9, "beta2": 0.98,
          "epsilon": 1e-8, "weightDecay": 0.1, "clipNorm": 1.0,
        ],
        "schedule": ["kind": "cosine", "warmupSteps": 1, "finalFraction": 0.1],
        "training": [
          "batchSequences": 16, "lanes": 4, "steps": .integer(steps), "checkpointEverySteps": 7,
          "logEverySteps": 5, "precision": .string(precision.rawValue),
        ],
        "snapshots": ["count": 3, "spacing": "linear", "initial": false], "seed": 1, "dataSeed": 2,
      ],
    ]
    let config = directory + "/train-\(steps)-\(context).json"
    try AtomicFile.write(file.prettyJSON, to: config)
    return config
  }

  /// A training under way, and what it says.
  func start(
    _ config: String, output: String, _ extra: [String] = [], environment: [String: String] = [:]
  ) throws -> (process: Process, messages: Pipe) {
    let process = Process()
    let messages = Pipe()
    process.executableURL = Bundle.main.bundleURL.appendingPathComponent("ott-train")
    process.arguments = ["--config", config, "--output", directory + "/" + output] + extra
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardError = messages
    process.standardOutput = messages
    try process.run()
    return (process, messages)
  }

  func run(
    _ config: String, output: String, _ extra: [String] = [], environment: [String: String] = [:]
  ) throws -> (status: Int32, text: String) {
    let (process, messages) = try start(config, output: output, extra, environment: environment)
    let text = String(decoding: messages.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text)
  }

  /// Starts a run and sends `signal` as soon as it has a checkpoint, or a new one. Whether the signal
  /// hit a running process.
  private func interrupt(
    _ config: String, output: String, signal: Int32
  ) throws -> (wasRunning: Bool, status: Int32, text: String) {
    let path = directory + "/" + output + "/checkpoint.safetensors"
    let before = try? FileBytes.read(path)
    let (process, messages) = try start(config, output: output)
    while process.isRunning, (try? FileBytes.read(path)) == before { usleep(500) }
    let wasRunning = process.isRunning
    kill(process.processIdentifier, signal)
    let text = String(decoding: messages.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (wasRunning, process.terminationStatus, text)
  }

  func identity(_ output: String) throws -> [String: String] {
    let path = directory + "/" + output
    var digests: [String: String] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: path)
    where name != "evidence.json" {
      digests[name] = SHA256.hex(of: try FileBytes.read(path + "/" + name))
    }
    return digests
  }

  @Test func killsAndSignalsChangeNoByte() throws {
    defer { remove() }
    let config = try writeConfiguration()
    let whole = try run(config, output: "whole", ["--threads", "1"])
    #expect(whole.status == 0, "\(whole.text)")
    let expected = try identity("whole")
    #expect(
      expected.keys.sorted() == [
        "index.json", "metrics.jsonl", "weights-200.safetensors", "weights-400.safetensors",
        "weights-600.safetensors",
      ])
    var interruptions = 0
    for signal in [SIGKILL, SIGKILL, SIGTERM, SIGKILL, SIGINT, SIGKILL] {
      let result = try interrupt(config, output: "broken", signal: signal)
      guard result.wasRunning, result.status != 0 else { break }
      interruptions += 1
      #expect(!FileBytes.exists(directory + "/broken/index.json"))
      if signal != SIGKILL {
        #expect(result.status == 128 + signal, "\(result.text)")
        #expect(result.text.contains("Run the same command again to go on"))
      }
    }
    #expect(interruptions > 0)
    #expect(try run(config, output: "broken", ["--threads", "2"]).status == 0)
    #expect(try identity("broken") == expected)
  }

  @Test func stopsAfterAStepWithSuccess() throws {
    defer { remove() }
    let config = try writeConfiguration(steps: 30)
    let stopped = try run(config, output: "run", ["--stop-after", "11"])
    #expect(stopped.status == 0)
    #expect(stopped.text.contains("stopped after step 11 of 30"))
    #expect(FileBytes.exists(directory + "/run/checkpoint.safetensors"))
    #expect(!FileBytes.exists(directory + "/run/index.json"))
    #expect(try run(config, output: "run").status == 0)
    #expect(FileBytes.exists(directory + "/run/evidence.json"))
    #expect(try run(config, output: "whole").status == 0)
    #expect(try identity("run") == identity("whole"))
    #expect(try run(config, output: "run", ["--stop-after", "-1"]).status == 2)
  }

  @Test func faultsAreOneMessageAndExitOne() throws {
    defer { remove() }
    let short = try run(writeConfiguration(steps: 20, context: 22), output: "short")
    #expect(short.status == 1)
    #expect(short.text.contains("at least 23 positions, found 22"))
    #expect(short.text.split(separator: "\n").count == 1)
    let wild = try run(writeConfiguration(learningRate: 1e30), output: "wild")
    #expect(wild.status == 1)
    #expect(wild.text.contains("training diverged at step"))
    #expect(!FileBytes.exists(directory + "/wild/index.json"))
  }
}
