import Engine

extension LabelHead: TorchOperation {
  /// Logits of a chunk of rows.
  private static let chunk = 1 << 26

  /// Where nothing is trained: log-probabilities, chunk by chunk.
  package func forward(_ r: DeviceRun) throws {
    if isTraining { return }
    let x = try r.factor(r.value(input))
    let W = try r.weights.factor(weight).transposed()
    let rows = max(1, Self.chunk / V)
    var parts: [DeviceTensor] = []
    for first in stride(from: 0, to: r.batch.positions.count, by: rows) {
      let range = first..<min(first + rows, r.batch.positions.count)
      let p = try x.part(range).product(W).cast(to: .float32).logSoftmax()
      let labels = r.givesAllLabels ? nil : try r.batch.labels[labelColumn].part(range)
      parts.append(try labels.map { try p.labelLosses($0).losses } ?? p)
    }
    r.result = parts.count == 1 ? parts[0] : try .joined(parts, along: 0)
  }

  /// Losses and gradients together, chunk by chunk: so the logits of all rows never exist at once.
  package func backward(_ r: DeviceRun) throws {
    let x = try r.factor(r.value(input))
    let W = try r.weights.factor(weight)
    let labels = r.batch.labels[labelColumn]
    let rows = max(1, Self.chunk / V)
    var (losses, gradients): ([DeviceTensor], [DeviceTensor]) = ([], [])
    for first in stride(from: 0, to: r.batch.positions.count, by: rows) {
      let range = first..<min(first + rows, r.batch.positions.count)
      let (part, wanted) = (try x.part(range), try labels.part(range))
      let p = try part.product(W.transposed()).cast(to: .float32).logSoftmax()
      let (loss, weight) = try p.labelLosses(wanted)
      let scale = try DeviceTensor.filled(
        [range.count], with: Double(r.scale(of: self.losses)), r.library)
      let dLogits = try r.factor(
        p.logSoftmaxGradient(p.labelLossGradient(scale, wanted, weight: weight)))
      losses.append(loss)
      gradients.append(try dLogits.product(W))
      try r.weights.addGradient(self.weight, dLogits.transposed(), part)
    }
    r.set(self.losses, losses.count == 1 ? losses[0] : try .joined(losses, along: 0))
    try r.addGradient(input, gradients.count == 1 ? gradients[0] : .joined(gradients, along: 0))
  }
}
