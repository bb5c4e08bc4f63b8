import Kernels
import Parallel
import Support
import Synchronization

/// How fast this machine multiplies matrices, measured in a few milliseconds a shape.
package enum Calibration {
  /// Rates of one thread of this machine while `threads` of them work. Each width is measured once, when it
  /// is first asked for.
  ///
  /// Threads that work side by side share caches, memory and often a core: what one does alone says little
  /// of each of them.
  package static func rates(threads: Int) -> Rates {
    let measured = Measurements(threads: max(1, min(threads, Host.threads)))
    var rates = Rates { rows, width, precision in
      // Rates level off: more rows than this tell nothing new and cost time.
      measured.rate(
        Shape(rows: max(16, min(rows, 512)), width: max(1, min(width, 1024)), precision: precision))
    }
    let trials = DeviceTrials()
    rates.device = { try trials.seconds($0) }
    rates.deviceFault = { DeviceTrials.fault(of: $0) }
    return rates
  }

  private struct Shape: Hashable {
    var rows, width: Int
    var precision: Precision
  }

  private final class Measurements: @unchecked Sendable {
    private let pool: WorkerPool
    private var known: [Shape: Double] = [:]

    init(threads: Int) { pool = WorkerPool(threads: threads) }

    /// In FLOP/s: the mean over the threads, which multiply at the same time. Where bfloat16 is not available
    /// its rate is that of single precision.
    func rate(_ shape: Shape) -> Double {
      if let rate = known[shape] { return rate }
      let started = Atomic<Int>(0)
      let sum = Mutex(0.0)
      pool.forEach(0..<pool.threads) { [threads = pool.threads] _, _ in
        let rate = Calibration.rate(shape) {
          // A worker may take the task of one that is late: then nobody waits for it.
          started.add(1, ordering: .relaxed)
          let patience = Host.monotonicSeconds + 0.05
          while started.load(ordering: .relaxed) < threads, Host.monotonicSeconds < patience {}
        }
        sum.withLock { $0 += rate }
      }
      let rate = sum.withLock { $0 } / Double(pool.threads)
      known[shape] = rate
      return rate
    }
  }

  /// The rate of one thread: by the median of its times, of at least four products and as many as fit into
  /// about 10 ms.
  ///
  /// - Parameter begin: called when all is there to be multiplied.
  private static func rate(_ shape: Shape, begin: () -> Void) -> Double {
    let (rows, width) = (shape.rows, shape.width)
    let columns = 4 * width
    let a = [Float](repeating: 0.5, count: rows * width)
    let b = [Float](repeating: 0.25, count: width * columns)
    var c = [Float](repeating: 0, count: rows * columns)
    let isRounded = shape.precision == .bfloat16 && shape.precision.isAvailable
    var packed = [Float](
      repeating: 0, count: isRounded ? packedCount(K: width, M: columns) : 0)
    var scratch = [Float](
      repeating: 0, count: isRounded ? packedMatmulScratch(K: width, M: columns) : 0)
    if isRounded {
      var factor = packed.mutableSpan
      packWeights(into: &factor, b.span, K: width, M: columns)
    }
    begin()
    var times: [Double] = []
    let start = Host.threadSeconds
    repeat {
      let before = Host.threadSeconds
      var product = c.mutableSpan
      if isRounded {
        var room = scratch.mutableSpan
        matmul(
          into: &product, a.span, packed: packed.span, bias: Span(), residual: Span(), N: rows,
          K: width, M: columns, scratch: &room)
      } else {
        matmul(into: &product, a.span, b.span, N: rows, K: width, M: columns)
      }
      times.append(Host.threadSeconds - before)
    } while times.count < 4 || Host.threadSeconds - start < 0.01
    return 2 * Double(rows * width * columns) / max(times.sorted()[times.count / 2], 1e-9)
  }
}
