import Checkpoints
import Contracts
import Engine
import Kernels
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
    ranks: any Communicator, tables: TablePlacement, tableMemory: DeviceTablePlace?, source: String
  ) throws -> any TrainingDevice {
    let training = parameters.training
    guard let device = training.device else {
      if let tableMemory {
        throw UserError(
          "\(source): --device-tables \(tableMemory.rawValue)",
          expected: "training.device, a device",
          found: "a training on the CPU", remedy: "Leave it out, or of make DEVICE_TABLES.")
      }
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
      plan: plan, parameters: store, lanes: training.lanes, library, source: source,
      tableMemory: tableMemory, threads: threads)
  }

  /// What a checkpoint and the evidence say of what multiplies matrices, which decides bits: the kernels of
  /// this CPU, or a device and its library.
  func maker(_ engine: any TrainingDevice) -> [String: String] {
    if let engine = engine as? DeviceTrainingEngine {
      return [
        "libtorch": "\(engine.library.version)", "trainingDevice": engine.library.device.rawValue,
      ]
    }
    var maker = [TrainingKernels.core: BLAS.coreName]
    if parameters.training.precision == .bfloat16 {
      maker[TrainingKernels.bfloat16] = BFloat16Kernel.current.bits.rawValue
    }
    return maker
  }

  /// - Throws: `UserError` for a checkpoint that another maker wrote.
  func requireMaker(of file: SafeTensorsFile, _ engine: any TrainingDevice) throws {
    for (key, value) in maker(engine) {
      let other = file.metadata[key] ?? TrainingKernels.unnamed[key] ?? value
      if other == value { continue }
      throw UserError(
        "\(file.path): checkpoint of another \(key)", expected: value, found: other,
        remedy: "Train with that one, or delete the checkpoint to train from the start.")
    }
  }

  /// Ranks on processors of two kinds would each round in their own way.
  ///
  /// - Throws: `UserError` on ranks that multiply by other kernels than rank 0.
  func requireOneMaker(_ engine: any TrainingDevice, _ ranks: any Communicator, source: String)
    throws
  {
    let own = maker(engine)
    let first = try ranks.broadcast(own)
    for (key, value) in own where first[key] != value {
      throw UserError(
        "\(source): \(key) of rank \(ranks.rank)", expected: "\(first[key] ?? "none") as on rank 0",
        found: value,
        remedy: "Use machines of one kind, or set \(BFloat16Kernel.variable) to one that all have.")
    }
  }
}

/// The kernels of matrix products by which a run was begun: it goes on by the same.
package enum TrainingKernels {
  /// What a checkpoint calls them: behind its `digest`, which must be the first.
  static let core = "kernelBLAS"
  static let bfloat16 = "kernelBFloat16"
  /// What made checkpoints that do not name them.
  static let unnamed = [bfloat16: BFloat16Kernel.avx512.rawValue]

  /// Makes this process multiply as the checkpoint in `output` was made, if there is one. Call it first
  /// in `main`, as `BLAS.configure`.
  ///
  /// - Throws: `UserError` where this machine has no such kernels.
  package static func configure(output: String) throws {
    let path = "\(output)/checkpoint.safetensors"
    guard let metadata = (try? SafeTensorsFile(path: path))?.metadata, metadata["libtorch"] == nil
    else { return try BLAS.configure() }
    try BLAS.configure(
      core: metadata[core], bfloat16: metadata[bfloat16] ?? unnamed[bfloat16], source: path)
  }
}
