import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A rank of the same launch on this machine, as the kernel tells of it: also one that has not come as far
/// as to say a word.
package struct RankNeighbour: Equatable, Sendable {
  package let rank: Int
  package let process: RankProcess
  package let isStopped: Bool

  package init(rank: Int, process: RankProcess, isStopped: Bool) {
    (self.rank, self.process, self.isStopped) = (rank, process, isStopped)
  }

  /// The ranks of `launch` on this machine, this one among them, in ascending order; those that have ended
  /// are left out. They run the same program, and the same process has launched them: the nearest ancestor
  /// that is itself no rank of it.
  package static func look(_ launch: Launch) -> RankNeighbourhood {
    guard let own = KernelProcess(getpid()) else { return RankNeighbourhood(ranks: []) }
    let launcher = ancestor(of: own, in: launch)
    let processes = KernelProcess.all.compactMap { KernelProcess($0) }.filter { !$0.hasEnded }
    let ranks = processes.compactMap { found -> RankNeighbour? in
      guard found.program == own.program, let rank = rank(of: found, in: launch),
        ancestor(of: found, in: launch) == launcher
      else { return nil }
      return RankNeighbour(
        rank: rank, process: RankProcess(id: found.id, start: found.start, host: Host.name),
        isStopped: found.isStopped)
    }.sorted { $0.rank < $1.rank }
    guard let started = Hydra.ranksHere(own.environment),
      processes.contains(where: { $0.id == launcher && $0.program == Hydra.proxy })
    else { return RankNeighbourhood(ranks: ranks) }
    let ended = max(0, started - processes.count { $0.parent == launcher })
    // Who it was is known where all others are here.
    let missing = (0..<launch.size).filter { rank in !ranks.contains { $0.rank == rank } }
    return RankNeighbourhood(
      ranks: ranks, ended: ended,
      missing: started == launch.size && missing.count == ended ? missing : [])
  }

  private static func rank(of process: KernelProcess, in launch: Launch) -> Int? {
    guard let found = Launch(environment: process.environment), found.launcher == launch.launcher,
      found.size == launch.size
    else { return nil }
    return found.rank
  }

  private static func ancestor(of process: KernelProcess, in launch: Launch) -> Int32 {
    var process = process
    while let parent = KernelProcess(process.parent), rank(of: parent, in: launch) != nil {
      process = parent
    }
    return process.parent
  }
}

/// What a rank sees of those on its machine.
package struct RankNeighbourhood: Sendable {
  package let ranks: [RankNeighbour]
  /// Ranks that the launcher has started here and that are no more, where that can be known.
  package let ended: Int
  /// Which ones, where that can be known.
  package let missing: [Int]

  package init(ranks: [RankNeighbour], ended: Int = 0, missing: [Int] = []) {
    (self.ranks, self.ended, self.missing) = (ranks, ended, missing)
  }
}

/// The time until the ranks of a launch have met: nobody misses one then that is stopped or has died, MPI
/// waits for it for ever, and so may the launcher.
///
/// A thread looks at the ranks on this machine. Of one that stays stopped, has been there and is no more, or
/// has been started and was gone before anyone looked, the lowest rank tells; whoever is stopped is killed,
/// and all end. Of ranks on other machines their neighbours tell, and where there are none, rank 0 that not
/// all have come. A stop of all ranks together blames nobody: a tick that oversleeps counts one all the same.
package final class RankArrival: Sendable {
  /// How time passes.
  package struct Timing: Sendable {
    package var tickMilliseconds = 1000
    /// Ticks for which a rank is stopped that will not come.
    package var stoppedTicks = 6
    /// Ticks after a death in which others may say more of it.
    package var goneTicks = 3
    /// Ticks in which all must meet.
    package var limitTicks = 60
    /// Ticks that one rank leaves another to speak, and to end them all.
    package var graceTicks = 2

    package init() {}
  }

  private let launch: Launch
  private let timing: Timing
  private let look: @Sendable () -> RankNeighbourhood
  private let tell: @Sendable (UserError) -> Void
  private let endAll: @Sendable () -> Void
  private let end: @Sendable () -> Void
  private let isOver = Atomic(false)

  /// Begins to look.
  ///
  /// - Parameters:
  ///   - tell: tells people why all end, before any ends: a launcher that knows of a death ends the others.
  ///   - endAll: whoever has told has a launcher end those on other machines that would not by itself.
  ///   - end: ends this process.
  package init(
    _ launch: Launch, timing: Timing = Timing(),
    look: (@Sendable () -> RankNeighbourhood)? = nil, tell: @escaping @Sendable (UserError) -> Void,
    endAll: @escaping @Sendable () -> Void = { Hydra.endAll(status: EXIT_FAILURE) },
    end: @escaping @Sendable () -> Void
  ) {
    self.launch = launch
    self.timing = timing
    self.look = look ?? { RankNeighbour.look(launch) }
    self.tell = tell
    self.endAll = endAll
    self.end = end
    _ = Resources.startThread { [self] in serve() }
  }

  /// The ranks have met, or this one ends by itself.
  package func conclude() { isOver.store(true, ordering: .releasing) }

  private func serve() {
    var seen: [Int: (process: RankProcess, stopped: Int, gone: Int)] = [:]
    var (ticks, ticksLost, ticksEnded) = (0, 0, 0)
    while true {
      usleep(UInt32(timing.tickMilliseconds * 1000))
      if isOver.load(ordering: .acquiring) { return }
      ticks += 1
      let scene = look()
      let here = scene.ranks
      for (rank, known) in seen where !here.contains(where: { $0.rank == rank }) {
        seen[rank] = (known.process, 0, known.gone + 1)
      }
      for one in here {
        let before = seen[one.rank]?.stopped ?? 0
        seen[one.rank] = (one.process, one.isStopped ? before + 1 : 0, 0)
      }
      ticksEnded = scene.ended > 0 ? ticksEnded + 1 : 0
      let lost = seen.filter { $1.stopped >= timing.stoppedTicks || $1.gone >= timing.goneTicks }
      let first = lost.min { $0.key < $1.key }
      guard first != nil || ticksEnded >= timing.goneTicks else {
        if ticks < timing.limitTicks + (launch.rank == 0 ? 0 : timing.graceTicks) { continue }
        return finish(notAllHaveCome(here), killing: [])
      }
      ticksLost += 1
      let speaks = here.first { !$0.isStopped }?.rank == launch.rank
      guard speaks || ticksLost > timing.graceTicks else { continue }
      let who =
        first.map { $0.value.process.name(of: $0.key) }
        ?? scene.missing.first.map { "rank \($0) (on \(Host.name))" } ?? "a rank on \(Host.name)"
      return finish(
        speaks ? error(who, first.map { $0.value.gone > 0 } ?? true) : nil,
        killing: here.filter(\.isStopped))
    }
  }

  private func finish(_ error: UserError?, killing stopped: [RankNeighbour]) {
    if isOver.load(ordering: .acquiring) { return }
    if let error { tell(error) }
    for one in stopped { one.process.killIfHere() }
    if error != nil { endAll() }
    end()
  }

  private func error(_ name: String, _ isGone: Bool) -> UserError {
    UserError(
      name + (isGone ? " has died" : " is stopped") + " before the ranks have met",
      remedy: "Run the same command again: a stage goes on from what it has written.")
  }

  /// What this rank says when all on this machine wait for others. Rank 1 speaks where rank 0 is elsewhere
  /// and has not ended them.
  private func notAllHaveCome(_ here: [RankNeighbour]) -> UserError? {
    guard launch.rank == 0 || launch.rank == 1 && here.first?.rank != 0 else { return nil }
    return UserError(
      "ranks", expected: "\(launch.size) to meet within a minute",
      found: "that not all have come; \(here.map { "\($0.rank)" }.joined(separator: ", ")) on "
        + "\(Host.name) have",
      remedy: "See what became of the others, and run the same command again.")
  }
}
