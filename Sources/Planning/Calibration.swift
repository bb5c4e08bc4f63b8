import Kernels
import Support

/// How fast this machine multiplies matrices, measured in a few milliseconds a shape.
package enum Calibration {
  /// Rates of one thread of this machine. Each width is measured once, when it is first asked for.
  package static func rates() -> Rates {
    let measured = Measurements()
    return Rates { rows, width in
      // Rates level off: more rows than this tell nothing new and cost time.
      measured.rate(rows: max(16, min(rows, 512)), width: max(1, min(width, 1024)))
    }
  }

  private final class Measurements: @unchecked Sendable {
    private var known: [[Int]: Double] = [:]

    func rate(rows: Int, width: Int) -> Double {
      if let rate = known[[rows, width]] { return rate }
      let rate = measure(rows: rows, width: width)
      known[[rows, width]] = rate
      return rate
    }

    /// The best of the repetitions that fit into about 10 ms, in FLOP/s.
    private func measure(rows: Int, width: Int) -> Double {
      let columns = 4 * width
      let a = [Float](repeating: 0.5, count: rows * width)
      let b = [Float](repeating: 0.25, count: width * columns)
      var c = [Float](repeating: 0, count: rows * columns)
      var best = Double.infinity
      let start = Host.monotonicSeconds
      repeat {
        let before = Host.monotonicSeconds
        var product = c.mutableSpan
        matmul(into: &product, a.span, b.span, N: rows, K: width, M: columns)
        best = min(best, Host.monotonicSeconds - before)
      } while Host.monotonicSeconds - start < 0.01
      return 2 * Double(rows * width * columns) / max(best, 1e-9)
    }
  }
}
