import Checkpoints
import Engine
import Models
import Parallel
import Support
import Torch

/// A trained model whose scores libtorch computes, in single precision.
///
/// A device is used by one worker at a time. Which rows run together decides bits, so whoever uses it asks for
/// the same rows together whatever the threads.
package final class DeviceModel: SnapshotModel {
  package let configuration: ModelConfiguration
  package let library: TorchLibrary
  private let parameters: ParameterStore
  private let weights: DeviceWeights

  package var labels: Int { configuration.labels }
  package var tables: Int { configuration.inputs.count }
  package var context: Int { configuration.context }

  /// All weights zero until `load`.
  ///
  /// - Throws: `UserError` where there is no libtorch or no such device, and where it has no room.
  package init(_ configuration: ModelConfiguration, on device: TorchDevice) throws {
    self.configuration = configuration
    library = try TorchLibrary.open(device)
    parameters = configuration.makeParameters(moments: false)
    weights = try DeviceWeights(
      configuration.plan(.scoring, rows: 1), like: parameters, library)
  }

  package func load(_ path: String) throws {
    try ParameterFile.read(into: parameters, arrays: [.weights], from: path)
    try weights.load(parameters)
  }

  package func makeSession(rows: Int, sequences: Int) throws -> any LabelSession {
    try DeviceSession(
      scoring: scoringEngine(rows: rows),
      decoding: DeviceDecodingEngine(
        configuration.plan(.decoding(context: context), rows: max(1, sequences)), weights))
  }

  func scoringEngine(rows: Int) throws -> DeviceScoringEngine {
    try DeviceScoringEngine(configuration.plan(.scoring, rows: max(1, rows)), weights)
  }

  /// What the evidence says of a device and its library, which decide bits.
  ///
  /// - Throws: `UserError` where there is no libtorch or no such device.
  package static func evidence(_ device: TorchDevice) throws -> [String: String] {
    [
      "libtorch": "\(try TorchLibrary.open(device).version)",
      "evaluationDevice": device.rawValue,
    ]
  }
}

extension DeviceScoringEngine: LaneScoring {
  package func labelLogProbabilities(_ lanes: [PackedLane]) throws -> [[Float]] {
    try lanes.map { try labelLogProbabilities($0) }
  }
}

private final class DeviceSession: LabelSession {
  private let scoring: DeviceScoringEngine
  private let decoding: DeviceDecodingEngine
  private var inputs: [Int32] = []

  init(scoring: DeviceScoringEngine, decoding: DeviceDecodingEngine) {
    (self.scoring, self.decoding) = (scoring, decoding)
  }

  func score(rows: [[UInt32]], offsets: [Int], into logProbabilities: inout [Float]) throws {
    let result = try scoring.logProbabilities(PackedLane(rows: rows, offsets: offsets))
    logProbabilities.replaceSubrange(0..<result.count, with: result)
  }

  func restart(sequences: Int) { decoding.reset(sequences: sequences) }

  func begin(sequences: Int) { decoding.begin(sequences: sequences) }

  func retain(_ isLive: (Int) -> Bool) { decoding.retain(isLive) }

  func advance(rows: [[UInt32]], into logProbabilities: inout [Float]) throws {
    inputs.removeAll(keepingCapacity: true)
    for n in 0..<decoding.live {
      for g in rows.indices { inputs.append(Int32(bitPattern: rows[g][n])) }
    }
    let result = try decoding.step(inputs: inputs, tables: rows.count)
    logProbabilities.replaceSubrange(0..<result.count, with: result)
  }
}

extension TorchDevice {
  /// - Throws: `UserError` where several ranks would share it.
  func require(oneOf ranks: any Communicator, _ source: String) throws {
    guard ranks.size > 1 else { return }
    throw UserError(
      "\(source): parameters.device \(rawValue)", expected: "one process",
      found: "\(ranks.size) ranks", remedy: "Start one, or set evaluation.device to cpu.")
  }
}
