/// How the CPU computes an operation: hand-written forward and backward kernels.
package protocol CPUOperation: Operation {
  /// Floats of scratch.
  func scratch(_ limits: Limits) -> Int
  func forward(_ w: borrowing Workspace)
  /// `accumulation` says for each input and parameter whether its gradient is there to add to. The
  /// gradient of a loss is `Workspace.lossScale` on every row that counts.
  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation)
}

extension CPUOperation {
  package func scratch(_ limits: Limits) -> Int { 0 }
}

/// A plan as the CPU executes it: kernels, packed weights and the arena.
package struct CPUProgram: Sendable {
  package let plan: Plan
  let operations: [any CPUOperation]
  let factors: FactorLayout
  /// Floats of scratch, which the arena begins with.
  let scratchCount: Int
  /// Floats of the arena for a lane as large as the limits.
  package let arenaCount: Int

  /// - Throws: `PlanError` for an operation without kernels, or precision in which one cannot run.
  package init(checking plan: Plan) throws(PlanError) {
    self.plan = plan
    var operations: [any CPUOperation] = []
    for operation in plan.operations {
      guard let operation = operation as? any CPUOperation else {
        throw PlanError("'\(operation.name)' has no kernels for the CPU")
      }
      operations.append(operation)
    }
    self.operations = operations
    factors = FactorLayout(
      plan.operations, layout: plan.layout, precision: plan.limits.precision)
    let rows = plan.rowLimits
    scratchCount = Self.padded(
      operations.reduce(0) { most, operation in
        let limit = rows[operation.space.id]
        return max(
          most,
          operation.scratch(
            Limits(rows: limit.rows, segment: limit.segment, precision: plan.limits.precision)))
      })
    arenaCount = zip(plan.extents, rows).reduce(scratchCount) {
      $0 + $1.0 * Self.padded($1.1.rows)
    }
  }

  /// A program of a plan whose operations all have kernels.
  package init(_ plan: Plan) {
    do {
      try self.init(checking: plan)
    } catch {
      preconditionFailure(error.description)
    }
  }

  /// Rows that the places of a lane's buffers are multiplied by: whole vectors of every column.
  static func padded(_ rows: Int) -> Int { (rows + 15) & ~15 }

  /// The table of the plan, and the memory of a worker.
  package var description: String {
    plan.description + ", arena \(4 * arenaCount) bytes of which scratch \(4 * scratchCount)"
  }
}
