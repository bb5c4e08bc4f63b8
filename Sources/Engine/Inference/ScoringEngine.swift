import Parallel

/// Log-probabilities of packed sentences, forward only.
// Unchecked: each worker has its own executor.
package final class ScoringEngine: @unchecked Sendable {
  package let plan: Plan
  package let parameters: ParameterStore
  /// Output classes, V.
  package let labels: Int
  private let pool: WorkerPool
  private let executors: [Executor]
  private let weights: Executor.Weights

  package init(plan: Plan, parameters: ParameterStore, labels: Int, threads: Int) {
    precondition(plan.mode == .scoring, "scoring needs a scoring plan")
    precondition(parameters.layout.has(plan.layout), "the parameters are another model's")
    self.plan = plan
    self.parameters = parameters
    self.labels = labels
    pool = WorkerPool(threads: max(threads, 1))
    executors = (0..<max(threads, 1)).map { _ in
      Executor(CPUProgram(plan), store: parameters.layout)
    }
    weights = Executor.Weights(
      base: UnsafePointer(parameters.weights.base), tables: parameters.sources(of: plan.layout))
  }

  /// log p(label) in nats for every row of every lane; lanes run in parallel.
  package func labelLogProbabilities(_ lanes: [PackedLane]) -> [[Float]] {
    score(lanes, columns: 1) { executor, lane, buffer in
      executor.score(lane, self.weights, labelLogProbabilities: buffer)
    }
  }

  /// log p(·) in nats for every row of every lane: (rows, V) each; lanes run in parallel. The
  /// lanes' labels are not read.
  package func logProbabilities(_ lanes: [PackedLane]) -> [[Float]] {
    score(lanes, columns: labels) { executor, lane, buffer in
      executor.score(lane, self.weights, logProbabilities: buffer)
    }
  }

  private func score(
    _ lanes: [PackedLane], columns: Int,
    _ run: @Sendable (Executor, PackedLane, UnsafeMutableBufferPointer<Float>) -> Void
  ) -> [[Float]] {
    var starts = [0]
    for lane in lanes { starts.append(starts[starts.count - 1] + lane.rows * columns) }
    var flat = [Float](repeating: 0, count: starts[lanes.count])
    flat.withUnsafeMutableBufferPointer { flat in
      nonisolated(unsafe) let flat = flat
      let starts = starts
      pool.forEach(0..<lanes.count) { [executors] worker, task in
        let part = UnsafeMutableBufferPointer(rebasing: flat[starts[task]..<starts[task + 1]])
        run(executors[worker], lanes[task], part)
      }
    }
    return lanes.indices.map { Array(flat[starts[$0]..<starts[$0 + 1]]) }
  }
}
