import Foundation
import Parallel
import Synchronization
import Support
import Testing

import Ranks

/// The watch of ranks that are threads here: what each of them hears.
@Suite(.serialized) struct RankWatchTests {
  private static func timing(_ change: (inout RankWatch.Timing) -> Void = { _ in })
    -> RankWatch.Timing
  {
    var timing = RankWatch.Timing()
    timing.tickMilliseconds = 10
    timing.silentTicks = 1000
    timing.graceTicks = 1000
    change(&timing)
    return timing
  }

  /// Runs `body` with a watch on each rank.
  private func watched<R: Sendable>(
    _ size: Int, _ body: @escaping @Sendable (ThreadCommunicator, RankWatch) throws -> R
  ) throws -> [R] {
    try ThreadCommunicator.run(size: size) { ranks in
      let watch = try RankWatch(over: ranks, timing: Self.timing()) { death in
        Issue.record("told of a death: \(death)")
      } end: { verdict in
        Issue.record("ended late: \(verdict)")
      }
      defer { watch.stop() }
      return try body(ranks, watch)
    }
  }

  @Test(arguments: [1, 2, 3, 8]) func whoGoesInPeaceIsNotMissed(size: Int) throws {
    let verdicts = try watched(size) { ranks, watch in
      // Some go at once, others later.
      try ranks.barrier()
      watch.sayGoodbye()
      usleep(UInt32(ranks.rank * 30_000))
      return watch.verdict()
    }
    #expect(verdicts.allSatisfy { $0 == nil })
  }

  @Test(arguments: [2, 3, 8]) func allHearTheReason(size: Int) throws {
    for failing in 0..<size {
      let reason =
        "ending 1 \(failing) error: the disk is full — " + String(repeating: "x", count: 9000)
      let verdicts = try watched(size) { ranks, watch in
        if ranks.rank == failing { watch.abort(RanksAborted(reason: reason)) }
        defer { try? ranks.barrier() }
        return watch.waitForVerdict()
      }
      #expect(verdicts.allSatisfy { $0 == RanksAborted(reason: reason) })
    }
  }

  @Test func theFirstReasonIsEverybodys() throws {
    for _ in 0..<20 {
      let verdicts = try watched(4) { ranks, watch in
        watch.abort(RanksAborted(reason: "rank \(ranks.rank)"))
        defer { try? ranks.barrier() }
        return watch.verdict()
      }
      #expect(verdicts[0] != nil)
      #expect(verdicts.allSatisfy { $0 == verdicts[0] })
    }
  }

  /// A connection that ends without a goodbye.
  @Test(arguments: [0, 1, 3]) func aDeathIsNamed(dead: Int) throws {
    let told = Mutex<[Int]>([])
    let verdicts = try ThreadCommunicator.run(size: 4) { ranks -> RanksAborted? in
      let watch = try RankWatch(over: ranks, timing: Self.timing()) { _ in
        told.withLock { $0.append(ranks.rank) }
      } end: { _ in
      }
      defer { watch.stop() }
      try ranks.barrier()
      defer { try? ranks.barrier() }
      if ranks.rank == dead {
        watch.stop()
        return nil
      }
      return watch.waitForVerdict()
    }
    for (rank, verdict) in verdicts.enumerated() where rank != dead {
      #expect(verdict != nil && verdict?.speaker == nil)
      #expect(
        verdict?.reason.hasPrefix("rank \(dead) (process \(getpid()) on \(Host.name)) has died. ")
          == true)
    }
    #expect(told.withLock { $0 } == [dead == 0 ? 1 : 0])
  }

  @Test(arguments: [0, 2]) func whoIsSilentIsNamed(silent: Int) throws {
    let verdicts = try ThreadCommunicator.run(size: 3) { ranks in
      let timing = Self.timing {
        if ranks.rank == silent { $0.signTicks = 1_000_000 } else { $0.silentTicks = 100 }
      }
      let watch = try RankWatch(over: ranks, timing: timing, tell: { _ in }, end: { _ in })
      defer { watch.stop() }
      defer { try? ranks.barrier() }
      return ranks.rank == silent ? nil : watch.waitForVerdict()
    }
    for (rank, verdict) in verdicts.enumerated() where rank != silent {
      #expect(verdict != nil && verdict?.speaker == nil)
      #expect(verdict?.reason.contains("rank \(silent) (") == true)
      #expect(verdict?.reason.contains("sent no sign of life for 1 s") == true)
    }
  }

  /// A rank that computes hears nothing, and is ended.
  @Test func whoDoesNotHearIsEnded() throws {
    let endings = try ThreadCommunicator.run(size: 2) { ranks in
      let ended = Mutex<RanksAborted?>(nil)
      let watch = try RankWatch(over: ranks, timing: Self.timing { $0.graceTicks = 5 }) { _ in
      } end: { verdict in
        ended.withLock { $0 = verdict }
      }
      defer { watch.stop() }
      if ranks.decides {
        watch.abort(RanksAborted(reason: "enough"))
        _ = watch.waitForVerdict()
      } else {
        while ended.withLock({ $0 == nil }) { usleep(1000) }
      }
      try ranks.barrier()
      return ended.withLock { $0 }
    }
    #expect(endings == [nil, RanksAborted(reason: "enough")])
  }

  @Test func othersWaitForTheEndOfRankZero() throws {
    let seconds = try ThreadCommunicator.run(size: 2) { ranks in
      let watch = try RankWatch(over: ranks, timing: Self.timing(), tell: { _ in }, end: { _ in })
      defer { watch.stop() }
      try ranks.barrier()
      let start = Host.monotonicSeconds
      if ranks.decides {
        usleep(200_000)
        watch.stop()
      }
      watch.waitForTheEndOfRankZero()
      return Host.monotonicSeconds - start
    }
    #expect(seconds[1] > 0.15 && seconds[1] < 5)
  }

  @Test func aProcessIsKnownByItsText() throws {
    let own = RankProcess.own
    #expect(own.id == getpid() && own.start > 0 && RankProcess(own.text) == own)
    for text in ["", "1 2", "x 2 host", "0 2 host", "1 2 host more"] {
      #expect(RankProcess(text) == nil)
    }
    // Neither this process nor one that began at another time nor another program is ended.
    own.killIfHere()
    let child = try ChildProcess(
      "/bin/sleep", ["60"], in: "/", environment: [:], output: "/dev/null", errors: "/dev/null")
    for start in 0..<2 { RankProcess(id: child.id, start: start, host: own.host).killIfHere() }
    #expect(child.isRunning)
    child.send(SIGKILL)
    _ = child.wait()
  }
}
