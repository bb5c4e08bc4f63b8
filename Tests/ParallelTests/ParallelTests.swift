import Foundation
import Parallel
import Synchronization
import Testing

/// A value behind a lock of the system's: the thread sanitizer does not see a `Mutex`.
private final class Guarded<Value>: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Value

  init(_ value: Value) { self.value = value }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    lock.withLock { body(&value) }
  }
}

@Suite struct WorkerPoolTests {
  @Test(arguments: [1, 2, 3, 8], [0, 1, 2, 7, 63, 64, 65, 1000])
  func everyTaskRunsOnce(threads: Int, tasks: Int) {
    let pool = WorkerPool(threads: threads)
    let counts = Guarded([Int](repeating: 0, count: tasks))
    for _ in 0..<5 {
      pool.forEach(0..<tasks) { worker, task in
        #expect((0..<threads).contains(worker))
        counts.withLock { $0[task] += 1 }
      }
    }
    #expect(counts.withLock { $0 } == [Int](repeating: 5, count: tasks))
  }

  @Test func tasksKeepTheirOwnNumbers() {
    let seen = Guarded<Set<Int>>([])
    WorkerPool(threads: 2).forEach(10..<20) { _, task in
      _ = seen.withLock { $0.insert(task) }
    }
    #expect(seen.withLock { $0 } == Set(10..<20))
  }

  /// In a loop over few tasks, when nobody is late.
  @Test func workersBeginWithTheirOwn() {
    let pool = WorkerPool(threads: 4)
    for _ in 0..<20 {
      let begun = Atomic<Int>(0)
      let workers = Guarded([Int](repeating: -1, count: 6))
      pool.forEach(0..<6) { worker, task in
        begun.wrappingAdd(1, ordering: .relaxed)
        while begun.load(ordering: .relaxed) < 4 { sched_yield() }
        workers.withLock { $0[task] = worker }
      }
      #expect(workers.withLock { Array($0.prefix(4)) } == [0, 1, 2, 3])
    }
  }

  /// Long tasks, fewer than workers and more than are told apart one by one.
  @Test(arguments: [1, 2, 3, 8], [0, 1, 2, 7, 64, 65, 200])
  func everyLongTaskAndPartRunsOnce(threads: Int, tasks: Int) {
    let pool = WorkerPool(threads: threads)
    let counts = Guarded([Int](repeating: 0, count: 3 * tasks))
    for _ in 0..<5 {
      pool.forEachLong(0..<tasks) { worker, task in
        #expect(threads == 1 || worker < tasks)
        pool.share(3, by: worker) { helper, part in
          #expect((0..<threads).contains(helper))
          counts.withLock { $0[3 * task + part] += 1 }
        }
      }
    }
    #expect(counts.withLock { $0 } == [Int](repeating: 5, count: 3 * tasks))
  }

  /// One task, whose four parts wait for each other: done only if workers without a task take three.
  @Test func workersWithoutTasksHelp() {
    let pool = WorkerPool(threads: 4)
    for _ in 0..<20 {
      let begun = Atomic<Int>(0)
      let helpers = Guarded<Set<Int>>([])
      pool.forEachLong(0..<1) { worker, _ in
        while pool.helpers < 3 { sched_yield() }
        pool.share(4, by: worker) { helper, _ in
          begun.wrappingAdd(1, ordering: .relaxed)
          while begun.load(ordering: .relaxed) < 4 { sched_yield() }
          _ = helpers.withLock { $0.insert(helper) }
        }
      }
      #expect(helpers.withLock { $0 } == [0, 1, 2, 3])
      #expect(pool.helpers == 0)
    }
    #expect(pool.helpTimes.helping > 0)
  }

  private struct Broken: Error { let task: Int }

  @Test(arguments: [1, 2, 4])
  func errorsStopTheLoopAndReachTheCaller(threads: Int) {
    let pool = WorkerPool(threads: threads)
    let started = Atomic<Int>(0)
    let error = #expect(throws: Broken.self) {
      try pool.forEach(0..<100_000) { _, task in
        started.wrappingAdd(1, ordering: .relaxed)
        if task == 3 { throw Broken(task: task) }
      }
    }
    #expect(error?.task == 3)
    #expect(started.load(ordering: .relaxed) < 100_000)
    let after = Atomic<Int>(0)
    pool.forEach(0..<10) { _, _ in after.wrappingAdd(1, ordering: .relaxed) }
    #expect(after.load(ordering: .relaxed) == 10)
  }

  @Test func workersDoNotShareATurn() {
    let pool = WorkerPool(threads: 4)
    let inside = Guarded([Int](repeating: 0, count: 4))
    pool.forEach(0..<2_000) { worker, _ in
      inside.withLock { $0[worker] += 1 }
      #expect(inside.withLock { $0[worker] } == 1)
      inside.withLock { $0[worker] -= 1 }
    }
  }
}
