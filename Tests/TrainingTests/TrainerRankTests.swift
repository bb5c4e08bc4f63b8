import Checkpoints
import Contracts
import Engine
import Foundation
import Kernels
import Models
import NGrams
import Parallel
import Support
import Testing
import Training

/// Ranks that share the lanes of a run, as threads.
@Suite struct TrainerRankTests {
  @discardableResult
  static func train(
    _ configuration: StageConfiguration, in output: String, ranks: Int, threads: Int = 1,
    tables: TablePlacement = .sharded, stopAfter: Int? = nil
  ) throws -> [TrainingSummary] {
    try AtomicFile.makeDirectory(output)
    return try ThreadCommunicator.run(size: ranks) { ranks in
      try TrainingStage.run(
        configuration, output: output, threads: threads, isQuiet: true,
        // Another rank's wish to stop counts for nothing.
        stopAfter: ranks.decides ? stopAfter : 1, ranks: ranks, tables: tables)
    }
  }

  /// The files of one, two and four ranks, in one go and with a stop that the next number of ranks
  /// goes on from, are the same bytes.
  @Test(arguments: [1, 2, 4]) func ranksChangeNoByte(ranks: Int) throws {
    try withTemporaryDirectory { directory in
      let configuration = TrainerTests.configuration(try MapFixture.write(in: directory))
      let expected = "\(directory)/one"
      try TrainerTests.train(configuration, in: expected, threads: 2)
      let (whole, parts) = ("\(directory)/whole", "\(directory)/parts")
      let summaries = try Self.train(configuration, in: whole, ranks: ranks)
      #expect(summaries.allSatisfy { $0.outcome == .finished })
      let stopped = try Self.train(configuration, in: parts, ranks: ranks, stopAfter: 9)
      #expect(stopped.allSatisfy { $0.outcome == .stopped(step: 9) })
      let resumed = try Self.train(configuration, in: parts, ranks: 4 / ranks)
      #expect(resumed.allSatisfy { $0.resumedStep == 9 })
      let files = try MapFixture.files(expected)
      #expect(try MapFixture.files(whole) == files)
      #expect(try MapFixture.files(parts) == files)
    }
  }

  /// Tables whose rows ranks share or have all: the bytes of one process, also where another number of ranks
  /// goes on.
  @Test(arguments: TableMoments.allCases) func tablesOnManyRanksChangeNoByte(moments: TableMoments)
    throws
  {
    try withTemporaryDirectory { directory in
      let configuration = OverEncodedRunTests.configuration(
        try TextFixture.write(in: directory), moments: moments.rawValue,
        [("training.lanes", 4), ("snapshots.initial", true)])
      let expected = "\(directory)/one"
      let stopped = "\(directory)/stopped"
      try TrainerTests.train(configuration, in: expected, threads: 2)
      try TrainerTests.train(configuration, in: stopped, stopAfter: 7)
      let files = try MapFixture.files(expected)
      let half = try MapFixture.files(stopped)
      for (ranks, next, tables) in [
        (2, 4, TablePlacement.sharded), (4, 1, .sharded), (4, 2, .replicated), (1, 4, .sharded),
      ] {
        let output = "\(directory)/\(ranks)-\(tables)"
        try Self.train(
          configuration, in: output, ranks: ranks, threads: 2, tables: tables, stopAfter: 7)
        #expect(try MapFixture.files(output) == half, "\(ranks) ranks, \(tables)")
        try Self.train(configuration, in: output, ranks: next)
        #expect(try MapFixture.files(output) == files, "\(ranks), then \(next) ranks, \(tables)")
      }
    }
  }

  /// Weights of another run, its tables among them, come to ranks as to one process.
  @Test func ranksBeginWithOtherWeights() throws {
    try withTemporaryDirectory { directory in
      let input = try TextFixture.write(in: directory)
      let first = OverEncodedRunTests.configuration(input, [("training.lanes", 4)])
      try TrainerTests.train(first, in: "\(directory)/first")
      let index = try TrainingRunIndex(directory: "\(directory)/first")
      let plain = OverEncodedRunTests.configuration(
        input, [("training.lanes", 4), ("seed", 9), ("snapshots.initial", true)])
      let second = StageConfiguration(
        stage: plain.stage, version: plain.version, parameters: plain.parameters,
        inputs: [
          "data": input,
          "initial": StageConfiguration.Input(id: index.id, path: "\(directory)/first"),
        ], source: "train.json")
      try TrainerTests.train(second, in: "\(directory)/alone")
      try Self.train(second, in: "\(directory)/ranks", ranks: 4)
      let files = try MapFixture.files("\(directory)/alone")
      #expect(try MapFixture.files("\(directory)/ranks") == files)
    }
  }

  /// A share that does not fit: how much it is, and how many ranks would do.
  @Test func aShareThatDoesNotFitIsRefused() throws {
    let encoding = OverEncoding(
      layout: try OverEncodingLayout(
        vocabulary: 300, order: 3, slices: 2, rows: 1_000_000, width: 32, moduli: .coprime))
    let whole = encoding.bytes(moments: .float32)
    let message = { (memory: Int, neighbours: Int, ranks: Int) -> String? in
      do {
        try TableBudget.check(
          encoding, moments: .float32, memoryBytes: memory, neighbours: neighbours, ranks: ranks,
          source: "run.json")
        return nil
      } catch { return "\(error)" }
    }
    #expect(message(2 * whole, 1, 1) == nil)
    #expect(message(2 * whole, 2, 1)?.contains("that 2 ranks have together") == true)
    #expect(message(2 * whole, 2, 2) == nil)
    #expect(message(whole / 2, 1, 2)?.contains("for each of 2 ranks") == true)
    #expect(message(whole / 2, 1, 2)?.contains("or share them among 4 ranks") == true)
    #expect(message(whole / 2, 1, 1)?.contains("or share them among 4 ranks") == true)
    #expect(message(whole / 2, 1, 4) == nil)
  }

  @Test(arguments: [3, 8]) func ranksThatDoNotFitTheLanesAreRefused(ranks: Int) throws {
    try withTemporaryDirectory { directory in
      let configuration = TrainerTests.configuration(try MapFixture.write(in: directory))
      let error = #expect(throws: UserError.self) {
        try Self.train(configuration, in: "\(directory)/run", ranks: ranks)
      }
      #expect(error?.description.contains("a power of two of at most 4, the lanes") == true)
    }
  }

  /// Rank 0 cannot write its log: the others do not wait for it for ever.
  @Test func anErrorOfOneRankEndsAll() throws {
    try withTemporaryDirectory { directory in
      let configuration = TrainerTests.configuration(try MapFixture.write(in: directory))
      let output = "\(directory)/run"
      try AtomicFile.makeDirectory("\(output)/metrics.jsonl")
      let error = #expect(throws: UserError.self) {
        try Self.train(configuration, in: output, ranks: 4)
      }
      #expect(error?.description.contains("metrics.jsonl") == true)
    }
  }
}
