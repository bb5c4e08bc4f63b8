import Kernels
import Parallel
import Support

/// Where the packed form of each weight lies, for plans whose products are not in single precision.
struct FactorLayout: Sendable {
  struct Factor: Sendable {
    let parameter: Parameter
    /// Shape.
    let K, M: Int
    /// First float and floats of the packed form.
    let offset, count: Int
  }

  private(set) var factors: [Factor] = []
  /// By parameter number; nil for parameters that are not factors.
  private(set) var places: [Factor?]
  /// Floats of all packed weights.
  private(set) var count = 0

  init(_ operations: [any Operation], layout: ParameterLayout, precision: Precision) {
    places = layout.slots.map { _ in nil }
    if precision == .float32 { return }
    for parameter in operations.flatMap(\.factors) where places[parameter.id] == nil {
      let shape = layout.slots[parameter.id].shape
      precondition(shape.count == 2, "a factor of products has two dimensions, not \(shape)")
      let factor = Factor(
        parameter: parameter, K: shape[0], M: shape[1], offset: count,
        count: packedCount(K: shape[0], M: shape[1]))
      factors.append(factor)
      places[parameter.id] = factor
      count += (factor.count + 15) & ~15
    }
  }
}

/// The packed weights of one step, shared by all workers.
// Unchecked: filled between the parallel loops that read it, each factor by one task.
final class PackedFactors: @unchecked Sendable {
  private let layout: FactorLayout
  private let floats: FloatBuffer

  init(_ layout: FactorLayout) {
    self.layout = layout
    floats = FloatBuffer(count: layout.count)
  }

  var base: UnsafePointer<Float>? { layout.count > 0 ? UnsafePointer(floats.base) : nil }
  var bytes: Int { layout.count * MemoryLayout<Float>.stride }

  /// Packs every factor of `weights`.
  func fill(from weights: UnsafePointer<Float>, _ pool: WorkerPool) {
    nonisolated(unsafe) let weights = weights
    pool.forEach(0..<layout.factors.count) { [self] _, task in
      let factor = layout.factors[task]
      let (K, M) = (factor.K, factor.M)
      var packed = UnsafeMutableBufferPointer(
        start: floats.base + factor.offset, count: factor.count
      ).mutableSpan
      packWeights(
        into: &packed,
        UnsafeBufferPointer(start: weights + factor.parameter.offset, count: K * M).span, K: K,
        M: M)
    }
  }
}
