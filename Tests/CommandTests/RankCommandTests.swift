import Foundation
import Kernels
import Support
import Testing

/// An MPI that is installed, with what tools/build-mpi has made for it.
private struct MPI: CustomTestStringConvertible {
  let name: String
  var launcher: String { "mpirun.\(name)" }
  var testDescription: String { name }

  static let installed = ["openmpi", "mpich"].map(MPI.init).filter { mpi in
    FileBytes.exists("\(Program.directory)/mpi/\(mpi.name).so")
      && FileBytes.exists("/usr/bin/\(mpi.launcher)")
  }
}

/// ott-train as several processes, started by both MPIs' launchers.
@Suite(
  .serialized,
  .disabled(if: MPI.installed.isEmpty, "no MPI: apt-get install libopenmpi-dev, then make mpi"))
struct RankCommandTests {
  private let stages: TextStages

  init() throws { stages = try TextStages() }

  // MARK: - Runs

  private static let tables: ConfigValue = [
    "moments": "float32", "weightDecay": 0.05, "learningRateMultiplier": 2,
  ]

  private static func configuration(
    _ architecture: String, overEncoding: Bool = false, precision: String = "float32",
    epochs: Int = 2, checkpoints: Int = 3, learningRate: Double = 0.005
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
      model["overEncoding"] = ["order": 3, "slices": 2, "rows": 701]
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
      "snapshots": ["count": 2, "spacing": "linear", "initial": false], "seed": 1, "dataSeed": 2,
    ]
  }

  private func map() throws -> StageConfiguration.Input {
    let tokenizer = try stages.tokenizer()
    let tokens = try stages.tokens(tokenizer)
    let (result, input) = try stages.run(
      "map", ["kind": "text", "content": "ngramIDs", "order": 3, "documentsPerShard": 13],
      ["tokens": tokens, "tokenizer": tokenizer], name: "map")
    #expect(result.status == 0, "\(result.all)")
    return input
  }

  /// Writes a configuration; the path of its file.
  private func write(
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

  private func start(
    _ mpi: MPI, ranks: Int, threads: Int = 1, _ config: String, output: String,
    _ more: [String] = [], environment: [String: String] = [:]
  ) throws -> Program.Running {
    try Program.start(
      "\(Program.project)/tools/ranks",
      [
        "\(ranks)", "\(Program.directory)/ott-train", "--config", config, "--output",
        "\(stages.directory)/\(output)", "--threads", "\(threads)",
      ] + more, in: stages.directory,
      environment: ["MPIRUN": mpi.launcher].merging(environment) { $1 })
  }

  private func alone(_ config: String, output: String) throws -> Program.Result {
    try Program.run(
      "ott-train",
      ["--config", config, "--output", "\(stages.directory)/\(output)", "--threads", "2"])
  }

  /// What a run is: every file that belongs to its identity.
  private func identity(_ output: String) throws -> [String: String] {
    let path = "\(stages.directory)/\(output)"
    let names = try AtomicFile.names(in: path).filter { $0 != "evidence.json" }
    return try names.reduce(into: [:]) {
      $0[$1] = SHA256.hex(of: try FileBytes.read("\(path)/\($1)"))
    }
  }

  // MARK: - Bits

  /// Stopped in the middle, so that the moments are among the bytes; then to the end by other ranks.
  @Test(arguments: Precision.allCases.filter(\.isAvailable))
  func ranksChangeNoBit(precision: Precision) throws {
    let data = try map()
    for (name, overEncoding) in [
      ("gpt2", false), ("olmo2", false), ("olmoe", false), ("olmo2", true),
    ] {
      let kind = "\(name)-\(overEncoding)"
      let config = try write(
        Self.configuration(name, overEncoding: overEncoding, precision: precision.rawValue), data,
        name: kind)
      let stop = ["--stop-after", "4"]
      let half = try Program.run(
        "ott-train",
        ["--config", config, "--output", "\(stages.directory)/\(kind)", "--threads", "2"] + stop)
      #expect(half.status == 0, "\(half.all)")
      let stopped = try identity(kind)
      #expect(stopped.keys.contains("checkpoint.safetensors"))
      let whole = try alone(config, output: kind)
      #expect(whole.status == 0, "\(whole.all)")
      let expected = try identity(kind)
      for mpi in MPI.installed {
        // Two of them, then eight; four of them, then a process alone.
        for (ranks, threads) in [(2, 2), (4, 1)] {
          let output = "\(kind)-\(mpi.name)-\(ranks)"
          let first = try start(
            mpi, ranks: ranks, threads: threads, config, output: output, stop
          ).wait()
          #expect(first.status == 0, "\(first.all)")
          #expect(first.output.contains("stopped after step 4"), "\(first.all)")
          #expect(try identity(output) == stopped, "\(output), stopped")
          let second =
            ranks == 4
            ? try alone(config, output: output)
            : try start(mpi, ranks: 8, config, output: output).wait()
          #expect(second.status == 0, "\(second.all)")
          #expect(try identity(output) == expected, "\(output), at the end")
        }
      }
    }
  }

  @Test func theEvidenceNamesTheRanks() throws {
    let config = try write(Self.configuration("gpt2", epochs: 1), map(), name: "named")
    for mpi in MPI.installed {
      for ranks in [1, 2] {
        let output = "\(mpi.name)-\(ranks)"
        let result = try start(
          mpi, ranks: ranks, config, output: output, ["--ranks", "\(ranks)"]
        ).wait()
        #expect(result.status == 0, "\(result.all)")
        #expect(result.output.split(separator: "\n").count == 1, "\(result.all)")
        let text = String(
          decoding: try FileBytes.read("\(stages.directory)/\(output)/evidence.json"), as: UTF8.self
        )
        #expect(text.contains("\"ranks\":\(ranks)") || text.contains("\"ranks\": \(ranks)"))
        #expect(text.contains("\"mpi\"") == (ranks > 1))
      }
      // Finished: nobody does it again, and one says so.
      let again = try start(mpi, ranks: 2, config, output: "\(mpi.name)-2").wait()
      #expect(again.status == 0 && again.output.contains("is finished"), "\(again.all)")
      #expect(again.output.split(separator: "\n").count == 1)
    }
  }

  // MARK: - Deaths

  /// Processes of ott-train that make `output`, by rank.
  private func processes(_ output: String) throws -> [Int: Int32] {
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

  /// Kills and stops of one rank: the job ends soon, with one message that names it, and goes on with
  /// another number of ranks. MPICH's launcher kills the others itself, sometimes before they have spoken.
  @Test func aRankThatIsNoMoreEndsAll() throws {
    let data = try map()
    let config = try write(
      Self.configuration("gpt2", overEncoding: true, epochs: 100, checkpoints: 10), data,
      name: "kill")
    #expect(try alone(config, output: "whole").status == 0)
    let expected = try identity("whole")
    for mpi in MPI.installed {
      let output = "killed-\(mpi.name)"
      let checkpoint = "\(stages.directory)/\(output)/checkpoint.safetensors"
      for (ranks, victim, signal) in [
        (4, 2, SIGKILL), (2, 1, SIGKILL), (2, 0, SIGKILL), (4, 1, SIGSTOP), (8, 7, SIGKILL),
      ] {
        let before = try? FileBytes.read(checkpoint)
        let running = try start(mpi, ranks: ranks, config, output: output)
        while running.process.isRunning, (try? FileBytes.read(checkpoint)) == before {
          usleep(2000)
        }
        guard let process = try processes("\(stages.directory)/\(output)")[victim] else {
          // Done before it was found.
          #expect(try running.wait().status == 0, "rank \(victim) was not found")
          break
        }
        kill(process, signal)
        let start = Host.monotonicSeconds
        let result = try running.wait()
        let seconds = Host.monotonicSeconds - start
        guard result.status != 0 else { break }
        #expect(seconds < 10, "\(mpi.name) \(ranks) \(victim) \(signal)")
        let messages = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
        #expect(messages.count <= 1, "\(mpi.name) \(ranks) \(victim) \(signal): \(result.all)")
        if mpi.name == "mpich" && messages.isEmpty {
          #expect(result.all.contains("EXIT STRING"), "\(result.all)")
        } else {
          #expect(
            messages.first?.hasPrefix("error: rank \(victim) (process \(process) on ") == true,
            "\(result.all)")
        }
        #expect(!FileBytes.exists("\(stages.directory)/\(output)/index.json"))
        kill(process, SIGCONT)
      }
      let last = try start(mpi, ranks: 2, config, output: output).wait()
      #expect(last.status == 0, "\(last.all)")
      #expect(try identity(output) == expected)
    }
  }

  /// SIGTERM to the launcher, as a batch system sends it.
  @Test func signalsLeaveACheckpoint() throws {
    let config = try write(
      Self.configuration("gpt2", epochs: 150, checkpoints: 1000), map(), name: "signal")
    #expect(try alone(config, output: "whole").status == 0)
    for mpi in MPI.installed {
      let output = "signalled-\(mpi.name)"
      let running = try start(mpi, ranks: 2, config, output: output)
      let path = "\(stages.directory)/\(output)"
      while running.process.isRunning, !FileBytes.exists("\(path)/metrics.jsonl") { usleep(2000) }
      let ranks = try processes(path)
      for (_, process) in ranks.sorted(by: { $0.key < $1.key }) { kill(process, SIGTERM) }
      let result = try running.wait()
      #expect(result.status != 0, "\(result.all)")
      #expect(result.errors.contains("Run the same command again to go on"), "\(result.all)")
      #expect(result.errors.contains("error: interrupted by signal 15"), "\(result.all)")
      #expect(FileBytes.exists("\(path)/checkpoint.safetensors"))
      #expect(try alone(config, output: output).status == 0)
      #expect(try identity(output) == identity("whole"))
    }
  }

  // MARK: - Bad input

  private func expectOneMessage(_ result: Program.Result, _ text: String) {
    #expect(result.status == 1, "\(result.all)")
    let messages = result.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(messages.count == 1, "\(result.all)")
    #expect(messages.first?.contains(text) == true, "\(result.all)")
  }

  @Test func oneMessageFromOneRank() throws {
    let data = try map()
    let config = try write(Self.configuration("gpt2"), data, name: "good")
    let wild = try write(
      Self.configuration("gpt2", learningRate: 1e30), data, name: "wild")
    for mpi in MPI.installed {
      let run = { (ranks: Int, config: String, more: [String], environment: [String: String]) in
        try start(
          mpi, ranks: ranks, config, output: "bad-\(mpi.name)", more, environment: environment
        ).wait()
      }
      expectOneMessage(try run(3, config, [], [:]), "a power of two of at most 8, the lanes")
      expectOneMessage(try run(16, config, [], [:]), "a power of two of at most 8, the lanes")
      expectOneMessage(
        try run(2, config, ["--ranks", "4"], [:]), "--ranks: expected 4 ranks, found 2")
      expectOneMessage(try run(4, wild, [], [:]), "training diverged at step")
      expectOneMessage(
        try run(2, "\(stages.directory)/none.json", [], [:]), "none.json")
      // The other MPI: every rank would believe that it is alone.
      if let wrong = MPI.installed.first(where: { $0.name != mpi.name }) {
        expectOneMessage(
          try run(2, config, [], ["OVERTOKEN_MPI": wrong.name]), "ranks: expected 2, as ")
      }
      expectOneMessage(try run(2, config, [], ["OVERTOKEN_MPI": "nowhere"]), "Run: make mpi")
    }
  }

  /// Ranks that are not alike, or do not see the same files.
  @Test func ranksThatDifferAreRefused() throws {
    let data = try map()
    _ = try write(Self.configuration("gpt2"), data, name: "good")
    _ = try write(Self.configuration("olmo2"), data, name: "other")
    // Another build, and a place that is not shared.
    let place = stages.directory + "/place"
    try AtomicFile.makeDirectory(place)
    let files = FileManager.default
    try files.copyItem(
      atPath: "\(Program.directory)/ott-train", toPath: place + "/ott-train")
    let handle = try #require(FileHandle(forWritingAtPath: place + "/ott-train"))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data([0]))
    try handle.close()
    try files.createSymbolicLink(
      atPath: place + "/mpi", withDestinationPath: "\(Program.directory)/mpi")
    try files.copyItem(atPath: stages.directory + "/good.json", toPath: place + "/good.json")
    let plain = "$0 --config good.json --output out"
    for mpi in MPI.installed {
      for (ofRankOne, message) in [
        (
          "exec $0 --config other.json --output out", "was started with another command than rank 0"
        ),
        ("exec place/ott-train --config good.json --output out", "runs another build than rank 0"),
        ("cd place && exec \(plain)", "to see out/evidence.json, which rank 0 has written"),
      ] {
        let result = try Program.start(
          "\(Program.project)/tools/ranks",
          [
            "2", "/bin/sh", "-c",
            "[ ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} = 0 ] || { \(ofRankOne); }; exec \(plain)",
            "\(Program.directory)/ott-train",
          ], in: stages.directory, environment: ["MPIRUN": mpi.launcher]
        ).wait()
        expectOneMessage(result, "error: rank 1 on \(Host.name)")
        expectOneMessage(result, message)
      }
    }
  }

  @Test func aRankMoreThanWereStarted() throws {
    let config = try write(Self.configuration("gpt2"), map(), name: "good")
    let result = try Program.run(
      "ott-train", ["--config", config, "--output", "\(stages.directory)/x", "--ranks", "2"])
    expectOneMessage(result, "--ranks: expected 2 ranks, found one, started by no launcher")
  }
}
