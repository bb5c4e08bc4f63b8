import Support

extension TorchLibrary {
  /// Calls every operator once, on numbers whose results are known.
  ///
  /// - Throws: `UserError` with the name of the first that is missing, fails or gives something else.
  func testOperators() throws {
    let a = try DeviceTensor.copy(of: [1, 2, 3, 4, 5, 6], [2, 3], self)
    let b = try DeviceTensor.copy(of: [1, 0, 2, 1, 0, 1], [3, 2], self)
    let ones = try DeviceTensor.filled([3], with: 1, self)
    let numbers = try DeviceTensor.copy(ofNumbers: [1, 1], [2], self)
    try expect("aten::subtract.Tensor", a.plus(ones, times: 2), [3, 4, 5, 6, 7, 8])
    try expect("aten::mul.Tensor", a.times(0.5), [0.5, 1, 1.5, 2, 2.5, 3])
    try expect("aten::mm.out", a.product(b), [5, 5, 14, 11])
    try expect("aten::addmm.out", a.product(b, plus: numbers.cast(to: .float32)), [6, 6, 15, 12])
    let sum = try DeviceTensor.filled([2, 2], with: 1, self)
    try sum.addProduct(a, b)
    try expect("aten::addmm.out", sum, [6, 6, 15, 12])
    let cube = try DeviceTensor.empty([1, 2, 2], .float32, self)
    try cube.becomeProduct(a.reshaped([1, 2, 3]), b.reshaped([1, 3, 2]))
    try expect("aten::bmm.out", cube, [5, 5, 14, 11])
    try expect("aten::sum.dim_IntList", a.sumOfRows(), [5, 7, 9])
    try expect("aten::sum", a.times(a).total().cast(to: .float32), [91])
    try expect("aten::rsqrt", a.times(a).inverseRoot(), [1, 0.5, 1 / 3, 0.25, 0.2, 1 / 6])
    try expect("aten::sqrt", a.times(a).root(), [1, 2, 3, 4, 5, 6])
    try expect("aten::div.Tensor", ones.divided(by: a), [1, 0.5, 1 / 3, 0.25, 0.2, 1 / 6])
    try expect("aten::index_select", a.rows(numbers), [4, 5, 6, 4, 5, 6])
    try expect(
      "aten::embedding_dense_backward", a.sumOfRows(by: numbers, count: 2), [0, 0, 0, 5, 7, 9])
    try expect("aten::cat", DeviceTensor.joined([ones, ones], along: 0), [1, 1, 1, 1, 1, 1])
    let target = try DeviceTensor.zeros([2, 3], .float32, self)
    try target.put(a.part(0..<1), at: numbers.part(0..<1))
    try expect("aten::index_copy_", target, [0, 0, 0, 1, 2, 3])
    try expect("aten::copy_", a.cast(to: .bfloat16).cast(to: .float32), [1, 2, 3, 4, 5, 6])
    try testActivations(a.part(0..<1), ones)
    try testNorms(a, ones)
    try testLosses()
    try testChoices(a)
    try testAdamW()
  }

  private func testChoices(_ a: DeviceTensor) throws {
    let x = try a.times(DeviceTensor.copy(of: [1, -1, 1], [3], self))
    let chosen = try x.largestColumns(2)
    try expect("aten::topk", chosen.cast(to: .float32), [0, 2, 0, 2])
    try expect("aten::gather", x.columns(chosen), [1, 3, 4, 6])
    try expect(
      "aten::scatter.src", x.replacingColumns(chosen, by: a.part(0..<2, of: 1).copied()),
      [1, -2, 2, 4, -5, 5])
    try expect("aten::logsumexp", a.logSumExp(), [3.4076059, 6.4076059])
  }

  private func testActivations(_ x: DeviceTensor, _ ones: DeviceTensor) throws {
    let ones = try ones.reshaped([1, 3])
    try expect("aten::gelu", x.gelu(), [0.841192, 1.9545977, 2.9963627])
    try expect("aten::gelu_backward", x.geluGradient(ones), [1.0829641, 1.0860993, 1.0115843])
    try expect("aten::silu", x.silu(), [0.7310586, 1.7615942, 2.8577224])
    try expect("aten::silu_backward", x.siluGradient(ones), [0.9276706, 1.0907843, 1.0881041])
    let p = try x.softmax()
    try expect("aten::_softmax", p, [0.09003057, 0.24472848, 0.66524094])
    try expect(
      "aten::_softmax_backward_data", p.softmaxGradient(x), [-0.1418171, -0.1407704, 0.2825875])
  }

  private func testNorms(_ a: DeviceTensor, _ ones: DeviceTensor) throws {
    let (y, mean, scale) = try a.layerNorm(weight: ones, bias: ones)
    try expect("aten::native_layer_norm", y, [-0.2247357, 1, 2.2247357, -0.2247357, 1, 2.2247357])
    let gradients = try a.layerNormGradient(
      y.times(y), mean: mean, scale: scale, weight: ones, bias: ones)
    try expect(
      "aten::native_layer_norm_backward", gradients.x,
      [0.6123425, -1.2247357, 0.6123932, 0.6123425, -1.2247357, 0.6123932], within: 2e-4)
    try expect("aten::native_layer_norm_backward", gradients.bias, [0.1010123, 2, 9.8988984])
  }

  private func testLosses() throws {
    let logits = try DeviceTensor.copy(of: [0, 0, 0, 1], [2, 2], self)
    let labels = try DeviceTensor.copy(ofNumbers: [1, -1], [2], self)
    let p = try logits.logSoftmax()
    try expect("aten::_log_softmax", p, [-0.6931472, -0.6931472, -1.3132617, -0.3132617])
    let (losses, weight) = try p.labelLosses(labels)
    try expect("aten::nll_loss_forward", losses, [0.6931472, 0])
    let dP = try p.labelLossGradient(
      DeviceTensor.filled([2], with: 2, self), labels, weight: weight)
    try expect("aten::nll_loss_backward", dP, [0, -2, 0, 0])
    try expect("aten::_log_softmax_backward_data", p.logSoftmaxGradient(dP), [1, -1, 0, 0])
  }

  private func testAdamW() throws {
    let p = try DeviceTensor.copy(of: [1, 2], [2], self)
    let (m, v) = try (
      DeviceTensor.zeros([2], .float32, self), DeviceTensor.zeros([2], .float32, self)
    )
    try adamW(
      [p], m: [m], v: [v], [DeviceTensor.copy(of: [0.2, -0.4], [2], self)],
      step: DeviceTensor.filled([], with: 1, self), learningRate: 0.1, beta1: 0.9, beta2: 0.98,
      weightDecay: 0.5, epsilon: 1e-8, divisor: DeviceTensor.filled([], with: 2, self))
    try expect("aten::_fused_adamw_", p, [0.85, 2])
    try expect("aten::_fused_adamw_", m, [0.01, -0.02])
    try expect("aten::_fused_adamw_", v, [0.0002, 0.0008])
  }

  private func expect(
    _ name: String, _ tensor: DeviceTensor, _ expected: [Float], within bound: Float = 2e-5
  ) throws {
    let found = try tensor.floats()
    guard found.count == expected.count,
      zip(found, expected).allSatisfy({ abs($0 - $1) <= bound * max(1, abs($1)) })
    else {
      throw UserError(
        "libtorch \(version) on \(device.rawValue): \(name) computes something else",
        expected: "\(expected)", found: "\(found)",
        remedy: "Take another release of PyTorch: make torch installs one that is known.")
    }
  }
}
