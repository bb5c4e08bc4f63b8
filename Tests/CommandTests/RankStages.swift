import Foundation
import Kernels
import Support
import Testing

/// An MPI that is installed, with what tools/build-mpi has made for it.
struct MPI: CustomTestStringConvertible {
  let name: String
  var launcher: String { "mpirun.\(name)" }
  var testDescription: String { name }

  static let installed = ["openmpi", "mpich"].map(MPI.init).filter { mpi in
    FileBytes.exists("\(Program.directory)/mpi/\(mpi.name).so")
      && FileBytes.exists("/usr/bin/\(mpi.launcher)")
  }
}

/// Trainings of small models as several processes.
struct RankStages {
  let stages: TextStages
  var directory: String { stages.directory }

  init() throws { stages = try TextStages() }

  private static let tables: ConfigValue = [
    "moments": "float32", "weightDecay": 0.05, "learningRateMultiplier": 2,
  ]

  static func configuration(
    _ architecture: String, overEncoding: Bool = false, precision: String = "float32",
    epochs: Int = 2, checkpoints: Int = 3, learningRate: Double = 0.005, rows: Int = 701,
    snapshots: Int = 2
  ) -> ConfigValue {
    var model: [String: ConfigValue] = [
      "architecture": .string(architecture), "layers": 1, "width": 32, "heads": 2, "context": 24,
      "tied": false,
    ]
    if architecture == "olmoe" {
      let experts: [String: ConfigValue] = [
        "experts": 4, "topK": 2, "ropeTheta": 1e4, "normEpsilon": 1e-5, "expertWidth": 16,
        "normalizeTopK": false, "balanceLoss": 0.01, "zLoss": 0.001,
      ]
      model.merge(experts) { $1 }
    }
    var optimizer: [String: ConfigValue] = [
      "name": "adamw", "learningRate": .double(learningRate), "beta1": 0.9, "beta2": 0.98,
      "epsilon": 1e-8, "weightDecay": 0.1, "clipNorm": 1.0,
    ]
    if overEncoding {
      model["overEncoding"] = ["order": 3, "slices": 2, "rows": .integer(rows)]
      optimizer["tables"] = tables
    }
    return [
      "kind": "text", "model": .object(model), "optimizer": .object(optimizer),
      "schedule": ["kind": "cosine", "warmupSteps": 1, "finalFraction": 0.1],
      "training": [
        "batchSequences": 16, "lanes": 8, "epochs": .integer(epochs),
        "checkpointEverySteps": .integer(checkpoints), "logEverySteps": 2,
        "precision": .string(precision),
      ],
      "snapshots": ["count": .integer(snapshots), "spacing": "linear", "initial": false], "seed": 1,
      "dataSeed": 2,
    ]
  }

  func map() throws -> StageConfiguration.Input {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer)
    let (result, input) = try stages.run(
      "map", ["kind": "text", "content": "ngramIDs", "order": 3, "documentsPerShard": 13],
      ["tokens": tokens, "tokenizer": tokenizer], name: "map")
    #expect(result.status == 0, "\(result.all)")
    return input
  }

  /// Writes a configuration; the path of its file.
  func write(
    _ parameters: ConfigValue, _ data: StageConfiguration.Input, name: String
  ) throws -> String {
    let path = "\(stages.directory)/\(name).json"
    let file: ConfigValue = [
      "stage": "train", "version": 1, "parameters": parameters,
      "inputs": ["data": ["id": .string(data.id), "path": .string(data.path)]],
    ]
    try AtomicFile.write(file.prettyJSON, to: path)
    return path
  }

  func start(
    _ mpi: MPI, ranks: Int, threads: Int = 1, program: String = "ott-train", _ config: String,
    output: String, _ more: [String] = [], environment: [String: String] = [:]
  ) throws -> Program.Running {
    try Program.start(
      "\(Program.project)/tools/ranks",
      [
        "\(ranks)", "\(Program.directory)/\(program)", "--config", config, "--output",
        "\(stages.directory)/\(output)", "--threads", "\(threads)",
      ] + more, in: stages.directory,
      environment: ["MPIRUN": mpi.launcher].merging(environment) { $1 })
  }

  func alone(
    program: String = "ott-train", _ config: String, output: String
  ) throws -> Program.Result {
    try Program.run(
      program,
      ["--config", config, "--output", "\(stages.directory)/\(output)", "--threads", "2"])
  }

  /// What a run is: every file that belongs to its identity.
  func identity(_ output: String) throws -> [String: String] {
    let path = "\(stages.directory)/\(output)"
    let names = try AtomicFile.names(in: path).filter { $0 != "evidence.json" }
    return try names.reduce(into: [:]) {
      $0[$1] = SHA256.hex(of: try FileBytes.read("\(path)/\($1)"))
    }
  }

  /// Processes of ott-train that make `output`, by rank.
  func processes(_ output: String) throws -> [Int: Int32] {
    try AtomicFile.names(in: "/proc").reduce(into: [:]) { found, name in
      guard let process = Int32(name),
        let command = try? Data(contentsOf: URL(filePath: "/proc/\(name)/cmdline")),
        let environment = try? Data(contentsOf: URL(filePath: "/proc/\(name)/environ"))
      else { return }
      let words = command.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      guard words.first?.hasSuffix("/ott-train") == true, words.contains(output) else { return }
      for variable in environment.split(separator: 0) {
        let pair = String(decoding: variable, as: UTF8.self).split(separator: "=", maxSplits: 1)
        if pair.count == 2, ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].contains(pair[0]) {
          found[Int(pair[1]) ?? -1] = process
        }
      }
    }
  }

  func expectOneMessage(_ result: Program.Result, _ text: String) {
    #expect(result.status == 1, "\(result.all)")
    let messages = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(messages.count == 1, "\(result.all)")
    #expect(messages.first?.contains(text) == true, "\(result.all)")
  }
}
