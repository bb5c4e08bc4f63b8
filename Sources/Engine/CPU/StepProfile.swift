import Support

/// Where the time of training steps went: sums over the steps since profiling was switched on.
package struct StepProfile: Sendable, Equatable {
  /// Thread-seconds of each operation of the plan, forward and backward, all lanes together; without those
  /// of helpers.
  package var forward: [Double]
  package var backward: [Double]
  /// Thread-seconds of workers in parts of others' lanes.
  package var helping = 0.0
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
  private(set) var forward: [Double]
  private(set) var backward: [Double]

  init(operations: Int) {
    forward = [Double](repeating: 0, count: operations)
    backward = forward
  }

  var now: Double { Host.monotonicSeconds }

  /// Counts the time since `before` for an operation; returns now.
  func addForward(_ index: Int, since before: Double) -> Double {
    let now = now
    forward[index] += now - before
    return now
  }

  func addBackward(_ index: Int, since before: Double) -> Double {
    let now = now
    backward[index] += now - before
    return now
  }
}
