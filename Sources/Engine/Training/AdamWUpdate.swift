import Kernels
import Parallel

/// AdamW on the parameters whose moments this rank holds: of the flat arrays in chunks, and of tables the rows
/// that a batch used.
// Unchecked: each task has its own part of the arrays.
final class AdamWUpdate: @unchecked Sendable {
  /// A part of one slot that one task updates.
  private struct Part {
    var range: Range<Int>
    var decay: Bool
  }

  private let parameters: ParameterStore
  private let parts: [Part]

  init(_ parameters: ParameterStore) {
    self.parameters = parameters
    let held = parameters.held(of: .firstMoment)
    parts = parameters.layout.slots.flatMap { slot in
      let range = slot.range.clamped(to: held)
      return stride(from: range.lowerBound, to: range.upperBound, by: RankShare.chunk).map {
        Part(range: $0..<min($0 + RankShare.chunk, range.upperBound), decay: slot.decay)
      }
    }
  }

  /// One step with the flat gradient, of which the part of this rank is read, and the rows that `tables` has
  /// staged.
  ///
  /// - Parameters:
  ///   - step: counted from 1.
  ///   - clip: multiplies every gradient.
  func apply(
    _ gradient: UnsafeMutablePointer<Float>, _ tables: (any TableStep)?, step: Int,
    learningRate: Double, clip: Double, _ optimizer: OptimizerConstants,
    _ tableOptimizer: TableOptimizer, _ pool: WorkerPool
  ) {
    let decayed = AdamWScalars(
      step: step, learningRate: learningRate, beta1: optimizer.beta1, beta2: optimizer.beta2,
      epsilon: optimizer.epsilon, weightDecay: optimizer.weightDecay, gradientScale: clip)
    let plain = AdamWScalars(
      step: step, learningRate: learningRate, beta1: optimizer.beta1, beta2: optimizer.beta2,
      epsilon: optimizer.epsilon, weightDecay: 0, gradientScale: clip)
    nonisolated(unsafe) let gradient = gradient
    // Small loops stay on the calling thread: waking others costs more.
    if parameters.held(of: .firstMoment).count <= 4 * RankShare.chunk {
      for part in parts { apply(gradient, to: part, part.decay ? decayed : plain) }
    } else {
      pool.forEach(0..<parts.count) { [self] _, task in
        apply(gradient, to: parts[task], parts[task].decay ? decayed : plain)
      }
    }
    guard let tables else { return }
    let rows = AdamWScalars(
      step: step, learningRate: learningRate * tableOptimizer.learningRateMultiplier,
      beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon,
      weightDecay: tableOptimizer.weightDecay, gradientScale: clip)
    tables.update(step: step, rows, pool)
    parameters.appendToTableHistory(rows)
  }

  private func apply(
    _ gradient: UnsafeMutablePointer<Float>, to part: Part, _ scalars: AdamWScalars
  ) {
    let part = part.range
    let gradient = UnsafeBufferPointer(start: gradient + part.lowerBound, count: part.count)
    var weights = parameters.floats(part, of: .weights).mutableSpan
    var m = parameters.floats(part, of: .firstMoment).mutableSpan
    var v = parameters.floats(part, of: .secondMoment).mutableSpan
    adamW(&weights, m: &m, v: &v, gradient.span, scalars)
  }
}
