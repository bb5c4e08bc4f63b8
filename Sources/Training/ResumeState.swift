import Checkpoints
import Contracts
import Support

/// What a checkpoint holds besides weights and moments: who wrote it and how far the run had come.
///
/// The position in the data is the step; see `DataOrder`.
package struct ResumeState: Sendable, Equatable {
  package static let format = "overtoken checkpoint"

  /// Stage id of the run, so that a checkpoint of another configuration is recognised.
  package var id: String
  /// What the counts of `progress` are called.
  package let kind: DataKind
  package var progress = TrainingProgress()
  /// Length of `metrics.jsonl` at this step.
  package var metricsBytes = 0
  /// SHA-256 of so many bytes of it.
  package var metricsDigest = MetricsLog.emptyDigest
  /// Snapshots written so far.
  package var snapshots: [TrainingRunIndex.Snapshot] = []

  package init(id: String, kind: DataKind) {
    self.id = id
    self.kind = kind
  }

  /// The form in a safetensors header. Doubles keep their bits.
  package var metadata: [String: String] {
    var members: [String: ConfigValue] = [
      "step": .integer(progress.step), kind.sequences: .integer(progress.sequences),
      "rows": .integer(progress.rows), kind.symbols: .integer(progress.symbols),
      "windowLoss": .double(progress.windowLoss), "windowRows": .integer(progress.windowRows),
      "metricsBytes": .integer(metricsBytes), "metricsSha256": .string(metricsDigest),
      "snapshots": .array(snapshots.map(\.value)),
    ]
    if !progress.furtherLosses.isEmpty {
      members["losses"] = .array(
        progress.furtherLosses.map {
          ["name": .string($0.name), "sum": .double($0.sum), "rows": .integer($0.rows)]
        })
    }
    let state = ConfigValue.object(members)
    return ["format": Self.format, "id": id, "state": state.canonicalJSON]
  }

  /// Reads the header of the checkpoint at `path`, which must belong to the run `id` of that kind.
  ///
  /// - Throws: `UserError` for a foreign file or a checkpoint of another configuration.
  package init(metadata: [String: String], id: String, kind: DataKind, path: String) throws {
    guard metadata["format"] == Self.format, let state = metadata["state"] else {
      throw UserError(
        path, expected: "a checkpoint of a training run", found: "another safetensors file",
        remedy: "Choose another --output.")
    }
    guard metadata["id"] == id else {
      throw UserError(
        "\(path): checkpoint of another configuration", expected: "id \(id)",
        found: "id \(metadata["id"] ?? "none")",
        remedy: "Choose another --output, or delete this one to train from the start.")
    }
    var reader = try ConfigReader(ConfigValue.parse(json: state, source: path), source: path)
    self.id = id
    self.kind = kind
    progress.step = try reader.int("step", in: 0...Int.max)
    progress.sequences = try reader.int(kind.sequences, in: 0...Int.max)
    progress.rows = try reader.int("rows", in: 0...Int.max)
    progress.symbols = try reader.int(kind.symbols, in: 0...Int.max)
    progress.windowLoss = try reader.double("windowLoss")
    progress.windowRows = try reader.int("windowRows", in: 0...Int.max)
    metricsBytes = try reader.int("metricsBytes", in: 0...Int.max)
    metricsDigest = try reader.string("metricsSha256")
    snapshots = try reader.objects("snapshots").map { entry in
      var entry = entry
      return try TrainingRunIndex.Snapshot(reader: &entry, kind: kind)
    }
    if reader.has("losses") {
      progress.furtherLosses = try reader.objects("losses").map { entry in
        var entry = entry
        let loss = LossWindow(
          name: try entry.string("name"), sum: try entry.double("sum"),
          rows: try entry.int("rows", in: 0...Int.max))
        try entry.finish()
        return loss
      }
    }
    try reader.finish()
  }
}
