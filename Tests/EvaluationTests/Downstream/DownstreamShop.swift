import Checkpoints
import Contracts
import Engine
import Evaluation
import Foundation
import Models
import NGrams
import Support
import Testing
import Tokenization

/// A directory with a finished run over the tokens of the fixtures' tokenizer, made by hand, and tasks.
struct DownstreamShop {
  let directory = NSTemporaryDirectory() + "downstream-\(UUID().uuidString)"
  let tokenizer: StageConfiguration.Input
  let bytePairs: BytePairModel
  static let context = 40

  init() throws {
    let path = try Self.fixture("tokenizer.json")
    (tokenizer, bytePairs) = try BytePairModel.input(path: path)
    try AtomicFile.makeDirectory(directory)
  }

  static func fixture(_ name: String) throws -> String {
    try #require(Bundle.module.url(forResource: "Fixtures/downstream/\(name)", withExtension: nil))
      .path
  }

  /// The questions that lie in the project.
  static let questions =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path + "/data/texts/questions.jsonl"

  func remove() { try? FileManager.default.removeItem(atPath: directory) }

  var vocabulary: Int { bytePairs.vocabularySize }

  func metadata(tokenizer: String? = nil) -> ConfigValue {
    [
      "kind": "text", "content": "ngramIDs", "order": 3, "vocabulary": .integer(vocabulary),
      "tokenizer": .string(tokenizer ?? self.tokenizer.id), "labels": .integer(vocabulary),
      "labelBytes": .array((0..<vocabulary).map { _ in 1 }),
      "inputs": [["order": 1, "rows": .integer(vocabulary)]],
    ]
  }

  /// Two tables of 2- and 3-grams each, or none.
  func layout(rows: Int) throws -> OverEncodingLayout? {
    rows == 0
      ? nil
      : try OverEncodingLayout(
        vocabulary: vocabulary, order: 3, slices: 2, rows: rows, width: 16, moduli: .coprime)
  }

  func model(rows: Int, lookBack: LookBack = .document) throws -> ModelConfiguration {
    let input: any Input =
      if let layout = try layout(rows: rows) {
        OverEncoding(layout: layout, lookBack: lookBack, deviation: 1)
      } else {
        TableSum([.init(order: 1, rows: vocabulary)])
      }
    return try ModelConfiguration(
      input: input,
      trunk: GPT2(TrunkSize(layers: 2, width: 16, heads: 2, context: Self.context)),
      labels: vocabulary)
  }

  /// Larger than at the start of training, so that answers differ.
  func weights(_ step: Int, rows: Int) throws -> ParameterStore {
    let store = try model(rows: rows).makeParameters(moments: false)
    store.initialize(seed: UInt64(step))
    for slot in store.layout.slots where slot.shape.count > 1 {
      store.withMutableFloats(slot, of: .weights) { values in
        for i in values.indices { values[i] *= 10 }
      }
    }
    return store
  }

  func writeRun(
    rows: Int = 0, lookBack: LookBack = .document, data: ConfigValue? = nil
  ) throws -> StageConfiguration.Input {
    let snapshots = try [1, 2].map { step in (step, try weights(step, rows: rows)) }
    var members: [String: ConfigValue] = [
      "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2,
      "context": .integer(Self.context), "tied": false,
      "inputs": [["order": 1, "rows": .integer(vocabulary)]], "labels": .integer(vocabulary),
    ]
    if rows > 0 {
      members["overEncoding"] = [
        "order": 3, "slices": 2, "rows": .integer(rows), "deviation": 1.0,
        "lookBack": .string(lookBack.rawValue),
      ]
    }
    return try writeRun(
      members, data: data ?? metadata(), parameters: model(rows: rows).parameterCount
    ) { path in
      try snapshots.map { step, store in
        let name = "weights-\(step).safetensors"
        let hash = try ParameterFile.write(store, arrays: [.weights], to: path + "/" + name)
        return (step, name, hash)
      }
    }
  }

  /// A run directory whose snapshots `write` leaves in it.
  func writeRun(
    _ model: [String: ConfigValue], data: ConfigValue, parameters: Int,
    _ write: (String) throws -> [(step: Int, file: String, sha256: String)]
  ) throws -> StageConfiguration.Input {
    let configuration = StageConfiguration(
      stage: "train", version: 1,
      parameters: ["kind": "text", "model": .object(model), "data": data])
    let path = directory + "/run\(configuration.id)"
    try AtomicFile.makeDirectory(path)
    let snapshots = try write(path)
    try StageIndex.write(
      to: path, configuration: configuration,
      content: [
        "model": .object(model), "data": data, "parameterCount": .integer(parameters),
        "steps": .integer(snapshots[snapshots.count - 1].step), "windows": 16, "rows": 160,
        "bytes": 140, "finalLoss": 1.5, "seed": 7, "dataSeed": 7,
        "snapshots": .array(
          snapshots.map {
            TrainingRunIndex.Snapshot(
              step: $0.step, file: $0.file, sha256: $0.sha256, kind: .text, sequences: 8, rows: 80,
              symbols: 70
            ).value
          }),
      ])
    return .init(id: configuration.id, path: path)
  }

  /// A file as an input.
  func task(_ path: String = questions) throws -> StageConfiguration.Input {
    .init(id: String(SHA256.hex(of: try FileBytes.read(path)).prefix(12)), path: path)
  }

  func configuration(
    _ inputs: [String: StageConfiguration.Input], _ changes: [String: ConfigValue] = [:]
  ) throws -> StageConfiguration {
    var parameters: [String: ConfigValue] = [
      "tasks": [["name": "some", "metric": "lenNorm"]], "questions": 0, "seed": 0,
      "onlyLast": false,
    ]
    parameters.merge(changes) { $1 }
    return StageConfiguration(
      stage: "downstream", version: 1, parameters: .object(parameters), inputs: inputs,
      source: "downstream.json")
  }

  func write(_ run: DownstreamRun, to name: String, threads: Int = 2) throws
    -> [DownstreamSnapshotScores]
  {
    try AtomicFile.makeDirectory("\(directory)/\(name)")
    return try run.write(to: "\(directory)/\(name)", threads: threads) { _ in }
  }
}
