import Kernels
import Parallel

/// The workers of a pool without a lane, as the kernels of the lane on one worker see them.
final class LaneHelpers: Helpers {
  private let pool: WorkerPool
  private let worker: Int
  private let scratch: HelperScratch

  init(_ pool: WorkerPool, worker: Int, scratch: HelperScratch) {
    (self.pool, self.worker, self.scratch) = (pool, worker, scratch)
  }

  var count: Int { pool.helpers }

  func share(
    _ parts: Int, _ body: (_ part: Int, _ scratch: UnsafeMutablePointer<Float>?) -> Void
  ) {
    withoutActuallyEscaping(body) { body in
      nonisolated(unsafe) let body = body
      pool.share(parts, by: worker) { [worker, scratch] helper, part in
        body(part, helper == worker ? nil : scratch[helper])
      }
    }
  }
}

/// Scratch of each worker for parts of others' lanes: memory only where a worker has helped.
// Unchecked: each worker uses its own.
final class HelperScratch: @unchecked Sendable {
  private let floats: [FloatBox]

  init(_ program: CPUProgram, workers: Int) {
    floats = (0..<workers).map { _ in FloatBox(count: program.scratchCount) }
  }

  subscript(worker: Int) -> UnsafeMutablePointer<Float> { floats[worker].floats.base }
}
