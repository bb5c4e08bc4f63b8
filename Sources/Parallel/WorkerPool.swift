import CSupport
import Support
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A fixed crew of plain threads for loops over independent tasks.
///
/// The calling thread is worker 0; `threads - 1` more sleep on a condition between loops, after they have
/// looked out for the next for a moment. Tasks are taken in increasing order by whichever worker is free, so
/// a task must not depend on which worker runs it or on what ran before it on that worker: write results to a
/// place of the task's own, and they are the same bits for any number of threads.
///
/// In loops over few tasks each worker begins with the task of its own number, if nobody has taken it: what
/// that task wrote last time lies in its caches, and in the memory next to it.
///
/// One loop at a time: a loop inside a loop, or two threads starting loops, is a programmer error. But a
/// task of `forEachLong` may lay out parts of its own, which workers without a task take (`share`).
package final class WorkerPool: Sendable {
  /// Number of workers, the calling thread included.
  package let threads: Int
  private let crew: Crew
  private let board: PartBoard
  private let members: [pthread_t]

  /// Starts `threads - 1` threads. Precondition: `threads >= 1`.
  package init(threads: Int) {
    precondition(threads >= 1, "WorkerPool needs at least one thread, got \(threads)")
    let isPatient = threads <= Host.threads
    let crew = Crew(isPatient: isPatient)
    self.threads = threads
    self.crew = crew
    board = PartBoard(workers: threads, isPatient: isPatient)
    self.members = (1..<threads).map { worker in
      Resources.startThread { crew.serve(as: worker) }
    }
  }

  deinit {
    crew.dismiss()
    for member in members { pthread_join(member, nil) }
  }

  /// Calls `body(worker, task)` once for every task of `tasks`, in parallel, and returns when all
  /// are done. `worker` is in `0..<threads`; no two calls with the same worker run at the same time.
  ///
  /// When calls throw, no further task is started and the error of the lowest failed task is thrown.
  package func forEach(
    _ tasks: Range<Int>, _ body: @Sendable (_ worker: Int, _ task: Int) throws -> Void
  ) throws {
    let failure = Mutex<(task: Int, error: any Error)?>(nil)
    withoutActuallyEscaping(body) { body in
      run(tasks) { worker, task in
        do {
          try body(worker, task)
          return true
        } catch {
          failure.withLock { first in
            if first == nil || task < (first?.task ?? task) { first = (task, error) }
          }
          return false
        }
      }
    }
    if let first = failure.withLock({ $0 }) { throw first.error }
  }

  /// The loop for bodies that cannot fail; it allocates nothing per task, and nothing at all on one
  /// thread.
  package func forEach(
    _ tasks: Range<Int>, _ body: @Sendable (_ worker: Int, _ task: Int) -> Void
  ) {
    run(tasks) { worker, task in
      body(worker, task)
      return true
    }
  }

  /// The loop for few, long tasks: workers without one help with the others' (`share`), and only workers
  /// `0..<tasks.count` run tasks.
  package func forEachLong(
    _ tasks: Range<Int>, _ body: @Sendable (_ worker: Int, _ task: Int) -> Void
  ) {
    run(tasks, helping: threads > 1) { worker, task in
      body(worker, task)
      return true
    }
  }

  /// Workers that would take part in what a task of `forEachLong` shares now: often none.
  package var helpers: Int { board.helpers }

  /// What workers without a task have taken since the start.
  package var helpTimes: HelpTimes { board.helpTimes }

  /// Within a task of `forEachLong` on worker `owner`: calls `body(worker, part)` once for every part, by
  /// this worker and those without a task, and returns when all are done.
  package func share(
    _ parts: Int, by owner: Int, _ body: @Sendable (_ worker: Int, _ part: Int) -> Void
  ) {
    board.share(parts, by: owner, body)
  }

  /// - Parameter helping: whether the tasks are long, so that workers beyond their number help with them.
  private func run(
    _ tasks: Range<Int>, helping: Bool = false,
    _ attempt: @Sendable (_ worker: Int, _ task: Int) -> Bool
  ) {
    if tasks.isEmpty { return }
    if threads == 1 || tasks.count == 1 && !helping {
      crew.enter()
      defer { crew.leave() }
      for task in tasks where !attempt(0, task) { return }
      return
    }
    if tasks.count <= FewTasks.most {
      let few = FewTasks(count: tasks.count)
      share(attempt, among: tasks.count, helping: helping) { worker, isFirst in
        few.take(preferred: isFirst ? worker : nil).map { tasks.lowerBound + $0 }
      } stop: {
        few.takeAll()
      }
      return
    }
    let next = Atomic<Int>(tasks.lowerBound)
    let end = tasks.upperBound
    share(attempt, among: tasks.count, helping: helping) { _, _ in
      let task = next.wrappingAdd(1, ordering: .relaxed).oldValue
      return task < end ? task : nil
    } stop: {
      next.store(end, ordering: .relaxed)
    }
  }

  /// Has all workers attempt what they take, until nothing is left; where they are to help, only workers
  /// `0..<count` take, and who finds nothing helps.
  private func share(
    _ attempt: @Sendable (_ worker: Int, _ task: Int) -> Bool, among count: Int, helping: Bool,
    take: @Sendable (_ worker: Int, _ isFirst: Bool) -> Int?, stop: @Sendable () -> Void
  ) {
    if helping { board.begin() }
    withoutActuallyEscaping(attempt) { attempt in
      withoutActuallyEscaping(take) { take in
        withoutActuallyEscaping(stop) { stop in
          crew.perform(others: threads - 1) { [board] worker in
            var isFirst = true
            while !helping || worker < count, let task = take(worker, isFirst) {
              isFirst = false
              if !attempt(worker, task) { stop() }
            }
            if helping { board.help(as: worker) }
          }
        }
      }
    }
  }
}

/// Tasks that are taken one by one, a bit for each.
private struct FewTasks: ~Copyable {
  static let most = 64
  /// The bits of tasks that are taken, and of those that do not exist.
  private let taken: Atomic<UInt64>

  /// Precondition: 1 to `most`.
  init(count: Int) { taken = Atomic(count == Self.most ? 0 : ~0 << UInt64(count)) }

  /// The preferred task, else the lowest, of those that are left.
  func take(preferred: Int?) -> Int? {
    var old = taken.load(ordering: .relaxed)
    while old != .max {
      var task = (~old).trailingZeroBitCount
      if let preferred, preferred < Self.most, old >> UInt64(preferred) & 1 == 0 {
        task = preferred
      }
      let (isTaken, now) = taken.compareExchange(
        expected: old, desired: old | 1 << UInt64(task), ordering: .relaxed)
      if isTaken { return task }
      old = now
    }
    return nil
  }

  func takeAll() { taken.store(.max, ordering: .relaxed) }
}

/// The shared state of a crew; every mutable field is guarded by `lock`.
// Unchecked because the guard is a POSIX mutex, which the compiler does not see.
private final class Crew: @unchecked Sendable {
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let work = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let rest = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var job: (@Sendable (Int) -> Void)?
  private var generation = 0
  private var busy = 0
  private var dismissed = false
  private let occupied = Atomic<Bool>(false)
  /// `generation` and `busy` for those who look without the lock.
  private let turn = Atomic<Int>(0)
  private let unfinished = Atomic<Int>(0)
  private let isPatient: Bool

  /// Seconds of looking out before sleeping: about what it takes to be woken twice.
  private static let patience = 50e-6

  /// - Parameter isPatient: whether there is a processor for each worker, so that one that looks out
  ///   takes it from nobody.
  init(isPatient: Bool) {
    self.isPatient = isPatient
    pthread_mutex_init(lock, nil)
    pthread_cond_init(work, nil)
    pthread_cond_init(rest, nil)
  }

  deinit {
    pthread_cond_destroy(rest)
    pthread_cond_destroy(work)
    pthread_mutex_destroy(lock)
    rest.deallocate()
    work.deallocate()
    lock.deallocate()
  }

  func enter() {
    let taken = occupied.exchange(true, ordering: .acquiring)
    precondition(!taken, "WorkerPool: a loop was started while another one runs")
  }

  func leave() { occupied.store(false, ordering: .releasing) }

  /// Runs `job` once on each of `others` threads and on the caller (worker 0).
  func perform(others: Int, _ job: @escaping @Sendable (Int) -> Void) {
    enter()
    pthread_mutex_lock(lock)
    self.job = job
    busy = others
    unfinished.store(others, ordering: .relaxed)
    generation += 1
    turn.store(generation, ordering: .releasing)
    pthread_cond_broadcast(work)
    pthread_mutex_unlock(lock)
    job(0)
    lookOut { unfinished.load(ordering: .relaxed) == 0 }
    pthread_mutex_lock(lock)
    while busy > 0 { pthread_cond_wait(rest, lock) }
    self.job = nil
    pthread_mutex_unlock(lock)
    leave()
  }

  func serve(as worker: Int) {
    var seen = 0
    while true {
      lookOut { turn.load(ordering: .relaxed) != seen }
      pthread_mutex_lock(lock)
      while generation == seen && !dismissed { pthread_cond_wait(work, lock) }
      if dismissed {
        pthread_mutex_unlock(lock)
        return
      }
      seen = generation
      var current = job
      pthread_mutex_unlock(lock)
      current?(worker)
      // Released before reporting: the caller may not return while its closure is still held.
      current = nil
      pthread_mutex_lock(lock)
      busy -= 1
      unfinished.store(busy, ordering: .relaxed)
      if busy == 0 { pthread_cond_signal(rest) }
      pthread_mutex_unlock(lock)
    }
  }

  /// Loops often follow each other at once, and to be woken takes longer than many a loop.
  private func lookOut(_ isThere: () -> Bool) {
    guard isPatient else { return }
    let end = Host.monotonicSeconds + Self.patience
    repeat {
      for _ in 0..<32 {
        if isThere() { return }
        ott_pause()
      }
    } while Host.monotonicSeconds < end
  }

  func dismiss() {
    pthread_mutex_lock(lock)
    dismissed = true
    pthread_cond_broadcast(work)
    pthread_mutex_unlock(lock)
  }
}
