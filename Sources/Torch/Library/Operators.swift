import CTorch

/// The operators that executions are made of. Each is one call; results are new tensors unless a name says
/// otherwise, and neither depends on anything but the arguments and the library.
extension DeviceTensor {
  private func one(
    _ name: StaticString, _ overload: StaticString, _ arguments: [Argument]
  ) throws -> DeviceTensor { try library.call(name, overload: overload, arguments)[0] }

  private func one(_ name: StaticString, _ arguments: [Argument]) throws -> DeviceTensor {
    try one(name, "", arguments)
  }

  // MARK: Element by element

  /// a + factor · b, in the wider of both forms; b may have fewer rows or columns and is repeated then.
  package func plus(_ other: DeviceTensor, times factor: Double = 1) throws -> DeviceTensor {
    var result: ott_tensor?
    try library.check(
      library.c.subtract(handle, other.handle, -factor, &result), "aten::subtract.Tensor")
    return try DeviceTensor(result, library)
  }

  package func times(_ other: DeviceTensor) throws -> DeviceTensor {
    try one("aten::mul", "Tensor", [.tensor(self), .tensor(other)])
  }

  package func times(_ factor: Float) throws -> DeviceTensor {
    var number: ott_tensor?
    try library.check(library.c.number(factor, &number), "a number")
    return try times(DeviceTensor(number, library))
  }

  /// The same numbers in another form; itself where it has that form.
  package func cast(to form: ElementForm) throws -> DeviceTensor {
    if self.form == form { return self }
    let result = try DeviceTensor.empty(shape, form, library)
    try result.take(self)
    return result
  }

  /// A row-major copy.
  package func copied() throws -> DeviceTensor {
    let result = try DeviceTensor.empty(shape, form, library)
    try result.take(self)
    return result
  }

  package func divided(by other: DeviceTensor) throws -> DeviceTensor {
    try one("aten::div", "Tensor", [.tensor(self), .tensor(other)])
  }

  package func root() throws -> DeviceTensor { try one("aten::sqrt", [.tensor(self)]) }

  /// 1/√x.
  package func inverseRoot() throws -> DeviceTensor { try one("aten::rsqrt", [.tensor(self)]) }

  /// GELU by tanh.
  package func gelu() throws -> DeviceTensor {
    try one("aten::gelu", [.tensor(self), .text("tanh")])
  }

  /// The gradient of x from that of gelu(x), x being this.
  package func geluGradient(_ dY: DeviceTensor) throws -> DeviceTensor {
    try one("aten::gelu_backward", [.tensor(dY), .tensor(self), .text("tanh")])
  }

  package func silu() throws -> DeviceTensor { try one("aten::silu", [.tensor(self)]) }

  package func siluGradient(_ dY: DeviceTensor) throws -> DeviceTensor {
    try one("aten::silu_backward", [.tensor(dY), .tensor(self)])
  }

  // MARK: Sums

  /// Σ over the rows of (N, C), in single precision: (C).
  package func sumOfRows() throws -> DeviceTensor { try sum(over: 0, keeps: false) }

  /// Σ over one dimension, in single precision.
  package func sum(over dimension: Int, keeps: Bool) throws -> DeviceTensor {
    try one(
      "aten::sum", "dim_IntList",
      [.tensor(self), .perhapsIntegers([dimension]), .bool(keeps), .perhapsForm(.float32)])
  }

  /// Σ of all elements in double precision, without dimensions.
  package func total() throws -> DeviceTensor {
    try one("aten::sum", [.tensor(self), .perhapsForm(.float64)])
  }

  // MARK: Products

  /// a·b of two dimensions.
  package func product(_ other: DeviceTensor) throws -> DeviceTensor {
    let result = try DeviceTensor.empty([shape[0], other.shape[1]], form, library)
    try result.becomeProduct(self, other)
    return result
  }

  /// Becomes a·b, or of three dimensions each a·b.
  package func becomeProduct(_ a: DeviceTensor, _ b: DeviceTensor) throws {
    if a.shape.count == 3 {
      try library.check(library.c.bmm_out(handle, a.handle, b.handle), "aten::bmm.out")
    } else {
      try library.check(library.c.mm_out(handle, a.handle, b.handle), "aten::mm.out")
    }
  }

  /// Becomes itself + a·b.
  package func addProduct(_ a: DeviceTensor, _ b: DeviceTensor) throws {
    try library.check(
      library.c.addmm_out(handle, handle, a.handle, b.handle, 1, 1), "aten::addmm.out")
  }

  /// a·b + c, c repeated where it has fewer rows.
  package func product(_ other: DeviceTensor, plus c: DeviceTensor) throws -> DeviceTensor {
    let result = try DeviceTensor.empty([shape[0], other.shape[1]], form, library)
    try library.check(
      library.c.addmm_out(result.handle, c.handle, handle, other.handle, 1, 1), "aten::addmm.out")
    return result
  }

  // MARK: Rows

  /// The rows of those numbers, (n, …).
  package func rows(_ numbers: DeviceTensor) throws -> DeviceTensor {
    try one("aten::index_select", [.tensor(self), .int(0), .tensor(numbers)])
  }

  /// Writes rows to places that are all different.
  package func put(_ rows: DeviceTensor, at numbers: DeviceTensor) throws {
    try library.call(
      "aten::index_copy_", [.tensor(self), .int(0), .tensor(numbers), .tensor(rows)])
  }

  /// The gradient of `count` rows that were taken by `numbers`, this being that of what was taken: each
  /// row's sums in a fixed order.
  package func sumOfRows(by numbers: DeviceTensor, count: Int) throws -> DeviceTensor {
    try one(
      "aten::embedding_dense_backward",
      [.tensor(self), .tensor(numbers), .int(count), .int(-1), .bool(false)])
  }

  /// Tensors one behind the other, or side by side.
  package static func joined(_ tensors: [DeviceTensor], along dimension: Int) throws -> DeviceTensor
  {
    try tensors[0].library.call("aten::cat", [.tensors(tensors), .int(dimension)])[0]
  }

  // MARK: Norms

  /// LayerNorm with ε = 1e-5; y, mean and 1/deviation of each row.
  package func layerNorm(
    weight: DeviceTensor, bias: DeviceTensor
  ) throws -> (y: DeviceTensor, mean: DeviceTensor, scale: DeviceTensor) {
    let results = try library.call(
      "aten::native_layer_norm", results: 3,
      [
        .tensor(self), .integers([shape[1]]), .perhaps(weight), .perhaps(bias), .number(1e-5),
      ])
    return (results[0], results[1], results[2])
  }

  /// Gradients of x, which is this, weight and bias.
  package func layerNormGradient(
    _ dY: DeviceTensor, mean: DeviceTensor, scale: DeviceTensor, weight: DeviceTensor,
    bias: DeviceTensor
  ) throws -> (x: DeviceTensor, weight: DeviceTensor, bias: DeviceTensor) {
    let results = try library.call(
      "aten::native_layer_norm_backward", results: 3,
      [
        .tensor(dY), .tensor(self), .integers([shape[1]]), .tensor(mean), .tensor(scale),
        .perhaps(weight), .perhaps(bias), .bools([true, true, true]),
      ])
    return (results[0], results[1], results[2])
  }

  // MARK: Softmax

  package func softmax() throws -> DeviceTensor {
    try one("aten::_softmax", [.tensor(self), .int(-1), .bool(false)])
  }

  /// The gradient of x from that of softmax(x), which is this.
  package func softmaxGradient(_ dY: DeviceTensor) throws -> DeviceTensor {
    try one("aten::_softmax_backward_data", [.tensor(dY), .tensor(self), .int(-1), .form(form)])
  }

  package func logSoftmax() throws -> DeviceTensor {
    try one("aten::_log_softmax", [.tensor(self), .int(-1), .bool(false)])
  }

  package func logSoftmaxGradient(_ dY: DeviceTensor) throws -> DeviceTensor {
    try one(
      "aten::_log_softmax_backward_data", [.tensor(dY), .tensor(self), .int(-1), .form(form)])
  }

  /// log Σ e^x of each row, (N, 1).
  package func logSumExp() throws -> DeviceTensor {
    try one("aten::logsumexp", [.tensor(self), .integers([1]), .bool(true)])
  }

  // MARK: Choices

  /// The numbers of the `count` largest columns of each row, ascending.
  package func largestColumns(_ count: Int) throws -> DeviceTensor {
    let numbers = try library.call(
      "aten::topk", results: 2,
      [.tensor(self), .int(count), .int(-1), .bool(true), .bool(true)])[1]
    return try library.call(
      "aten::sort", results: 2, [.tensor(numbers), .int(-1), .bool(false)])[0]
  }

  /// In each row the columns of those numbers.
  package func columns(_ numbers: DeviceTensor) throws -> DeviceTensor {
    try one("aten::gather", [.tensor(self), .int(1), .tensor(numbers), .bool(false)])
  }

  /// With those columns of each row, all different, in place of its own.
  package func replacingColumns(
    _ numbers: DeviceTensor, by values: DeviceTensor
  ) throws -> DeviceTensor {
    try one("aten::scatter", "src", [.tensor(self), .int(1), .tensor(numbers), .tensor(values)])
  }

  // MARK: Labels

  /// −log p of each row's label, 0 where the label is −1; this being the log-probabilities (N, V).
  package func labelLosses(
    _ labels: DeviceTensor
  ) throws -> (losses: DeviceTensor, weight: DeviceTensor) {
    let results = try library.call(
      "aten::nll_loss_forward", results: 2,
      [.tensor(self), .tensor(labels), .none, .int(0), .int(-1)])
    return (results[0], results[1])
  }

  /// The gradient of the log-probabilities, which are this, from that of the losses.
  package func labelLossGradient(
    _ dLosses: DeviceTensor, _ labels: DeviceTensor, weight: DeviceTensor
  ) throws -> DeviceTensor {
    try one(
      "aten::nll_loss_backward",
      [
        .tensor(dLosses), .tensor(self), .tensor(labels), .none, .int(0), .int(-1), .tensor(weight),
      ])
  }
}

extension TorchLibrary {
  /// One AdamW step of all arrays, in place; gradients are divided by `divisor` first.
  ///
  /// - Parameter step: a float without dimensions: the step, counted from 1.
  func adamW(
    _ weights: [DeviceTensor], m: [DeviceTensor], v: [DeviceTensor], _ gradients: [DeviceTensor],
    step: DeviceTensor, learningRate: Double, beta1: Double, beta2: Double, weightDecay: Double,
    epsilon: Double, divisor: DeviceTensor? = nil
  ) throws {
    try call(
      "aten::_fused_adamw_", results: 0,
      [
        .tensors(weights), .tensors(gradients), .tensors(m), .tensors(v), .tensors([]),
        .tensors(weights.map { _ in step }), .number(learningRate), .number(beta1), .number(beta2),
        .number(weightDecay), .number(epsilon), .bool(false), .bool(false), .perhaps(divisor),
        .none,
      ])
  }
}
