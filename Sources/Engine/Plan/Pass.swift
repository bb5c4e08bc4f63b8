/// One pass of one operation.
package struct Pass: Sendable, Equatable {
  package let operation: Int
  package let isBackward: Bool

  /// The passes of a graph in order. Without gradients, all forward. When training, forward but for the
  /// postponed parts, then backward in reverse; a postponed part runs forward right before its last
  /// operation runs backward.
  static func schedule(_ builder: GraphBuilder) -> [Pass] {
    let all = builder.operations.indices
    func forward(_ part: Range<Int>) -> [Pass] {
      part.map { Pass(operation: $0, isBackward: false) }
    }
    guard builder.mode == .training else { return forward(all) }
    let waiting = Set(builder.postponed.flatMap(\.self))
    let parts = Dictionary(
      uniqueKeysWithValues: builder.postponed.map { ($0.upperBound - 1, $0) })
    return forward(all).filter { !waiting.contains($0.operation) }
      + all.reversed().flatMap { index in
        (parts[index].map(forward) ?? []) + [Pass(operation: index, isBackward: true)]
      }
  }

  /// The place in `schedule` of each operation's forward and backward pass; of none, 0.
  static func times(
    _ schedule: [Pass], operations: Int
  ) -> (forward: [Int], backward: [Int]) {
    var forward = [Int](repeating: 0, count: operations)
    var backward = forward
    for (time, pass) in schedule.enumerated() {
      if pass.isBackward {
        backward[pass.operation] = time
      } else {
        forward[pass.operation] = time
      }
    }
    return (forward, backward)
  }
}
