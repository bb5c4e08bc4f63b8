import Foundation
import Ranks
import Support
import Synchronization
import Testing

/// What a rank does while it waits for others, by what it sees of those on its machine.
@Suite(.serialized) struct RankArrivalTests {
  private static func timing(_ change: (inout RankArrival.Timing) -> Void = { _ in })
    -> RankArrival.Timing
  {
    var timing = RankArrival.Timing()
    timing.tickMilliseconds = 5
    change(&timing)
    return timing
  }

  private static func neighbour(_ rank: Int, stopped: Bool = false) -> RankNeighbour {
    // No process has this number: the kernel's own limit is lower.
    RankNeighbour(
      rank: rank, process: RankProcess(id: .max, start: 1, host: Host.name), isStopped: stopped)
  }

  /// How `rank` of four ends that sees `scene` at each look; nil for one that goes on for 200 looks.
  private func ending(
    of rank: Int, timing: RankArrival.Timing = timing(),
    ended: @escaping @Sendable (_ look: Int) -> (Int, [Int]) = { _ in (0, []) },
    _ scene: @escaping @Sendable (_ look: Int) -> [RankNeighbour]
  ) -> (looks: Int, error: String?, endsAll: Bool)? {
    let looks = Mutex(0)
    let told = Mutex<String?>(nil)
    let endsAll = Mutex(false)
    let found = Mutex<(Int, String?, Bool)?>(nil)
    let arrival = RankArrival(
      Launch("mpirun", rank, 4, .openMPI), timing: timing,
      look: {
        let number = looks.withLock { looks in
          looks += 1
          return looks
        }
        let (count, missing) = ended(number)
        return RankNeighbourhood(ranks: scene(number), ended: count, missing: missing)
      },
      tell: { error in told.withLock { $0 = "\(error)" } },
      endAll: { endsAll.withLock { $0 = true } },
      end: {
        found.withLock {
          $0 = (looks.withLock { $0 }, told.withLock { $0 }, endsAll.withLock { $0 })
        }
      })
    while looks.withLock({ $0 < 200 }) {
      if let ended = found.withLock({ $0 }) {
        // One that speaks has the launcher end those that hear nothing on other machines.
        #expect(ended.2 == (ended.1 != nil))
        return ended
      }
      usleep(1000)
    }
    arrival.conclude()
    return nil
  }

  @Test func whoStaysStoppedIsNamedByTheLowestRank() throws {
    let scene: @Sendable (Int) -> [RankNeighbour] = { look in
      (0..<4).map { Self.neighbour($0, stopped: $0 == 2 && look > 3) }
    }
    let first = try #require(ending(of: 0, scene))
    #expect(first.looks == 3 + 6)
    #expect(
      first.error?.hasPrefix("rank 2 (process \(Int32.max) on \(Host.name)) is stopped before")
        == true, "\(first)")
    // The others leave it to that one, and end as well.
    let other = try #require(ending(of: 3, scene))
    #expect(other.error == nil && other.looks == 3 + 6 + 2)
  }

  @Test func aStoppedRankZeroIsNamedByTheNext() throws {
    let scene: @Sendable (Int) -> [RankNeighbour] = { _ in
      (0..<4).map { Self.neighbour($0, stopped: $0 == 0) }
    }
    let found = try #require(ending(of: 1, scene))
    #expect(found.error?.hasPrefix("rank 0 (process") == true && found.looks == 6)
  }

  /// All ranks together, as a batch system suspends them, or one for a moment.
  @Test func aStopThatEndsBlamesNobody() {
    let found = ending(of: 0, timing: Self.timing { $0.limitTicks = 1000 }) { look in
      (0..<4).map { Self.neighbour($0, stopped: $0 == 2 && look % 6 != 0) }
    }
    #expect(found == nil)
  }

  @Test func whoDiesIsNamed() throws {
    let found = try #require(
      ending(of: 0) { look in (0..<4).filter { $0 != 3 || look < 5 }.map { Self.neighbour($0) } })
    #expect(found.looks == 4 + 3)
    #expect(found.error?.contains("rank 3 (process") == true)
    #expect(found.error?.contains("has died before the ranks have met") == true)
  }

  /// The launcher has started it, and nobody has seen it.
  @Test(arguments: [[2], []])
  func whoDiesUnseenIsTold(missing: [Int]) throws {
    let scene: @Sendable (Int) -> [RankNeighbour] = { _ in [0, 1, 3].map { Self.neighbour($0) } }
    let gone: @Sendable (Int) -> (Int, [Int]) = { ($0 < 4 ? 0 : 1, missing) }
    let first = ending(of: 0, ended: gone, scene)
    let name = missing.isEmpty ? "a rank on \(Host.name)" : "rank 2 (on \(Host.name))"
    #expect(first?.looks == 3 + 3)
    #expect(
      first?.error?.hasPrefix("\(name) has died before the ranks have met") == true,
      "\(first?.error ?? "")")
    let other = ending(of: 3, ended: gone, scene)
    #expect(other?.looks == 3 + 3 + 2 && other?.error == nil)
    // All are started in a moment, one after another.
    let now: @Sendable (Int) -> (Int, [Int]) = { ($0 % 3 == 0 ? 0 : 1, missing) }
    let patient = Self.timing { $0.limitTicks = 1000 }
    let found = ending(of: 0, timing: patient, ended: now, scene)
    #expect(found == nil)
  }

  @Test func rankZeroSaysThatOthersHaveNotCome() throws {
    let timing = Self.timing { $0.limitTicks = 20 }
    let scene: @Sendable (Int) -> [RankNeighbour] = { _ in [0, 2].map { Self.neighbour($0) } }
    let found = try #require(ending(of: 0, timing: timing, scene))
    #expect(found.looks == 20)
    #expect(found.error?.contains("expected 4 to meet") == true)
    #expect(found.error?.contains("0, 2 on \(Host.name) have") == true)
    // Who waits beside rank 0 says nothing; rank 1 alone on its machine does.
    #expect(try #require(ending(of: 2, timing: timing, scene)).error == nil)
    let alone = try #require(ending(of: 1, timing: timing) { _ in [Self.neighbour(1)] })
    #expect(alone.looks == 22 && alone.error?.contains("1 on \(Host.name) have") == true)
  }
}
