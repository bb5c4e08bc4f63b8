import Engine

extension Normalization: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let (y, mean, scale) = try r.value(input).cast(to: .float32).layerNorm(
      weight: r.weights.weights[weight.id], bias: r.weights.weights[bias.id])
    r.keep([mean, scale])
    r.set(output, try r.factor(y))
  }

  package func backward(_ r: DeviceRun) throws {
    let kept = r.keptTensors
    let gradients = try r.value(input).cast(to: .float32).layerNormGradient(
      r.gradient(output).cast(to: .float32), mean: kept[0], scale: kept[1],
      weight: r.weights.weights[weight.id], bias: r.weights.weights[bias.id])
    try r.addGradient(input, gradients.x)
    try r.weights.addGradient(weight, gradients.weight)
    try r.weights.addGradient(bias, gradients.bias)
  }
}

extension RMSNormalization: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let x = try r.value(input).cast(to: .float32)
    let gain = r.weights.weights[weight.id]
    // s = 1/√(Σ x²/C + ε) = √C/√(Σ x² + Cε).
    let sum = try x.times(x).sum(over: 1, keeps: true)
    let shift = try DeviceTensor.filled([1], with: Double(C) * Double(epsilon), r.library)
    let scale = try sum.plus(shift).inverseRoot().times(Float(C).squareRoot())
    r.keep([scale])
    let y = try x.times(scale).times(gain)
    r.set(output, try residual.map { try r.value($0).plus(y) } ?? y)
  }

  /// With x̂ = s·x: dX = s·(g∘dY − x̂·mean(x̂∘g∘dY)).
  package func backward(_ r: DeviceRun) throws {
    let scale = r.keptTensors[0]
    let dY = try r.gradient(output).cast(to: .float32)
    let normed = try r.value(input).cast(to: .float32).times(scale)
    try r.weights.addGradient(weight, normed.times(dY).sumOfRows())
    let gained = try dY.times(r.weights.weights[weight.id])
    let mean = try gained.times(normed).sum(over: 1, keeps: true).times(1 / Float(C))
    try r.addGradient(input, gained.plus(normed.times(mean), times: -1).times(scale))
    if let residual { try r.addGradient(residual, r.gradient(output)) }
  }
}
