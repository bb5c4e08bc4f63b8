import Foundation
import Kernels
import Support
import Testing

/// ott-train as several processes, started by both MPIs' launchers.
@Suite(
  .serialized,
  .disabled(if: MPI.installed.isEmpty, "no MPI: apt-get install libopenmpi-dev, then make mpi"))
struct RankCommandTests {
  private let runs: RankStages

  init() throws { runs = try RankStages() }

  // MARK: - Bits

  /// Stopped in the middle, so that the moments are among the bytes; then to the end by other ranks.
  @Test(arguments: Precision.allCases.filter(\.isAvailable))
  func ranksChangeNoBit(precision: Precision) throws {
    let data = try runs.map()
    for (name, overEncoding) in [
      ("gpt2", false), ("olmo2", false), ("olmoe", false), ("olmo2", true),
    ] {
      let kind = "\(name)-\(overEncoding)"
      let config = try runs.write(
        RankStages.configuration(name, overEncoding: overEncoding, precision: precision.rawValue),
        data,
        name: kind)
      let stop = ["--stop-after", "4"]
      let half = try Program.run(
        "ott-train",
        ["--config", config, "--output", "\(runs.directory)/\(kind)", "--threads", "2"] + stop)
      #expect(half.status == 0, "\(half.all)")
      let stopped = try runs.identity(kind)
      #expect(stopped.keys.contains("checkpoint.safetensors"))
      let whole = try runs.alone(config, output: kind)
      #expect(whole.status == 0, "\(whole.all)")
      let expected = try runs.identity(kind)
      for mpi in MPI.installed {
        // Two of them, then eight; four of them, then a process alone.
        for (ranks, threads) in [(2, 2), (4, 1)] {
          let output = "\(kind)-\(mpi.name)-\(ranks)"
          let first = try runs.start(
            mpi, ranks: ranks, threads: threads, config, output: output, stop
          ).wait()
          #expect(first.status == 0, "\(first.all)")
          #expect(first.output.contains("stopped after step 4"), "\(first.all)")
          #expect(try runs.identity(output) == stopped, "\(output), stopped")
          let second =
            ranks == 4
            ? try runs.alone(config, output: output)
            : try runs.start(mpi, ranks: 8, config, output: output).wait()
          #expect(second.status == 0, "\(second.all)")
          #expect(try runs.identity(output) == expected, "\(output), at the end")
        }
      }
    }
  }

  /// Tables on all ranks, stopped in the middle, and then shared.
  @Test func howTablesAreHeldChangesNoBit() throws {
    let config = try runs.write(
      RankStages.configuration("gpt2", overEncoding: true), runs.map(), name: "held")
    #expect(try runs.alone(config, output: "alone").status == 0)
    let expected = try runs.identity("alone")
    for mpi in MPI.installed {
      let first = try runs.start(
        mpi, ranks: 4, config, output: mpi.name, ["--tables", "replicated", "--stop-after", "3"]
      ).wait()
      #expect(first.output.contains("stopped after step 3"), "\(first.all)")
      let second = try runs.start(
        mpi, ranks: 8, config, output: mpi.name, ["--tables", "sharded"]
      ).wait()
      #expect(second.status == 0, "\(second.all)")
      #expect(try runs.identity(mpi.name) == expected)
    }
  }

  /// Four ranks train tables, 1.3 GB with their moments, for which none has the address space.
  @Test func ranksShareWhatNoneCouldHold() throws {
    let config = try runs.write(
      RankStages.configuration(
        "gpt2", overEncoding: true, epochs: 1, checkpoints: 1000, rows: 3_200_000, snapshots: 1),
      runs.map(), name: "large")
    let limited = { (mpi: MPI?, output: String, more: String) in
      let command = "ulimit -v 1200000; exec $0 --config \(config) --output \(output) \(more)"
      let words = ["-c", command, "\(Program.directory)/ott-train"]
      return try Program.start(
        mpi == nil ? "/bin/sh" : "\(Program.project)/tools/ranks",
        mpi == nil ? words : ["4", "/bin/sh"] + words, in: runs.directory,
        environment: mpi.map { ["MPIRUN": $0.launcher] } ?? [:]
      ).wait()
    }
    let alone = try limited(nil, "limited", "--threads 1")
    runs.expectOneMessage(alone, "the tables do not fit in memory")
    runs.expectOneMessage(alone, "share them among 2 ranks with as much memory each")
    let whole = try runs.alone(config, output: "whole")
    #expect(whole.status == 0, "\(whole.all)")
    let expected = try runs.identity("whole")
    for mpi in MPI.installed {
      runs.expectOneMessage(
        try limited(mpi, mpi.name, "--threads 1 --tables replicated"),
        "the tables do not fit in memory")
      let shared = try limited(mpi, mpi.name, "--threads 1")
      #expect(shared.status == 0, "\(shared.all)")
      #expect(try runs.identity(mpi.name) == expected)
    }
  }

  /// Any number of ranks shares an evaluation or tasks, of which rank 0 tells and writes.
  @Test func evaluationsAreShared() throws {
    let data = try runs.map()
    let config = try runs.write(
      RankStages.configuration("olmo2", overEncoding: true, epochs: 1), data, name: "trained")
    let run = try runs.alone(config, output: "trained")
    #expect(run.status == 0, "\(run.all)")
    let path = "\(runs.directory)/trained"
    let trained = try StageConfiguration.Input(id: StageIndex(directory: path).id, path: path)
    try expectSameWithRanks(
      "evaluate",
      [
        "kind": "text", "stride": 8, "batchPositions": 100, "positions": 0, "finalPositions": 0,
        "onlyLast": false,
      ], ["run": trained, "heldout": data], "evaluated 2 snapshots")
    let questions = "\(Program.project)/data/texts/questions.jsonl"
    try expectSameWithRanks(
      "downstream",
      [
        "tasks": [["name": "some", "metric": "acc"]], "questions": 0, "seed": 0, "onlyLast": false,
      ],
      [
        "run": trained, "tokenizer": runs.stages.tokenizer(),
        "some": .init(
          id: String(SHA256.hex(of: FileBytes.read(questions)).prefix(12)), path: questions),
      ], "scored 24 documents")
  }

  /// The output of a stage with any number of ranks is that of one alone, and one of them says what it says.
  private func expectSameWithRanks(
    _ stage: String, _ parameters: ConfigValue, _ inputs: [String: StageConfiguration.Input],
    _ message: String
  ) throws {
    let configuration: ConfigValue = [
      "stage": .string(stage), "version": 1, "parameters": parameters,
      "inputs": .object(inputs.mapValues { ["id": .string($0.id), "path": .string($0.path)] }),
    ]
    let file = "\(runs.directory)/\(stage).json"
    try AtomicFile.write(configuration.prettyJSON, to: file)
    let alone = try runs.alone(program: "ott-\(stage)", file, output: "\(stage)-alone")
    #expect(alone.status == 0, "\(alone.all)")
    // The index names the digests of all that is beside it.
    func index(_ output: String) throws -> [UInt8] {
      try FileBytes.read("\(runs.directory)/\(output)/\(StageIndex.fileName)")
    }
    let expected = try index("\(stage)-alone")
    for mpi in MPI.installed {
      for ranks in [2, 3] {
        let output = "\(stage)-\(mpi.name)-\(ranks)"
        let shared = try runs.start(
          mpi, ranks: ranks, program: "ott-\(stage)", file, output: output
        ).wait()
        #expect(shared.status == 0, "\(shared.all)")
        #expect(shared.output.components(separatedBy: message).count == 2, "\(shared.all)")
        #expect(try index(output) == expected, "\(output)")
      }
    }
  }

  @Test func theEvidenceNamesTheRanks() throws {
    let config = try runs.write(
      RankStages.configuration("gpt2", epochs: 1), runs.map(), name: "named")
    for mpi in MPI.installed {
      for ranks in [1, 2] {
        let output = "\(mpi.name)-\(ranks)"
        let result = try runs.start(
          mpi, ranks: ranks, config, output: output, ["--ranks", "\(ranks)"]
        ).wait()
        #expect(result.status == 0, "\(result.all)")
        #expect(result.output.split(separator: "\n").count == 1, "\(result.all)")
        let text = String(
          decoding: try FileBytes.read("\(runs.directory)/\(output)/evidence.json"), as: UTF8.self
        )
        #expect(text.contains("\"ranks\":\(ranks)") || text.contains("\"ranks\": \(ranks)"))
        #expect(text.contains("\"mpi\"") == (ranks > 1))
      }
      // Finished: nobody does it again, and one says so.
      let again = try runs.start(mpi, ranks: 2, config, output: "\(mpi.name)-2").wait()
      #expect(again.status == 0 && again.output.contains("is finished"), "\(again.all)")
      #expect(again.output.split(separator: "\n").count == 1)
    }
  }

  // MARK: - Bad input

  @Test func oneMessageFromOneRank() throws {
    let data = try runs.map()
    let config = try runs.write(RankStages.configuration("gpt2"), data, name: "good")
    let wild = try runs.write(
      RankStages.configuration("gpt2", learningRate: 1e30), data, name: "wild")
    for mpi in MPI.installed {
      let run = { (ranks: Int, config: String, more: [String], environment: [String: String]) in
        try runs.start(
          mpi, ranks: ranks, config, output: "bad-\(mpi.name)", more, environment: environment
        ).wait()
      }
      runs.expectOneMessage(try run(3, config, [], [:]), "a power of two of at most 8, the lanes")
      runs.expectOneMessage(try run(16, config, [], [:]), "a power of two of at most 8, the lanes")
      runs.expectOneMessage(
        try run(2, config, ["--ranks", "4"], [:]), "--ranks: expected 4 ranks, found 2")
      runs.expectOneMessage(try run(4, wild, [], [:]), "training diverged at step")
      runs.expectOneMessage(
        try run(2, "\(runs.directory)/none.json", [], [:]), "none.json")
      // The other MPI: every rank would believe that it is alone.
      if let wrong = MPI.installed.first(where: { $0.name != mpi.name }) {
        runs.expectOneMessage(
          try run(2, config, [], ["OVERTOKEN_MPI": wrong.name]), "ranks: expected 2, as ")
      }
      runs.expectOneMessage(try run(2, config, [], ["OVERTOKEN_MPI": "nowhere"]), "Run: make mpi")
    }
  }

  /// Ranks that are not alike, or do not see the same files.
  @Test func ranksThatDifferAreRefused() throws {
    let data = try runs.map()
    _ = try runs.write(RankStages.configuration("gpt2"), data, name: "good")
    _ = try runs.write(RankStages.configuration("olmo2"), data, name: "other")
    // Another build, and a place that is not shared.
    let place = runs.directory + "/place"
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
    try files.copyItem(atPath: runs.directory + "/good.json", toPath: place + "/good.json")
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
          ], in: runs.directory, environment: ["MPIRUN": mpi.launcher]
        ).wait()
        runs.expectOneMessage(result, "error: rank 1 on \(Host.name)")
        runs.expectOneMessage(result, message)
      }
    }
  }

  @Test func aRankMoreThanWereStarted() throws {
    let config = try runs.write(RankStages.configuration("gpt2"), runs.map(), name: "good")
    let result = try Program.run(
      "ott-train", ["--config", config, "--output", "\(runs.directory)/x", "--ranks", "2"])
    runs.expectOneMessage(result, "--ranks: expected 2 ranks, found one, started by no launcher")
  }
}
