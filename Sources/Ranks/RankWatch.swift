import CMPI
import Parallel
import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The ranks' watch over each other, beside MPI: a thread of each, and a connection of each to rank 0.
///
/// Everybody sends a sign of life every second. A connection that ends without a goodbye is a rank that
/// has died: known at once on one machine, and elsewhere when the network says so or the signs stay out.
/// Signs that stay out for seconds are a rank that is stopped, or whose machine or network is gone. A
/// rank that computes sends its signs however long that takes: one whose own thread loops or waits for a
/// file for ever is *not* found.
///
/// The first to say so ends the computation: `abort` on any rank, or a death. Rank 0 makes that the
/// verdict and tells all. A rank that does not come to an operation for seconds then is ended by `end`,
/// in the middle of what it does.
package final class RankWatch: Sendable {
  /// How time passes.
  package struct Timing: Sendable {
    /// A tick is what the watch wakes up for. One that oversleeps counts one all the same, so that a
    /// machine that stood still blames nobody.
    package var tickMilliseconds = 250
    /// Ticks between signs of life.
    package var signTicks = 4
    /// Ticks without a sign that are a death.
    package var silentTicks = 24
    /// Ticks from the verdict to the end of a rank that has not heard of it.
    package var graceTicks = 8
    /// Seconds to wait for other ranks at start and at the end.
    package var patience = 10.0

    package init() {}
  }

  private struct State {
    var verdict: RanksAborted?
    /// Whether there is a verdict, of which the others may not have been told yet.
    var isDecided = false
    /// Whether the thread of the ranks knows the verdict, and ends the process by itself.
    var isKnown = false
    var isRankZeroGone = false
    var isStopped = false
  }

  private let rank: Int
  private let timing: Timing
  private let tell: @Sendable (String) -> Void
  private let end: @Sendable (RanksAborted) -> Void
  private let lines: [RankLine]
  private let state = Mutex(State())
  /// For a look without the lock.
  private let isOver = Atomic(false)
  private let thread = Mutex<pthread_t?>(nil)

  /// Connects the ranks and begins to watch; each calls this.
  ///
  /// - Parameters:
  ///   - tell: tells people of a death, at once: a launcher that knows of it too ends the others.
  ///   - end: ends this process when others have ended the computation and it does not hear of that.
  /// - Throws: `UserError` on all ranks when one of them does not reach rank 0.
  package init(
    over ranks: any Communicator, timing: Timing = Timing(),
    tell: @escaping @Sendable (String) -> Void, end: @escaping @Sendable (RanksAborted) -> Void
  ) throws {
    rank = ranks.rank
    self.timing = timing
    self.tell = tell
    self.end = end
    lines = try RankMeeting.lines(ranks, patience: timing.patience)
    let started = Resources.startThread { [self] in serve() }
    thread.withLock { $0 = started }
  }

  /// Ends the watch, which else lasts as long as the process; whoever watches this rank sees it die.
  package func stop() {
    state.withLock { $0.isStopped = true }
    guard let thread = thread.withLock({ $0.take() }) else { return }
    pthread_join(thread, nil)
    for line in lines { line.close() }
  }

  // MARK: - The ranks' thread

  /// How the computation has ended; nil while it goes on.
  package func verdict() -> RanksAborted? {
    guard isOver.load(ordering: .acquiring) else { return nil }
    return waitForVerdict()
  }

  /// Ends the computation unless another rank has done so before; `verdict` says which.
  package func abort(_ reason: RanksAborted) {
    if rank == 0 {
      decide(reason)
    } else if !state.withLock({ $0.isDecided }) {
      lines[0].send(.verdict(reason))
    }
    // Also where the watch's thread is about to make another's reason the verdict: it is waited for.
    isOver.store(true, ordering: .releasing)
  }

  /// The verdict, where there will be one soon; nil after some seconds.
  package func waitForVerdict() -> RanksAborted? {
    let start = Host.monotonicSeconds
    repeat {
      let found = state.withLock { state in
        if state.verdict != nil { state.isKnown = true }
        return state.verdict
      }
      if let found { return found }
      usleep(1000)
    } while Host.monotonicSeconds - start < timing.patience
    return nil
  }

  /// This rank has nothing more to do with the others: that it goes is no death.
  package func sayGoodbye() {
    for line in lines { line.send(.goodbye) }
  }

  /// Waits for seconds at most, and not at all where rank 0 has nothing to say.
  package func waitForTheEndOfRankZero() {
    let start = Host.monotonicSeconds
    guard rank != 0, (state.withLock { $0.verdict.map { $0.speaker == 0 } ?? true })
    else { return }
    while !state.withLock({ $0.isRankZeroGone }),
      Host.monotonicSeconds - start < timing.patience
    {
      usleep(1000)
    }
  }

  // MARK: - The watch's thread

  private func serve() {
    var (ticks, ticksOver) = (0, 0)
    var next = Host.monotonicSeconds
    while !state.withLock({ $0.isStopped }) {
      let now = Host.monotonicSeconds
      if now >= next {
        next = now + Double(timing.tickMilliseconds) / 1000
        if ticks % timing.signTicks == 0 {
          for line in lines where line.isOpen { line.send(.sign) }
        }
        ticks += 1
        for line in lines where line.isOpen && line.countTick() >= timing.silentTicks {
          lose(line, "sent no sign of life for \(silence) s: stopped, or out of reach") {
            line.process.isHere
              ? line.process.killIfHere() : Hydra.endAll(status: EXIT_FAILURE)
          }
        }
        if endsLate(&ticksOver) { return }
      }
      let wait = Int32(max(0, (next - Host.monotonicSeconds) * 1000)) + 1
      for line in RankLine.readable(lines, milliseconds: wait) { hear(line) }
    }
  }

  private var silence: Int { timing.silentTicks * timing.tickMilliseconds / 1000 }

  private func hear(_ line: RankLine) {
    for message in line.receive() {
      switch message {
      case .verdict(let reason): decide(reason)
      case .sign, .goodbye: break
      }
    }
    guard !line.isOpen else { return }
    if line.rank == 0 { state.withLock { $0.isRankZeroGone = true } }
    if !line.hasSaidGoodbye { lose(line, "has died") }
  }

  /// The rank at the other end is no more: of others tells rank 0, of rank 0 rank 1.
  private func lose(_ line: RankLine, _ how: String, burying: () -> Void = {}) {
    let error = UserError(
      "\(line.name) \(how)",
      remedy: "Run the same command again: a stage goes on from what it has written.")
    decide(RanksAborted(reason: error.description, speaker: nil)) {
      guard rank <= 1 else { return }
      tell(error.description)
      burying()
    }
  }

  /// The first reason is the verdict. Rank 0 tells the others, and others tell rank 0, which may have only
  /// been away.
  ///
  /// This rank's own thread learns it last: it ends the process, and others that had not heard would take
  /// that for one more death.
  ///
  /// - Parameter telling: what comes before this process may end.
  private func decide(_ reason: RanksAborted, telling: () -> Void = {}) {
    let isFirst = state.withLock { state in
      if state.isDecided { return false }
      telling()
      state.isDecided = true
      return true
    }
    guard isFirst else { return }
    for line in lines where line.isOpen { line.send(.verdict(reason)) }
    state.withLock { $0.verdict = reason }
    isOver.store(true, ordering: .releasing)
  }

  /// Ends the process that has not heard the verdict; whether it may be left to itself.
  private func endsLate(_ ticks: inout Int) -> Bool {
    let (verdict, isKnown) = state.withLock { ($0.verdict, $0.isKnown) }
    guard let verdict, !isKnown else { return false }
    ticks += 1
    guard ticks > timing.graceTicks else { return false }
    // Others let the one that speaks go first.
    let isFree = verdict.speaker == nil || verdict.speaker == rank
    guard isFree || ticks > 2 * timing.graceTicks || state.withLock({ $0.isRankZeroGone })
    else { return false }
    end(verdict)
    return true
  }
}
