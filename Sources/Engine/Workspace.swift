import Kernels

/// Where one run of a plan finds its data: what operations see of the executor.
package struct Workspace: ~Copyable {
  /// Rows of this lane, N.
  package let rows: Int
  /// Of the matrix products.
  package let precision: Precision
  /// 1 / (rows of the whole batch): the weight of each row's loss.
  let lossScale: Float
  let lane: LaneView
  let weights: UnsafePointer<Float>
  /// The packed weights, in plans that have them.
  let packed: UnsafePointer<Float>?
  let factors: FactorLayout
  let gradients: UnsafeMutablePointer<Float>?
  let arena: UnsafeMutablePointer<Float>
  /// See `Plan`: columns, to be multiplied by `stride` and added to the scratch.
  let valueOffsets: UnsafePointer<Int>
  let gradientOffsets: UnsafePointer<Int>
  let stride: Int
  let scratchCount: Int

  /// Whether each row is a sequence of its own, whose bits may not depend on the others.
  package var isDecoding: Bool { lane.slots.count > 0 }

  /// The value of an activation, (rows, columns).
  package func value(_ tensor: Tensor) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(
      start: arena + scratchCount + valueOffsets[tensor.id] * stride, count: rows * tensor.columns)
  }

  /// Whether both values lie in one place.
  package func areShared(_ a: Tensor, _ b: Tensor) -> Bool {
    valueOffsets[a.id] == valueOffsets[b.id]
  }

  /// The gradient of an activation, (rows, columns).
  package func gradient(_ tensor: Tensor) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(
      start: arena + scratchCount + gradientOffsets[tensor.id] * stride,
      count: rows * tensor.columns)
  }

  package func weight(_ parameter: Parameter) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: weights + parameter.offset, count: parameter.count)
  }

  /// The packed form of a weight; nil when products are in single precision.
  package func packed(_ parameter: Parameter) -> UnsafeBufferPointer<Float>? {
    guard let packed, let place = factors.places[parameter.id] else { return nil }
    return UnsafeBufferPointer(start: packed + place.offset, count: place.count)
  }

  package func gradient(_ parameter: Parameter) -> UnsafeMutableBufferPointer<Float> {
    guard let gradients else { preconditionFailure("gradients in a plan without a backward pass") }
    return UnsafeMutableBufferPointer(start: gradients + parameter.offset, count: parameter.count)
  }

  package var scratch: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: arena, count: scratchCount)
  }
}

/// Leaves dY as the gradient of a residual, the operation's input number `index`.
func passGradient(
  _ w: borrowing Workspace, _ dY: Span<Float>, to residual: Tensor, at index: Int,
  _ accumulation: Accumulation
) {
  if accumulation.sharesInput(index) { return }
  var target = w.gradient(residual).mutableSpan
  if accumulation.addsInput(index) {
    add(dY, to: &target)
  } else {
    copy(dY, into: &target)
  }
}

/// The integers of a lane, and where results go.
struct LaneView {
  /// (rows, G).
  var inputs: UnsafeBufferPointer<Int32>
  var tables: Int
  /// The table lookups, where the model has tables.
  var tableView: TableView?
  /// (rows), counted from 0 in each sentence.
  var positions: UnsafeBufferPointer<Int32>
  /// (rows), or empty.
  var labels: UnsafeBufferPointer<Int32>
  /// First row of each sentence, and N; empty when decoding.
  var offsets: UnsafeBufferPointer<Int>
  /// (rows), the cache slot of each row when decoding.
  var slots = UnsafeBufferPointer<Int32>(start: nil, count: 0)
  /// Attention caches of all layers, `cacheStride` floats each, when decoding.
  var caches = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
  var cacheStride = 0
  /// (rows), or empty: log-probability of each label.
  var labelLogProbabilities = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
  /// (rows, V), or empty: all log-probabilities.
  var logProbabilities = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
}
