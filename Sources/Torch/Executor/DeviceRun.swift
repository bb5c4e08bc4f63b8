import Engine
import Support

/// What the operations of one batch read and write on the device.
///
/// A value is in single precision, or, of products with factors in bfloat16, in bfloat16; whoever needs
/// another form asks for it.
package final class DeviceRun {
  let library: TorchLibrary
  let batch: DeviceBatch
  let weights: DeviceParameters
  /// The rows of tables that the batch looks up; nil for models without.
  let tables: (any LookedUpRows)?
  /// Of new rows behind those of their sequences.
  let decoding: DecodedRows?
  /// Whether a head that is not trained gives the log-probabilities of all labels, or those of the batch's.
  let givesAllLabels: Bool
  /// What such a head has left: (N, V), or (N) without the sign.
  var result: DeviceTensor?
  /// Of attention; nil: the fastest.
  let form: AttentionForm?
  /// By loss: its weight over the rows of the batch that count.
  private let scales: [Float]
  private let plan: Plan
  private var values: [Int: DeviceTensor] = [:]
  private var gradients: [Int: DeviceTensor] = [:]
  private var kept: [Int: [DeviceTensor]] = [:]
  private var keptNumbers: [Int: [Int]] = [:]
  private var common: [String: DeviceTensor] = [:]
  /// The operation that runs.
  private var current = 0

  init(
    _ plan: Plan, _ library: TorchLibrary, _ batch: DeviceBatch, weights: DeviceParameters,
    tables: (any LookedUpRows)?, scales: [Float] = [], attention form: AttentionForm? = nil,
    decoding: DecodedRows? = nil, givesAllLabels: Bool = false
  ) {
    (self.plan, self.library, self.batch) = (plan, library, batch)
    (self.weights, self.tables, self.scales, self.form) = (weights, tables, scales, form)
    (self.decoding, self.givesAllLabels) = (decoding, givesAllLabels)
  }

  /// Runs forward and backward; returns the sum of each loss over the rows, in double precision on the
  /// device.
  func train(_ program: TorchProgram) throws -> [DeviceTensor] {
    try run(program)
    return try plan.losses.map { try value($0.tensor).total() }
  }

  /// Runs forward, and gives what the head has left.
  func score(_ program: TorchProgram) throws -> DeviceTensor {
    try run(program)
    guard let result else { preconditionFailure("a plan without a head") }
    return result
  }

  private func run(_ program: TorchProgram) throws {
    for (time, pass) in plan.schedule.enumerated() {
      current = pass.operation
      let operation = program.operations[pass.operation]
      if pass.isBackward {
        try operation.backward(self)
        kept[current] = nil
        for output in operation.outputs { gradients[output.id] = nil }
      } else {
        try operation.forward(self)
      }
      for tensor in program.deaths[time] { values[tensor] = nil }
    }
  }

  // MARK: - Values

  /// In the form that its producer left it in.
  func value(_ tensor: Tensor) -> DeviceTensor {
    guard let value = values[tensor.id] else { preconditionFailure("no value of \(tensor)") }
    return value
  }

  func set(_ tensor: Tensor, _ value: DeviceTensor) { values[tensor.id] = value }

  /// Keeps tensors of the running operation for its backward pass.
  func keep(_ tensors: [DeviceTensor]) { kept[current] = tensors }
  var keptTensors: [DeviceTensor] { kept[current] ?? [] }
  func keep(_ numbers: [Int]) { keptNumbers[current] = numbers }
  var numbers: [Int] { keptNumbers[current] ?? [] }

  /// What several operations of a batch read, made by the first of them.
  func shared(_ name: String, _ make: () throws -> DeviceTensor) rethrows -> DeviceTensor {
    if let tensor = common[name] { return tensor }
    let tensor = try make()
    common[name] = tensor
    return tensor
  }

  /// As a factor of the plan's products.
  func factor(_ tensor: DeviceTensor) throws -> DeviceTensor {
    try tensor.cast(to: weights.factorForm)
  }

  // MARK: - Gradients

  /// In the form that its producers left it in.
  func gradient(_ tensor: Tensor) -> DeviceTensor {
    guard let gradient = gradients[tensor.id] else {
      preconditionFailure("no gradient of \(tensor)")
    }
    return gradient
  }

  func addGradient(_ tensor: Tensor, _ gradient: DeviceTensor) throws {
    gradients[tensor.id] = try gradients[tensor.id]?.plus(gradient) ?? gradient
  }

  /// Of the mean loss: its weight over the rows that count.
  func scale(of loss: Tensor) -> Float {
    guard let number = plan.losses.firstIndex(where: { $0.tensor == loss }) else {
      preconditionFailure("\(loss) is no loss")
    }
    return scales[number]
  }
}
