import Foundation

/// Runs jobs in order on one thread of its own, so that whoever computes the next file need not wait
/// for the disk to take the last one.
// Unchecked: every mutable field is guarded by `condition`.
package final class BackgroundQueue: @unchecked Sendable {
  private let condition = NSCondition()
  private let depth: Int
  private var jobs: [@Sendable () throws -> Void] = []
  private var isBusy = false
  private var isClosed = false
  private var failure: (any Error)?

  /// - Parameter depth: jobs that may wait; `enqueue` blocks while there are as many.
  package init(depth: Int) {
    precondition(depth >= 1, "a queue of depth \(depth)")
    self.depth = depth
    pthread_detach(Resources.startThread { [self] in serve() })
  }

  /// Hands over a job; after a job failed, further ones are dropped (`finish` will tell).
  package func enqueue(_ job: @escaping @Sendable () throws -> Void) {
    condition.withLock {
      precondition(!isClosed, "a job came after the end")
      while jobs.count >= depth && failure == nil { condition.wait() }
      if failure == nil { jobs.append(job) }
      condition.broadcast()
    }
  }

  /// Waits until all jobs are done, ends the thread, and throws the error of the job that failed.
  package func finish() throws {
    let failure = condition.withLock {
      isClosed = true
      condition.broadcast()
      while isBusy || (self.failure == nil && !jobs.isEmpty) { condition.wait() }
      return self.failure
    }
    if let failure { throw failure }
  }

  private func serve() {
    while let job = take() {
      let result = Result { try job() }
      condition.withLock {
        isBusy = false
        if case .failure(let error) = result {
          failure = error
          jobs.removeAll()
        }
        condition.broadcast()
      }
    }
  }

  private func take() -> (@Sendable () throws -> Void)? {
    condition.withLock {
      while jobs.isEmpty && !isClosed && failure == nil { condition.wait() }
      guard failure == nil, !jobs.isEmpty else { return nil }
      isBusy = true
      let job = jobs.removeFirst()
      condition.broadcast()
      return job
    }
  }
}
