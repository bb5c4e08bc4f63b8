import Parallel

/// The rows of f-grams by their model alone: what a store of them is made of.
///
/// A row has the bits that scoring gives it inside of a lane, whichever others it comes with.
// Unchecked: each worker has its own executor, and writes its own part of the rows.
package final class FGramEngine: @unchecked Sendable {
  package let plan: Plan
  /// Columns of a row.
  package let columns: Int
  /// F-grams that a worker runs at a time.
  package let capacity: Int
  private let pool: WorkerPool
  private let executors: [Executor]
  private let weights: Executor.Weights

  /// - Parameter plan: traced for scoring, of a space of f-grams that its one position each is linked to;
  ///   it leaves the linked rows.
  package init(plan: Plan, parameters: ParameterStore, columns: Int, threads: Int) {
    precondition(
      plan.mode == .scoring && plan.limits.given.count == 1, "f-grams are a space of a scoring plan"
    )
    precondition(parameters.layout.has(plan.layout), "the parameters are another model's")
    (self.plan, self.columns, capacity) = (plan, columns, plan.limits.rows)
    pool = WorkerPool(threads: max(threads, 1))
    executors = (0..<max(threads, 1)).map { _ in
      Executor(CPUProgram(plan), store: parameters.layout)
    }
    weights = Executor.Weights(base: UnsafePointer(parameters.weights.base))
  }

  /// The rows of `fGrams`, (fGrams.count, columns).
  ///
  /// - Parameter fGrams: tokens of each, at least one and at most those of the plan's segments.
  package func rows(of fGrams: [[Int32]]) -> [Float] {
    let starts = Array(stride(from: 0, to: fGrams.count, by: capacity))
    var result = [Float](repeating: 0, count: fGrams.count * columns)
    result.withUnsafeMutableBufferPointer { result in
      nonisolated(unsafe) let result = result
      pool.forEach(0..<starts.count) { worker, part in
        let range = starts[part]..<min(starts[part] + self.capacity, fGrams.count)
        self.executors[worker].score(
          lane(of: fGrams[range]), self.weights,
          taken: UnsafeMutableBufferPointer(
            rebasing: result[range.lowerBound * self.columns..<range.upperBound * self.columns]))
      }
    }
    return result
  }
}

/// One position for each f-gram, linked to its last row.
private func lane(of fGrams: ArraySlice<[Int32]>) -> PackedLane {
  var lane = PackedLane(tables: 1, capacity: fGrams.count, spaces: [1], links: 1)
  for tokens in fGrams {
    precondition(!tokens.isEmpty, "an f-gram without tokens")
    for token in tokens { lane.spaces[0].appendRow { _ in token } }
    lane.spaces[0].endSegment()
    lane.links[0].append(Int32(lane.spaces[0].rows - 1))
    lane.appendRow(label: PackedLane.noLabel) { _ in tokens[tokens.count - 1] }
    lane.endSegment()
  }
  return lane
}
