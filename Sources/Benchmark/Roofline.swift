import Kernels
import Parallel
import Support
import Synchronization

/// What this machine can do at most with a number of threads, measured just now.
package struct Roofline: Sendable, Equatable {
  /// FLOP/s of square matrix products in the precision of the work, one on every thread.
  package let product: Double
  /// Bytes a second of a += b over arrays far larger than the caches, three floats moved an element.
  package let bandwidth: Double

  package init(product: Double, bandwidth: Double) {
    self.product = product
    self.bandwidth = bandwidth
  }

  /// Seconds below which `flops` and `bytes` cannot get.
  package func seconds(flops: Double, bytes: Double) -> Double {
    max(flops / product, bytes / bandwidth)
  }

  /// Takes about `seconds` for each of the two.
  package static func measure(
    threads: Int, precision: Precision = .float32, seconds: Double = 0.5
  ) -> Roofline {
    let length = 1 << 24
    let product = product(threads: threads, precision: precision, seconds: seconds)
    let bandwidth = rate(threads: threads, seconds: seconds) {
      let b = [Float](repeating: 0.5, count: length)
      var a = b
      return {
        var sum = a.mutableSpan
        add(b.span, to: &sum)
        return 12 * Double(length)
      }
    }
    return Roofline(product: product, bandwidth: bandwidth)
  }

  /// FLOP/s of square matrix products, one on each of so many threads at once.
  package static func product(threads: Int, precision: Precision, seconds: Double = 0.5) -> Double {
    rate(threads: threads, seconds: seconds) { makeProduct(precision) }
  }

  /// A product of square matrices; returns its FLOPs.
  private static func makeProduct(_ precision: Precision) -> () -> Double {
    let side = 1024
    let flops = 2 * Double(side * side * side)
    let a = [Float](repeating: 0.5, count: side * side)
    var c = a
    if precision == .float32 {
      return {
        var product = c.mutableSpan
        matmul(into: &product, a.span, a.span, N: side, K: side, M: side)
        return flops
      }
    }
    var packed = [Float](repeating: 0, count: packedCount(K: side, M: side))
    var factor = packed.mutableSpan
    packWeights(into: &factor, a.span, K: side, M: side)
    var scratch = [Float](repeating: 0, count: packedMatmulScratch(K: side, M: side))
    return { [packed] in
      var product = c.mutableSpan
      var room = scratch.mutableSpan
      matmul(
        into: &product, a.span, packed: packed.span, bias: Span(), residual: Span(), N: side,
        K: side, M: side, scratch: &room)
      return flops
    }
  }

  /// The work of all threads a second; each makes its own `work` and repeats it until time is up.
  private static func rate(
    threads: Int, seconds: Double, _ make: @Sendable () -> () -> Double
  ) -> Double {
    let rates = Mutex([Double](repeating: 0, count: threads))
    WorkerPool(threads: threads).forEach(0..<threads) { _, task in
      let work = make()
      _ = work()
      let start = Host.monotonicSeconds
      var (done, elapsed) = (0.0, 0.0)
      repeat {
        done += work()
        elapsed = Host.monotonicSeconds - start
      } while elapsed < seconds
      let rate = done / elapsed
      rates.withLock { $0[task] = rate }
    }
    return rates.withLock { $0.reduce(0, +) }
  }
}
