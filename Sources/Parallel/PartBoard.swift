import CSupport
import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Parts of running tasks, for workers that find no task left.
///
/// A worker within a long task lays out the parts of one of its loops; whoever has nothing to do takes
/// some, and so does the worker itself. Who does a part must change no result, as with tasks.
final class PartBoard: Sendable {
  private let places: [Place]
  /// Workers that look for parts.
  private let idle = Atomic<Int>(0)
  /// Workers that may still lay some out.
  private let busy = Atomic<Int>(0)
  private let times = Mutex(HelpTimes())
  private let isPatient: Bool
  /// Looks for parts before others on this processor may run: about a tenth of a millisecond, or few.
  private let patience: Int

  /// - Parameter isPatient: whether there is a processor for each worker, so that one that looks out
  ///   takes it from nobody.
  init(workers: Int, isPatient: Bool) {
    places = (0..<workers).map { _ in Place() }
    self.isPatient = isPatient
    patience = isPatient ? 500 : 16
  }

  /// Workers that would take parts at once.
  var helpers: Int { idle.load(ordering: .relaxed) }

  /// What helping has taken since the start.
  var helpTimes: HelpTimes { times.withLock { $0 } }

  /// Expects every worker to have tasks: before the loop.
  func begin() { busy.store(places.count, ordering: .releasing) }

  /// Does `body(worker, part)` for every part, this worker and idle ones together; returns when all are
  /// done.
  func share(_ parts: Int, by owner: Int, _ body: @Sendable (_ worker: Int, _ part: Int) -> Void) {
    withoutActuallyEscaping(body) { body in
      let place = places[owner]
      place.layOut(parts, body)
      place.work(as: owner)
      var looks = 0
      while !place.clear() {
        looks += 1
        if looks < 8 * patience { ott_pause() } else { sched_yield() }
      }
    }
  }

  /// Takes parts until no worker has a task: when worker `worker` has found none left.
  func help(as worker: Int) {
    idle.add(1, ordering: .relaxed)
    busy.subtract(1, ordering: .acquiringAndReleasing)
    let start = Host.monotonicSeconds
    var (helping, resting) = (0.0, 0.0)
    // Where there was a part there will be more.
    var (misses, most) = (0, patience)
    while busy.load(ordering: .acquiring) > 0 {
      // Each begins with another neighbour, so that they do not all go to one.
      let place = (1..<max(places.count, 2)).lazy
        .map { [places] in places[(worker + $0) % places.count] }.first { $0.isOpen }
      if let place {
        helping += seconds { place.work(as: worker) }
        (misses, most) = (0, 10 * patience)
      } else if misses < most {
        misses += 1
        for _ in 0..<8 { ott_pause() }
      } else if isPatient {
        // To be woken from a nap takes longer than many a loop.
        sched_yield()
      } else {
        resting += seconds { _ = usleep(Self.nap) }
      }
    }
    idle.subtract(1, ordering: .relaxed)
    let looking = Host.monotonicSeconds - start - helping - resting
    times.withLock {
      $0.helping += helping
      $0.looking += looking
    }
  }

  private func seconds(_ body: () -> Void) -> Double {
    let before = Host.monotonicSeconds
    body()
    return Host.monotonicSeconds - before
  }

  /// Microseconds.
  private static let nap: UInt32 = 50
}

/// Thread-seconds of workers without a task.
package struct HelpTimes: Sendable {
  /// In parts of others' tasks.
  package var helping = 0.0
  /// Looking for such parts, on a processor.
  package var looking = 0.0
}

/// Where one worker lays out its parts.
private final class Place: Sendable {
  private struct Parts {
    let body: @Sendable (Int, Int) -> Void
    let count: Int
    var next = 0
    var running = 0
  }

  private let parts = Mutex<Parts?>(nil)
  private let hasParts = Atomic<Bool>(false)

  /// Whether there may be a part to take.
  var isOpen: Bool { hasParts.load(ordering: .relaxed) }

  func layOut(_ count: Int, _ body: @escaping @Sendable (Int, Int) -> Void) {
    parts.withLock {
      $0 = Parts(body: body, count: count)
      hasParts.store(true, ordering: .relaxed)
    }
  }

  /// Does parts until none is left to take.
  func work(as worker: Int) {
    while runNext(as: worker) { parts.withLock { $0?.running -= 1 } }
  }

  /// Never inlined: the part's closure must be let go before the part counts as done, since the owner
  /// may not return while it is held.
  @inline(never)
  private func runNext(as worker: Int) -> Bool {
    let next: (body: @Sendable (Int, Int) -> Void, part: Int)? = parts.withLock { parts in
      guard let laidOut = parts, laidOut.next < laidOut.count else {
        hasParts.store(false, ordering: .relaxed)
        return nil
      }
      parts?.next += 1
      parts?.running += 1
      return (laidOut.body, laidOut.next)
    }
    guard let next else { return false }
    next.body(worker, next.part)
    return true
  }

  /// Takes away what was laid out, if all of it is done.
  func clear() -> Bool {
    parts.withLock {
      if let laidOut = $0, laidOut.running > 0 { return false }
      $0 = nil
      return true
    }
  }
}
