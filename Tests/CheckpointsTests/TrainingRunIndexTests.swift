import Checkpoints
import Foundation
import Support
import Testing

@Suite struct TrainingRunIndexTests {
  private let configuration = StageConfiguration(
    stage: "train", version: 1, parameters: ["kind": "text"],
    inputs: ["data": .init(id: "0123456789ab", path: "data/map/0123456789ab")])

  private func content(snapshotSteps: [Int] = [2, 4], sha256: String = "") -> [String: ConfigValue]
  {
    let snapshots = snapshotSteps.map { step in
      TrainingRunIndex.Snapshot(
        step: step, file: "weights-\(step).safetensors", sha256: sha256, kind: .text,
        sequences: step * 8, rows: step * 80, symbols: step * 72
      ).value
    }
    return [
      "model": ["layers": 2], "data": ["kind": "ngram"], "snapshots": .array(snapshots),
      "parameterCount": 100, "steps": 4, "windows": 32, "rows": 320, "bytes": 288,
      "finalLoss": 0.75, "seed": 1, "dataSeed": 2, "metrics": ["file": "metrics.jsonl"],
    ]
  }

  private func withDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory.path + "/\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  @Test func readsWhatARunWrites() throws {
    try withDirectory { directory in
      try StageIndex.write(to: directory, configuration: configuration, content: content())
      let index = try TrainingRunIndex(directory: directory)
      #expect(index.id == configuration.id)
      #expect(index.snapshots.map(\.step) == [2, 4])
      #expect(index.snapshots[1].symbols == 288 && index.sequences == 32)
      #expect(index.path(of: index.snapshots[0]) == "\(directory)/weights-2.safetensors")
      #expect(index.model == ["layers": 2])
      #expect(index.finalLoss == 0.75)
    }
  }

  @Test func verifiesSnapshots() throws {
    try withDirectory { directory in
      let digest = SHA256.hex(of: Array("weights".utf8))
      try StageIndex.write(
        to: directory, configuration: configuration, content: content(sha256: digest))
      let index = try TrainingRunIndex(directory: directory)
      try AtomicFile.write("weights", to: index.path(of: index.snapshots[0]))
      try index.verify(index.snapshots[0])
      try AtomicFile.write("weightz", to: index.path(of: index.snapshots[0]))
      #expect(throws: UserError.self) { try index.verify(index.snapshots[0]) }
      #expect(throws: UserError.self) { try index.verify(index.snapshots[1]) }
    }
  }

  @Test func refusesUnfinishedForeignAndInconsistentRuns() throws {
    func message(_ prepare: (String) throws -> Void) throws -> String {
      try withDirectory { directory in
        try prepare(directory)
        let error = #expect(throws: UserError.self) {
          _ = try TrainingRunIndex(directory: directory)
        }
        return try #require(error).description
      }
    }
    #expect(try message { _ in }.contains("no such file"))
    #expect(
      try message { try AtomicFile.write("x", to: "\($0)/checkpoint.safetensors") }
        .contains("Run ott-train again"))
    let map = StageConfiguration(stage: "map", version: 1, parameters: [:])
    #expect(
      try message { try StageIndex.write(to: $0, configuration: map, content: [:]) }
        .contains("stage 'map'"))
    let early = content(snapshotSteps: [2, 3])
    #expect(
      try message {
        try StageIndex.write(to: $0, configuration: configuration, content: early)
      }.contains("ascend to 4"))
    // The counts are those of the kind, and the kind is always there.
    var sentences = content()
    sentences["sentences"] = sentences.removeValue(forKey: "windows")
    #expect(
      try message {
        try StageIndex.write(to: $0, configuration: configuration, content: sentences)
      }.contains("windows"))
    let unkind = StageConfiguration(stage: "train", version: 1, parameters: [:])
    #expect(
      try message { try StageIndex.write(to: $0, configuration: unkind, content: content()) }
        .contains("parameters.kind"))
    var foreign = content()
    foreign["snapshot"] = 1
    #expect(
      try message {
        try StageIndex.write(to: $0, configuration: configuration, content: foreign)
      }.contains("snapshots"))
  }
}
