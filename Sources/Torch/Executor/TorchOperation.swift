import Engine
import Support

/// How libtorch computes an operation: explicit forward and backward operators on the rows of the whole
/// batch. Values that are small integers lie in `DeviceBatch`.
package protocol TorchOperation: Operation {
  /// Sets the values of the outputs, but for auxiliary ones, in whose place it may keep what it likes.
  func forward(_ r: DeviceRun) throws
  /// Adds to the gradients of inputs and parameters.
  func backward(_ r: DeviceRun) throws
}

/// A plan as libtorch executes it: the operations, and what each pass is the last to read.
package struct TorchProgram: Sendable {
  package let plan: Plan
  let operations: [any TorchOperation]
  /// Tensors whose values are read no more after a pass, by its place in the schedule.
  let deaths: [[Int]]

  /// - Parameter moments: the form of the moments of tables, where there are any.
  /// - Throws: `UserError` for a model with an operation, rows or moments that libtorch is not told how to
  ///   compute.
  package init(_ plan: Plan, moments: TableMoments?) throws {
    self.plan = plan
    func refused(_ expected: String, _ found: String) -> UserError {
      UserError(
        "a model on libtorch", expected: expected, found: found,
        remedy: plan.isTraining
          ? "Set training.device to cpu." : "Set evaluation.device to cpu.")
    }
    operations = try plan.operations.map {
      guard let operation = $0 as? any TorchOperation else {
        throw refused("operations that it is told how to compute", "'\($0.name)'")
      }
      return operation
    }
    if let other = plan.spaces.first(where: { $0 != .given }) {
      throw refused("rows that lanes bring", "\(other)")
    }
    if moments == .rowwise && !plan.layout.tables.isEmpty {
      throw refused("optimizer.tables.moments float32 or bfloat16", "rowwise")
    }
    deaths = Self.deaths(plan)
  }

  private static func deaths(_ plan: Plan) -> [[Int]] {
    let losses = Set(plan.losses.map(\.tensor.id))
    var last: [Int: Int] = [:]
    for (time, pass) in plan.schedule.enumerated() {
      let operation = plan.operations[pass.operation]
      let read =
        pass.isBackward
        ? operation.saved : operation.inputs + operation.constants + operation.outputs
      for tensor in read where !losses.contains(tensor.id) { last[tensor.id] = time }
    }
    var deaths = [[Int]](repeating: [], count: plan.schedule.count)
    for (tensor, time) in last { deaths[time].append(tensor) }
    return deaths
  }
}
