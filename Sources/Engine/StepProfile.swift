import Support

/// Where the time of training steps went: sums over the steps since profiling was switched on.
package struct StepProfile: Sendable, Equatable {
  /// Thread-seconds of each operation of the plan, forward and backward, all lanes together.
  package var forward: [Double]
  package var backward: [Double]
  /// Wall seconds of the loop over lanes, the sum of the lanes' gradients with its norm, and the
  /// optimizer.
  package var lanes = 0.0
  package var reduction = 0.0
  package var optimizer = 0.0
  package var steps = 0

  package init(operations: Int) {
    forward = [Double](repeating: 0, count: operations)
    backward = forward
  }

  mutating func add(_ profile: OperationProfile) {
    for i in forward.indices {
      forward[i] += profile.forward[i]
      backward[i] += profile.backward[i]
    }
  }
}

/// Seconds of each operation in the runs of one executor.
final class OperationProfile {
  var forward: [Double]
  var backward: [Double]

  init(operations: Int) {
    forward = [Double](repeating: 0, count: operations)
    backward = forward
  }
}

extension Executor {
  /// The operations of a training plan, forward and backward, each timed into `profile`.
  func runTimed(_ workspace: borrowing Workspace, _ profile: OperationProfile) {
    var before = Host.monotonicSeconds
    for index in plan.operations.indices {
      plan.operations[index].forward(workspace)
      let now = Host.monotonicSeconds
      profile.forward[index] += now - before
      before = now
    }
    if !plan.isTraining { return }
    for index in plan.operations.indices.reversed() {
      backward(index, workspace)
      let now = Host.monotonicSeconds
      profile.backward[index] += now - before
      before = now
    }
  }
}
