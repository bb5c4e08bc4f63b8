import Kernels
import Support

/// How fast this machine multiplies matrices, measured in a few milliseconds a shape.
package enum Calibration {
  /// Rates of one thread of this machine. Each width is measured once, when it is first asked for.
  package static func rates() -> Rates {
    let measured = Measurements()
    var rates = Rates { rows, width, precision in
      // Rates level off: more rows than this tell nothing new and cost time.
      measured.rate(
        Shape(rows: max(16, min(rows, 512)), width: max(1, min(width, 1024)), precision: precision))
    }
    let trials = DeviceTrials()
    rates.device = { try trials.seconds($0) }
    return rates
  }

  private struct Shape: Hashable {
    var rows, width: Int
    var precision: Precision
  }

  private final class Measurements: @unchecked Sendable {
    private var known: [Shape: Double] = [:]

    func rate(_ shape: Shape) -> Double {
      if let rate = known[shape] { return rate }
      let rate = measure(shape)
      known[shape] = rate
      return rate
    }

    /// The best by thread time of at least four repetitions, of as many as fit into about 10 ms, in
    /// FLOP/s. Where bfloat16 is not available its rate is that of single precision.
    private func measure(_ shape: Shape) -> Double {
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
      var best = Double.infinity
      let start = Host.threadSeconds
      var repetitions = 0
      repeat {
        let before = Host.threadSeconds
        repetitions += 1
        var product = c.mutableSpan
        if isRounded {
          var room = scratch.mutableSpan
          matmul(
            into: &product, a.span, packed: packed.span, bias: Span(), residual: Span(), N: rows,
            K: width, M: columns, scratch: &room)
        } else {
          matmul(into: &product, a.span, b.span, N: rows, K: width, M: columns)
        }
        best = min(best, Host.threadSeconds - before)
      } while repetitions < 4 || Host.threadSeconds - start < 0.01
      return 2 * Double(rows * width * columns) / max(best, 1e-9)
    }
  }
}
