import Checkpoints
import Contracts
import Engine
import Models
import Parallel
import Support
import Torch

/// What makes the steps of a run: the workers of this machine, or libtorch.
extension TrainingPlan {
  /// An engine of `model` with the weights of the run's seed.
  ///
  /// - Throws: `UserError` for a device, a model on it or ranks that do not go together.
  func makeEngine(
    _ model: ModelConfiguration, laneCapacity: Int, threads: Int, tableMoments: TableMoments,
    ranks: any Communicator, tables: TablePlacement, source: String
  ) throws -> any TrainingDevice {
    let training = parameters.training
    guard let device = training.device else {
      return TrainingEngine(
        model, seed: parameters.seed, lanes: training.lanes, laneCapacity: laneCapacity,
        threads: threads, precision: training.precision, tableMoments: tableMoments, ranks: ranks,
        tables: tables)
    }
    guard ranks.size == 1 else {
      throw UserError(
        "\(source): training.device \(device.rawValue)", expected: "one process",
        found: "\(ranks.size) ranks", remedy: "Start one, or set training.device to cpu.")
    }
    let plan = model.plan(.training, rows: laneCapacity, precision: training.precision)
    _ = try TorchProgram(plan, moments: tableMoments)
    let library = try TorchLibrary.open(device)
    let store = ParameterStore(layout: plan.layout, moments: true, tableMoments: tableMoments)
    store.initialize(seed: parameters.seed, threads: threads)
    return try DeviceTrainingEngine(
      plan: plan, parameters: store, lanes: training.lanes, library, source: source)
  }

  /// What a checkpoint and the evidence say of a device and its library, which decide bits.
  func maker(_ engine: any TrainingDevice) -> [String: String] {
    guard let engine = engine as? DeviceTrainingEngine else { return [:] }
    return [
      "libtorch": "\(engine.library.version)", "trainingDevice": engine.library.device.rawValue,
    ]
  }

  /// - Throws: `UserError` for a checkpoint that another release of the library wrote.
  func requireMaker(of file: SafeTensorsFile, _ engine: any TrainingDevice) throws {
    for (key, value) in maker(engine) where file.metadata[key] != value {
      throw UserError(
        "\(file.path): checkpoint of another \(key)", expected: value,
        found: file.metadata[key] ?? "none",
        remedy: "Train with that one, or delete the checkpoint to train from the start.")
    }
  }
}
