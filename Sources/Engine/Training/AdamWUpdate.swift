import Kernels
import Parallel

/// AdamW on all parameters: the flat arrays in chunks, and of tables the rows that a batch used.
// Unchecked: each task has its own part of the arrays.
final class AdamWUpdate: @unchecked Sendable {
  /// Floats of the flat arrays that are summed, measured and updated at a time.
  static let chunk = 1 << 15

  /// A part of one slot that one task updates.
  private struct Part {
    var range: Range<Int>
    var decay: Bool
  }

  private let parameters: ParameterStore
  private let parts: [Part]

  init(_ parameters: ParameterStore) {
    self.parameters = parameters
    parts = parameters.layout.slots.flatMap { slot in
      stride(from: slot.offset, to: slot.offset + slot.count, by: Self.chunk).map {
        Part(
          range: $0..<min($0 + Self.chunk, slot.offset + slot.count), decay: slot.decay)
      }
    }
  }

  /// One step with the flat gradient and the rows that `tables` has staged.
  ///
  /// - Parameters:
  ///   - step: counted from 1.
  ///   - clip: multiplies every gradient.
  func apply(
    _ gradient: UnsafeMutablePointer<Float>, _ tables: TableBatch?, step: Int,
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
    if parameters.layout.count <= 4 * Self.chunk {
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
    func floats(_ base: UnsafeMutablePointer<Float>) -> UnsafeMutableBufferPointer<Float> {
      UnsafeMutableBufferPointer(start: base + part.range.lowerBound, count: part.range.count)
    }
    var weights = floats(parameters.weights.base).mutableSpan
    var m = floats(parameters.firstMoment.base).mutableSpan
    var v = floats(parameters.secondMoment.base).mutableSpan
    adamW(&weights, m: &m, v: &v, floats(gradient).span, scalars)
  }
}
