import Kernels

/// A decoding plan with what it runs on: an executor, weights, and caches for its attention.
final class DecodingStage {
  /// Rows of a run.
  let rows: Int
  /// Whether a row's result depends on the rows before it.
  let hasCaches: Bool
  private let executor: Executor
  private let weights: Executor.Weights
  private let caches: FloatBuffer
  private let cacheStride: Int

  /// - Parameters:
  ///   - slots: sequences that have a place in the caches.
  ///   - heads: of attention, `columns` wide together.
  init(
    _ plan: Plan, parameters: ParameterStore, slots: Int, heads: Int, columns: Int
  ) {
    guard case .decoding(let context) = plan.mode else {
      preconditionFailure("decoding needs a decoding plan")
    }
    precondition(parameters.layout.has(plan.layout), "the parameters are another model's")
    rows = plan.limits.rows
    executor = Executor(CPUProgram(plan), store: parameters.layout)
    weights = Executor.Weights(
      base: UnsafePointer(parameters.weights.base), tables: parameters.sources(of: plan.layout))
    let count = plan.operations.count { $0 is CachedAttention }
    hasCaches = count > 0
    cacheStride = slots * attentionCache(context: context, H: heads, D: columns / heads)
    caches = FloatBuffer(count: count * cacheStride)
  }

  /// One run's rows: those of a sequence one behind the other, each row behind those it attends to.
  struct Rows {
    var slots: [Int32] = []
    var positions: [Int32] = []
    /// (rows, tables).
    var inputs: [Int32] = []
    var tables = 0

    mutating func removeAll() {
      slots.removeAll(keepingCapacity: true)
      positions.removeAll(keepingCapacity: true)
      inputs.removeAll(keepingCapacity: true)
    }
  }

  /// - Parameters:
  ///   - lent: (rows, columns) each, of plans that read them.
  ///   - taken: (rows, columns), of plans that leave rows; or empty.
  ///   - logProbabilities: (rows, V), of plans with a head; or empty.
  func run(
    _ rows: Rows, lent: ([Float], [Float]) = ([], []), taken: inout [Float],
    logProbabilities: inout [Float]
  ) {
    precondition(rows.slots.count <= self.rows, "\(rows.slots.count) rows for \(self.rows)")
    rows.inputs.withUnsafeBufferPointer { inputs in
      rows.slots.withUnsafeBufferPointer { slots in
        rows.positions.withUnsafeBufferPointer { positions in
          lent.0.withUnsafeBufferPointer { first in
            lent.1.withUnsafeBufferPointer { second in
              taken.withUnsafeMutableBufferPointer { taken in
                logProbabilities.withUnsafeMutableBufferPointer { logProbabilities in
                  let view = LaneView(
                    tableView: weights.tables?.view(inputs, width: rows.tables), slots: slots,
                    caches: caches.buffer, cacheStride: cacheStride,
                    logProbabilities: logProbabilities, lent: (first, second), taken: taken)
                  executor.decode(
                    view, inputs: inputs, tables: rows.tables, positions: positions, weights)
                }
              }
            }
          }
        }
      }
    }
  }
}
