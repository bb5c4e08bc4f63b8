import Kernels

/// A decoding plan with what it runs on: an executor, weights, and caches for its attention.
final class DecodingStage {
  /// Rows of a run.
  let rows: Int
  /// Whether a row's result depends on the rows before it.
  let hasCaches: Bool
  private let executor: Executor
  private let weights: Executor.Weights
  private let caches: Caches
  private let cacheStride: Int

  /// Keys and values of all layers and slots.
  private final class Caches {
    let memory: FloatBuffer

    init(count: Int) { memory = FloatBuffer(count: count) }
  }

  /// - Parameters:
  ///   - slots: sequences that have a place in the caches.
  ///   - heads: of attention, `columns` wide together.
  ///   - other: a stage with the same attention, whose caches are this one's too.
  init(
    _ plan: Plan, parameters: ParameterStore, slots: Int, heads: Int, columns: Int,
    sharingCachesOf other: DecodingStage? = nil
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
    caches = other?.caches ?? Caches(count: count * cacheStride)
    precondition(
      caches.memory.count == count * cacheStride, "caches of a stage with other attention")
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
    lent.0.withUnsafeBufferPointer { first in
      lent.1.withUnsafeBufferPointer { second in
        taken.withUnsafeMutableBufferPointer { taken in
          logProbabilities.withUnsafeMutableBufferPointer { logProbabilities in
            decode(rows) { view in
              view.lent = (first, second)
              view.taken = taken
              view.logProbabilities = logProbabilities
            }
          }
        }
      }
    }
  }

  /// Runs rows whose labels are known.
  ///
  /// - Parameters:
  ///   - labels: (rows), of plans with a head; or empty.
  ///   - labelLogProbabilities: (rows), log p of each label; or empty.
  func run(_ rows: Rows, labels: [Int32], labelLogProbabilities: inout [Float]) {
    labels.withUnsafeBufferPointer { labels in
      labelLogProbabilities.withUnsafeMutableBufferPointer { results in
        decode(rows) { view in
          view.labels = labels
          view.labelLogProbabilities = results
        }
      }
    }
  }

  /// Runs the plan on `rows`; `lend` says what else it reads and where results go.
  private func decode(_ rows: Rows, _ lend: (inout LaneView) -> Void) {
    precondition(rows.slots.count <= self.rows, "\(rows.slots.count) rows for \(self.rows)")
    rows.inputs.withUnsafeBufferPointer { inputs in
      rows.slots.withUnsafeBufferPointer { slots in
        rows.positions.withUnsafeBufferPointer { positions in
          var view = LaneView(
            tableView: weights.tables?.view(inputs, width: rows.tables), slots: slots,
            caches: caches.memory.buffer, cacheStride: cacheStride)
          lend(&view)
          executor.decode(
            view, inputs: inputs, tables: rows.tables, positions: positions, weights)
        }
      }
    }
  }
}
