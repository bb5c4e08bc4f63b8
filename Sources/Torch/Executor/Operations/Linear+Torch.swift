import Engine
import Kernels

extension Linear: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    var y = try r.product(activated(r), weight, bias: bias)
    if let residual { y = try r.value(residual).plus(y) }
    r.set(output, y)
  }

  package func backward(_ r: DeviceRun) throws {
    let dY = r.gradient(output)
    var dX = try r.productGradient(dY, activated(r), weight, bias: bias)
    if activation == .gelu { dX = try r.factor(r.value(input)).geluGradient(dX) }
    try r.addGradient(input, dX)
    if let residual { try r.addGradient(residual, dY) }
  }

  /// f(X) as a factor.
  private func activated(_ r: DeviceRun) throws -> DeviceTensor {
    let x = try r.factor(r.value(input))
    return activation == .gelu ? try x.gelu() : x
  }
}

extension DeviceRun {
  /// x·W (+ b), W (K, M), x being a factor.
  func product(
    _ x: DeviceTensor, _ weight: Parameter, bias: Parameter? = nil
  ) throws -> DeviceTensor {
    guard let bias else { return try x.product(weights.factor(weight)) }
    return try x.product(weights.factor(weight), plus: weights.factor(bias))
  }

  /// Adds to the gradients of W and b; returns that of x.
  func productGradient(
    _ dY: DeviceTensor, _ x: DeviceTensor, _ weight: Parameter, bias: Parameter? = nil
  ) throws -> DeviceTensor {
    let d = try factor(dY)
    try weights.addGradient(weight, x.transposed(), d)
    if let bias { try weights.addGradient(bias, dY.sumOfRows()) }
    return try d.product(weights.factor(weight).transposed())
  }
}
