import Engine
import Support

/// The parameters of a model on the device: weights and, in training, gradients and moments, each in one flat
/// tensor as a `ParameterStore` lays it out.
package final class DeviceParameters {
  let library: TorchLibrary
  let layout: ParameterLayout
  /// Of the products.
  let factorForm: ElementForm
  private let flatWeights, flatGradients, flatFirst, flatSecond: DeviceTensor
  /// By slot; of what is only scored the weights alone.
  let weights, gradients, first, second: [DeviceTensor]
  /// By slot: the weights as factors, made when they are first asked for in a step.
  private var factors: [DeviceTensor?]
  /// By slot: whether a gradient is there to be added to.
  private var isWritten: [Bool]

  init(
    _ layout: ParameterLayout, precision: Precision, isTraining: Bool = true,
    _ library: TorchLibrary
  ) throws {
    self.layout = layout
    self.library = library
    factorForm = precision == .float32 ? .float32 : .bfloat16
    func flat(_ isThere: Bool) throws -> (DeviceTensor, [DeviceTensor]) {
      guard isThere else { return (try .zeros([0], .float32, library), []) }
      let whole = try DeviceTensor.zeros([max(layout.count, 1)], .float32, library)
      return (whole, try layout.slots.map { try whole.reshaped($0.shape, offset: $0.offset) })
    }
    (flatWeights, weights) = try flat(true)
    (flatGradients, gradients) = try flat(isTraining)
    (flatFirst, first) = try flat(isTraining)
    (flatSecond, second) = try flat(isTraining)
    factors = layout.slots.map { _ in nil }
    isWritten = layout.slots.map { _ in false }
  }

  /// Bytes of all four.
  var bytes: Int { 16 * layout.count }

  // MARK: - To and from a store

  private func arrays(_ array: ParameterArray) -> [DeviceTensor] {
    switch array {
    case .weights: weights
    case .firstMoment: first
    case .secondMoment: second
    }
  }

  /// - Precondition: the store has the parameters of this layout, in whatever order.
  func load(_ store: ParameterStore) throws {
    for array in ParameterArray.allCases {
      for (slot, tensor) in zip(layout.slots, arrays(array)) {
        guard let own = store.layout.slot(named: slot.name) else {
          preconditionFailure("no parameter \(slot.name) in the store")
        }
        try store.withFloats(own, of: array) { try tensor.fill(from: UnsafeRawBufferPointer($0)) }
      }
    }
    factors = layout.slots.map { _ in nil }
  }

  func save(into store: ParameterStore) throws {
    for array in ParameterArray.allCases {
      for (slot, tensor) in zip(layout.slots, arrays(array)) {
        try store.withMutableFloats(slot, of: array) {
          try tensor.read(into: UnsafeMutableRawBufferPointer($0))
        }
      }
    }
  }

  // MARK: - A step

  /// Before a batch: no gradient is there, and the factors are those of the weights as they are.
  func begin() {
    for i in isWritten.indices { isWritten[i] = false }
    for i in factors.indices { factors[i] = nil }
  }

  /// As a factor of the products.
  func factor(_ parameter: Parameter) throws -> DeviceTensor {
    if factorForm == .float32 { return weights[parameter.id] }
    if let factor = factors[parameter.id] { return factor }
    let factor = try weights[parameter.id].cast(to: factorForm)
    factors[parameter.id] = factor
    return factor
  }

  func addGradient(_ parameter: Parameter, _ gradient: DeviceTensor) throws {
    let target = gradients[parameter.id]
    try target.take(isWritten[parameter.id] ? target.plus(gradient) : gradient)
    isWritten[parameter.id] = true
  }

  /// Adds nothing to the gradient, which is 0 unless something else is added.
  func addNoGradient(_ parameter: Parameter) throws {
    if !isWritten[parameter.id] { try gradients[parameter.id].zero() }
    isWritten[parameter.id] = true
  }

  /// Adds a·b to the gradient.
  func addGradient(_ parameter: Parameter, _ a: DeviceTensor, _ b: DeviceTensor) throws {
    if a.form != .float32 { return try addGradient(parameter, a.product(b)) }
    if isWritten[parameter.id] {
      try gradients[parameter.id].addProduct(a, b)
    } else {
      try gradients[parameter.id].becomeProduct(a, b)
    }
    isWritten[parameter.id] = true
  }

  /// Σ g² in double precision, on the device.
  func squaredNorm() throws -> DeviceTensor { try flatGradients.times(flatGradients).total() }
}
