import Foundation
import Parallel
import Support
import Testing
import Training

/// Ranks that share the lanes of a run, as threads.
@Suite struct TrainerRankTests {
  @discardableResult
  static func train(
    _ configuration: StageConfiguration, in output: String, ranks: Int, stopAfter: Int? = nil
  ) throws -> [TrainingSummary] {
    try AtomicFile.makeDirectory(output)
    return try ThreadCommunicator.run(size: ranks) { ranks in
      try TrainingStage.run(
        configuration, output: output, threads: 1, isQuiet: true,
        // Another rank's wish to stop counts for nothing.
        stopAfter: ranks.decides ? stopAfter : 1, ranks: ranks)
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
