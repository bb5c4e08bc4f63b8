import ArgumentParser
import Foundation
import Parallel
import Stages
import Support
import Synchronization
import Testing

/// One stage on several ranks, which are threads here.
@Suite struct StageRanksTests {
  typealias Room = RunStageTests.Room

  /// Runs the stage on `size` ranks; how each of them ended.
  private func run(
    _ room: Room, size: Int, _ body: @escaping @Sendable (StageContext) throws -> Void
  ) throws -> [ProcessEnding] {
    let config = room.path + "/config.yaml"
    let output = room.output
    return try ThreadCommunicator.run(size: size) { ranks in
      do {
        let options = try StageOptions.parse(["--config", config, "--output", output, "--quiet"])
        try runStage(.map, options: options, ranks: ranks, body: body)
        return ProcessEnding(status: 0, message: nil)
      } catch {
        return ProcessEnding(of: error)
      }
    }
  }

  @Sendable private static func write(_ context: StageContext) throws {
    guard context.ranks.decides else { return }
    try StageIndex.write(to: context.output, configuration: context.configuration, content: [:])
  }

  private func expect(
    _ endings: [ProcessEnding], _ status: Int32, _ message: String, _ comment: Comment? = nil
  ) {
    #expect(endings.allSatisfy { $0.status == status }, comment)
    #expect(endings[0].message?.contains(message) == true, "\(endings)")
    #expect(endings.dropFirst().allSatisfy { $0.message == nil }, "\(endings)")
  }

  @Test(arguments: [1, 2, 4])
  func allRanksRunAndRankZeroDecides(size: Int) throws {
    let room = try Room()
    let ran = Mutex<[Int]>([])
    let endings = try run(room, size: size) { context in
      #expect(context.configuration.parameters == ["n": 3] && context.ranks.size == size)
      #expect(context.isQuiet)
      ran.withLock { $0.append(context.ranks.rank) }
      // What rank 0 finds is what all do.
      #expect(try context.agreed { context.ranks.rank == 0 })
      #expect(try !context.agreed { context.ranks.rank != 0 })
      // Others come later: the lock and the index wait for them.
      if !context.ranks.decides { usleep(5_000) }
      try Self.write(context)
    }
    #expect(
      endings == [ProcessEnding](repeating: ProcessEnding(status: 0, message: nil), count: size))
    #expect(ran.withLock { $0.sorted() } == Array(0..<size))
    #expect(try room.files == ["evidence.json", "index.json"])
    #expect(try AtomicFile.names(in: room.path + "/out") == ["a"])
    let evidence = try EvidenceFile(directory: room.output)
    #expect(evidence["ranks"] == .integer(size))
    // Finished: nobody does it again.
    let again = try run(room, size: size) { _ in Issue.record("the work was done again") }
    #expect(again == endings)
    #expect(try AtomicFile.names(in: room.path + "/out") == ["a"])
  }

  @Test(arguments: [2, 4])
  func aRefusalIsOneMessage(size: Int) throws {
    let wrong = try Room("{stage: map, version: 2}")
    expect(
      try run(wrong, size: size) { _ in Issue.record("the work was begun") }, 1,
      "error: \(wrong.path)/config.yaml: version: expected 1")
    let other = try Room()
    try AtomicFile.write("x", to: other.path + "/out")
    expect(
      try run(other, size: size) { _ in Issue.record("the work was begun") }, 1,
      "cannot create this directory")
  }

  /// Whoever fails, and whatever the others do meanwhile: they work, they wait, or they fail too.
  @Test(arguments: [2, 4])
  func anErrorInTheBodyEndsAll(size: Int) throws {
    for failing in 0..<size {
      let room = try Room()
      let endings = try run(room, size: size) { context in
        if context.ranks.rank == failing { throw UserError("broken", found: "rank \(failing)") }
        while true { try context.ranks.barrier() }
      }
      expect(endings, 1, "broken: found rank \(failing)", "rank \(failing)")
      let opening = failing == 0 ? "error: broken" : "error: rank \(failing): broken"
      #expect(endings[0].message?.hasPrefix(opening) == true, "\(endings)")
      // Rank 0 may hear of it before it has written its evidence.
      #expect(try room.files.allSatisfy { $0 == "evidence.json" })
      #expect(try AtomicFile.names(in: room.path + "/out") == ["a"])
    }
    let room = try Room()
    let all = try run(room, size: size) { context in
      throw UserError("broken on \(context.ranks.rank)")
    }
    expect(all, 1, "broken on")
  }

  @Test(arguments: [2, 4])
  func otherEndingsAreEverybodys(size: Int) throws {
    for failing in 0..<size {
      let room = try Room()
      let interrupted = try run(room, size: size) { context in
        if context.ranks.rank == failing { throw InterruptedError(signal: SIGTERM) }
        while true { try context.ranks.barrier() }
      }
      expect(interrupted, 143, "interrupted by signal 15")
      // A run that is to stop early ends well.
      let stopped = try run(room, size: size) { context in
        if context.ranks.rank == failing { throw CleanExit.message("stopped") }
        while true { try context.ranks.barrier() }
      }
      expect(stopped, 0, "stopped")
      #expect(stopped[0].message == "stopped")
    }
  }

  /// The lock is taken once, by rank 0; the others wait with it, and begin when it does.
  @Test(arguments: [2, 4])
  func theLockIsWaitedForOnce(size: Int) throws {
    let room = try Room()
    try AtomicFile.makeDirectory(room.path + "/out")
    let lock = try DirectoryLock(of: room.output)
    let began = Atomic(0)
    let group = DispatchGroup()
    DispatchQueue.global().async(group: group) {
      do {
        let endings = try run(room, size: size) { context in
          began.add(1, ordering: .relaxed)
          try Self.write(context)
        }
        #expect(endings.allSatisfy { $0.status == 0 }, "\(endings)")
      } catch {
        Issue.record("\(error)")
      }
    }
    usleep(100_000)
    #expect(began.load(ordering: .relaxed) == 0)
    lock.release()
    group.wait()
    #expect(began.load(ordering: .relaxed) == size)
    #expect(try AtomicFile.names(in: room.path + "/out") == ["a"])
  }

  /// Two runs of one stage, each of several ranks: one does the work, the other finds it done.
  @Test func twoRunsAtOnce() throws {
    let room = try Room()
    let began = Atomic(0)
    let body: @Sendable (StageContext) throws -> Void = { context in
      began.add(1, ordering: .relaxed)
      try Self.write(context)
    }
    let group = DispatchGroup()
    for _ in 0..<2 {
      DispatchQueue.global().async(group: group) {
        do {
          let endings = try run(room, size: 2, body)
          #expect(endings.allSatisfy { $0.status == 0 }, "\(endings)")
        } catch {
          Issue.record("\(error)")
        }
      }
    }
    group.wait()
    #expect(began.load(ordering: .relaxed) == 2)
  }
}
