/// What a training loop asks of whatever makes its steps: the workers of this machine (`TrainingEngine`),
/// or a device.
///
/// The parameters of a device are its own; the store has them after `saveParameters`, and the device has
/// what was put into the store after `loadParameters`.
package protocol TrainingDevice: AnyObject {
  var plan: Plan { get }
  var parameters: ParameterStore { get }
  /// Steps done; the next one is `step + 1`. Restored by checkpoints.
  var step: Int { get set }
  /// Bytes that a step takes beside the parameters, at capacity.
  var workingBytes: Int { get }

  /// One whole step: gradients, clipping, AdamW.
  ///
  /// - Parameter ahead: the batch of the next step, which is asked for, if at all, while a device works on
  ///   this one; nil if there is none. Then it must be the next.
  /// - Throws: `NonFiniteError` before any weight is changed.
  func step(
    _ batch: [PackedLane], learningRate: Double, optimizer: OptimizerConstants,
    tableOptimizer: TableOptimizer, ahead: () throws -> [PackedLane]?
  ) throws -> StepStatistics

  /// Loss number `number` of the plan, of the last step.
  func lossSum(_ number: Int) -> LossSum

  func loadParameters() throws
  func saveParameters() throws
}

extension TrainingEngine {
  /// Its workers have no time left over.
  package func step(
    _ batch: [PackedLane], learningRate: Double, optimizer: OptimizerConstants,
    tableOptimizer: TableOptimizer, ahead: () throws -> [PackedLane]?
  ) throws -> StepStatistics {
    try step(
      batch, learningRate: learningRate, optimizer: optimizer, tableOptimizer: tableOptimizer)
  }

  /// The store's memory is what is computed on.
  package func loadParameters() {}
  package func saveParameters() {}
}
