import Kernels

/// The one entry of every linear layer to the matrix products, in the precision of the plan. An
/// operation that calls these names the weights in `factors` and asks for `productScratch`.

/// Floats of scratch that the products with a weight (K, M) need.
package func productScratch(K: Int, M: Int, _ limits: Limits) -> Int {
  switch limits.precision {
  case .float32: return matmulScratch(K: K, M: M)
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

  /// Y = X·W + b + residual, W (columns of X, columns of Y).
  ///
  /// - Parameter finish: called for blocks of rows of Y, in order, as they are finished; all rows
  ///   belong to one block.
  package func linear(
    into output: Tensor, _ input: Tensor, weight: Parameter, bias: Parameter? = nil,
    residual: Tensor? = nil, finish: (_ rows: Range<Int>) -> Void = { _ in }
  ) {
    let (K, M) = (input.columns, output.columns)
    let x = value(input).span
    let shift = optional(bias)
    var y = value(output).mutableSpan
    if let packed = packed(weight) {
      var scratch = self.scratch.mutableSpan
      matmul(
        into: &y, x, packed: packed.span, bias: shift.span, residual: optional(residual).span,
        N: rows, K: K, M: M, scratch: &scratch, finish: finish)
      return
    }
    var adding = true
    if let residual, bias == nil {
      if !areShared(residual, output) { copy(value(residual).span, into: &y) }
    } else if let residual, areShared(residual, output) {
      addBias(inPlace: &y, shift.span, N: rows, M: M)
    } else if let residual {
      addBias(into: &y, value(residual).span, shift.span, N: rows, M: M)
    } else if bias != nil {
      fillBias(into: &y, shift.span, N: rows, M: M)
    } else {
      adding = false
    }
    matmul(
      into: &y, x, self.weight(weight).span, N: rows, K: K, M: M, adding: adding,
      isRowwise: isDecoding)
    finish(0..<rows)
  }

  /// dX, dW and db of Y = X·W + b from the gradient of Y.
  ///
  /// - Parameter prepare: called for blocks of rows, in order, before the gradient of Y is read
  ///   there: it may still write those rows.
  package func linearBackward(
    _ output: Tensor, input: Tensor, weight: Parameter, bias: Parameter? = nil, addsInput: Bool,
    addsWeight: Bool, addsBias: Bool = false, prepare: (_ rows: Range<Int>) -> Void = { _ in }
  ) {
    let (K, M) = (input.columns, output.columns)
    let dY = gradient(output).span
    var dBias = optionalGradient(bias).mutableSpan
    var dW = gradient(weight).mutableSpan
    var dX = gradient(input).mutableSpan
    var scratch = self.scratch.mutableSpan
    if let packed = packed(weight) {
      matmulBackward(
        dX: &dX, dW: &dW, dBias: &dBias, dY, value(input).span, packed: packed.span, N: rows, K: K,
        M: M, addingInput: addsInput, addingWeights: addsWeight, addingBias: addsBias,
        scratch: &scratch, prepare: prepare)
      return
    }
    prepare(0..<rows)
    if bias != nil { biasBackward(into: &dBias, dY, N: rows, M: M, adding: addsBias) }
    matmulBackwardWeight(
      into: &dW, value(input).span, dY, N: rows, K: K, M: M, adding: addsWeight)
    matmulBackwardInput(
      into: &dX, dY, self.weight(weight).span, N: rows, K: K, M: M, adding: addsInput,
      scratch: &scratch)
  }

  private func optionalGradient(_ parameter: Parameter?) -> UnsafeMutableBufferPointer<Float> {
    guard let parameter else { return UnsafeMutableBufferPointer(start: nil, count: 0) }
    return gradient(parameter)
  }
}
