import Contracts
import Support

/// The reading side of a finished training run, or of an imported model, which is one of no steps:
/// `index.json` and the snapshots it lists.
///
/// The model is kept as the plain object that a model configuration is read from, so that this room
/// needs no architecture.
package struct TrainingRunIndex: Sendable {
  /// Weights kept after some step, with what the run had consumed by then.
  package struct Snapshot: Sendable, Equatable {
    package let step: Int
    /// Name in the run's directory.
    package let file: String
    package let sha256: String
    /// What the two counts around `rows` are called in the index, and mean.
    package let kind: DataKind
    package let sequences: Int
    package let rows: Int
    package let symbols: Int

    package init(
      step: Int, file: String, sha256: String, kind: DataKind, sequences: Int, rows: Int,
      symbols: Int
    ) {
      self.step = step
      self.file = file
      self.sha256 = sha256
      self.kind = kind
      self.sequences = sequences
      self.rows = rows
      self.symbols = symbols
    }

    /// Reads the form in the index of a run of that kind.
    package init(reader: inout ConfigReader, kind: DataKind) throws {
      self.kind = kind
      step = try reader.int("step", in: 0...Int.max)
      file = try reader.string("file")
      sha256 = try reader.string("sha256")
      sequences = try reader.int(kind.sequences, in: 0...Int.max)
      rows = try reader.int("rows", in: 0...Int.max)
      symbols = try reader.int(kind.symbols, in: 0...Int.max)
    }

    /// The form in the index.
    package var value: ConfigValue {
      [
        "step": .integer(step), "file": .string(file), "sha256": .string(sha256),
        kind.sequences: .integer(sequences), "rows": .integer(rows),
        kind.symbols: .integer(symbols),
      ]
    }
  }

  package let directory: String
  package let id: String
  /// architecture, layers, width, heads, context, tied, inputs and labels.
  package let model: ConfigValue
  /// Metadata of the map set that the run was trained on.
  package let data: ConfigValue
  /// In ascending order of steps; the last belongs to the last step.
  package let snapshots: [Snapshot]
  package let parameterCount: Int
  package let steps: Int
  package let kind: DataKind
  package let sequences: Int
  package let rows: Int
  package let symbols: Int
  /// Nats per predicted token over the last metrics window; nil for weights that were imported.
  package let finalLoss: Double?
  /// The same of the model's other losses, by name.
  package let finalLosses: [String: Double]
  package let seed: Int
  package let dataSeed: Int

  private static let stages: [Stage] = [.train, .import]

  /// Reads `directory/index.json`.
  ///
  /// - Throws: `UserError` when there is none (the run is unfinished), when it was altered, when it is
  ///   of another stage, or when a field is missing, unknown or of the wrong type.
  package init(directory: String) throws {
    let path = "\(directory)/\(StageIndex.fileName)"
    if !FileBytes.exists(path), FileBytes.exists("\(directory)/checkpoint.safetensors") {
      throw UserError(
        path, expected: "the index of a finished training run",
        found: "a checkpoint of an unfinished one",
        remedy: "Run ott-train again: it goes on where it stopped.")
    }
    let index = try StageIndex(directory: directory)
    guard let stage = Stage(rawValue: index.stage), Self.stages.contains(stage) else {
      throw UserError(
        path, expected: Self.stages.map { "stage '\($0.rawValue)'" }.joined(separator: " or "),
        found: "stage '\(index.stage)'", remedy: "Name the directory of a training run.")
    }
    let least = stage == .train ? 1 : 0
    var parameters = try ConfigReader(index.parameters, source: path, path: "parameters")
    let kind = try parameters.choice("kind", DataKind.self)
    self.kind = kind
    var reader = try index.reader()
    self.directory = directory
    id = index.id
    model = try Self.object(&reader, "model")
    data = try Self.object(&reader, "data")
    parameterCount = try reader.int("parameterCount", in: 1...Int.max)
    let steps = try reader.int("steps", in: least...Int.max)
    self.steps = steps
    sequences = try reader.int(kind.sequences, in: least...Int.max)
    rows = try reader.int("rows", in: least...Int.max)
    symbols = try reader.int(kind.symbols, in: 0...Int.max)
    finalLoss = stage == .train ? try reader.double("finalLoss") : nil
    finalLosses = try Self.losses(&reader)
    seed = try reader.int("seed")
    dataSeed = try reader.int("dataSeed")
    // Of models with losses beside the next-token loss.
    _ = reader.value("finalLosses")
    _ = reader.value("metrics")
    snapshots = try reader.objects("snapshots").map { entry in
      var entry = entry
      return try Snapshot(reader: &entry, kind: kind)
    }
    try reader.finish()
    let ascending = zip(snapshots, snapshots.dropFirst()).allSatisfy { $0.step < $1.step }
    guard ascending, snapshots.last?.step == steps else {
      throw reader.fault(
        "snapshots", expected: "steps that ascend to \(steps)", found: "\(snapshots.map(\.step))",
        remedy: StageIndex.remedy(directory))
    }
  }

  /// `finalLosses`, which only models with several losses have.
  private static func losses(_ reader: inout ConfigReader) throws -> [String: Double] {
    guard case .object(let members)? = reader.value("finalLosses") else { return [:] }
    var losses = try ConfigReader(.object(members), source: reader.source, path: "finalLosses")
    return try Dictionary(
      uniqueKeysWithValues: members.keys.sorted().map { ($0, try losses.double($0)) })
  }

  private static func object(_ reader: inout ConfigReader, _ key: String) throws -> ConfigValue {
    guard let value = reader.value(key), case .object = value else {
      throw reader.fault(key, expected: "an object", found: "none")
    }
    return value
  }

  package func path(of snapshot: Snapshot) -> String { "\(directory)/\(snapshot.file)" }

  /// Compares the digest of a snapshot's file with the index.
  ///
  /// - Throws: `UserError` when the file is missing or has other bytes.
  package func verify(_ snapshot: Snapshot) throws {
    let found = try FileBytes.digest(of: path(of: snapshot))
    guard found == snapshot.sha256 else {
      throw UserError(
        path(of: snapshot), expected: "SHA-256 \(snapshot.sha256)", found: found,
        remedy: StageIndex.remedy(directory))
    }
  }
}
