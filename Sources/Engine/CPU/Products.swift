import Kernels

/// The one entry of every linear layer to the matrix products, in the precision of the plan. An
/// operation that calls these names the weights in `factors` and asks for `productScratch`.

/// Floats of scratch that the products with a weight (K, M) need.
package func productScratch(
  K: Int, M: Int, activation: Activation = .none, _ limits: Limits
) -> Int {
  switch limits.precision {
  case .float32:
    return matmulScratch(K: K, M: M) + (activation == .none ? 0 : limits.rows * K)
  case .bfloat16: return packedMatmulScratch(K: K, M: M)
  }
}

extension Workspace {
  private func optional(_ parameter: Parameter?) -> UnsafeBufferPointer<Float> {
    guard let parameter else { return UnsafeBufferPointer(start: nil, count: 0) }
    return weight(parameter)
  }

  private func optional(_ tensor: Tensor?) -> UnsafeBufferPointer<Float> {
    guard let tensor else { return UnsafeBufferPointer(start: nil, count: 0) }
    return UnsafeBufferPointer(value(tensor))
  }

  /// Y = f(X)·W + b + residual, W (columns of X, columns of Y), for an activation f.
  ///
  /// - Parameter addsBiasLast: in single precision the bias is added to the finished product rather
  ///   than the product to the bias; then there is no residual.
  package func linear(
    into output: Tensor, _ input: Tensor, activation: Activation = .none, weight: Parameter,
    bias: Parameter? = nil, addsBiasLast: Bool = false, residual: Tensor? = nil
  ) {
    let (K, M) = (input.columns, output.columns)
    let shift = optional(bias)
    var y = value(output).mutableSpan
    if let packed = packed(weight) {
      var scratch = self.scratch.mutableSpan
      matmul(
        into: &y, value(input).span, packed: packed.span, bias: shift.span,
        residual: optional(residual).span, N: rows(of: input), K: K, M: M, activation: activation,
        helpers: helpers, scratch: &scratch)
      return
    }
    if let residual, !areShared(residual, output) { copy(value(residual).span, into: &y) }
    matmul(
      into: &y, activated(input, activation).span, self.weight(weight).span, bias: shift.span,
      N: rows(of: input), K: K, M: M, adding: residual != nil, addsBiasLast: addsBiasLast,
      isRowwise: isRowwise(input), helpers: helpers)
  }

  /// f(X), behind what the products themselves need of the scratch.
  private func activated(
    _ input: Tensor, _ activation: Activation
  ) -> UnsafeMutableBufferPointer<Float> {
    let x = value(input)
    if activation == .none { return x }
    let room = UnsafeMutableBufferPointer(rebasing: scratch[(scratch.count - x.count)...])
    var result = room.mutableSpan
    gelu(into: &result, x.span)
    return room
  }

  /// dX, dW and db of Y = f(X)·W + b from the gradient of Y.
  ///
  /// - Parameter addsInput: not with an activation.
  package func linearBackward(
    _ output: Tensor, input: Tensor, activation: Activation = .none, weight: Parameter,
    bias: Parameter? = nil, addsInput: Bool, addsWeight: Bool, addsBias: Bool = false
  ) {
    precondition(activation == .none || !addsInput, "an activation's input has one reader")
    let (K, M) = (input.columns, output.columns)
    let dY = gradient(output).span
    var dBias = optionalGradient(bias).mutableSpan
    var dW = gradient(weight).mutableSpan
    var dX = gradient(input).mutableSpan
    var scratch = self.scratch.mutableSpan
    if let packed = packed(weight) {
      matmulBackward(
        dX: &dX, dW: &dW, dBias: &dBias, dY, value(input).span, packed: packed.span,
        N: rows(of: input), K: K,
        M: M, addingInput: addsInput, addingWeights: addsWeight, addingBias: addsBias,
        activation: activation, helpers: helpers, scratch: &scratch)
      return
    }
    let N = rows(of: input)
    if bias != nil { biasBackward(into: &dBias, dY, N: N, M: M, adding: addsBias) }
    let x = activated(input, activation)
    matmulBackward(
      dX: &dX, dW: &dW, dY, x.span, self.weight(weight).span, N: N, K: K, M: M,
      addingInput: addsInput, addingWeights: addsWeight, helpers: helpers, scratch: &scratch)
    if activation == .gelu { geluBackward(inPlace: &dX, value(input).span) }
  }

  private func optionalGradient(_ parameter: Parameter?) -> UnsafeMutableBufferPointer<Float> {
    guard let parameter else { return UnsafeMutableBufferPointer(start: nil, count: 0) }
    return gradient(parameter)
  }
}
