import Kernels

/// X[n] = Σ over G tables of E_g[input_g[n]] + P[position[n]].
struct EmbeddingSum: Operation {
  let tables: [Parameter]
  let positions: Parameter
  let output: Tensor

  var name: String { "embedding sum of \(tables.count) + positions" }
  var inputs: [Tensor] { [] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { tables + [positions] }
  var saved: [Tensor] { [] }

  func flops(position: Double) -> Double { Double(tables.count * output.columns) }

  func forward(_ w: borrowing Workspace) {
    var x = w.value(output).mutableSpan
    embedding(
      into: &x, w.weight(positions).span, IDColumn(w.lane.positions.span), C: output.columns,
      adding: false)
    for (g, table) in tables.enumerated() {
      embedding(
        into: &x, w.weight(table).span,
        IDColumn(w.lane.inputs.span, width: w.lane.tables, column: g), C: output.columns,
        adding: true)
    }
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dX = w.gradient(output)
    for (g, table) in tables.enumerated() {
      var dTable = w.gradient(table).mutableSpan
      embeddingBackward(
        into: &dTable, dX.span, IDColumn(w.lane.inputs.span, width: w.lane.tables, column: g),
        C: output.columns, adding: accumulation.addsParameter(g))
    }
    var dPositions = w.gradient(positions).mutableSpan
    embeddingBackward(
      into: &dPositions, dX.span, IDColumn(w.lane.positions.span), C: output.columns,
      adding: accumulation.addsParameter(tables.count))
  }
}

/// Y = LayerNorm(X).
struct Normalization: Operation {
  let input: Tensor
  let weight: Parameter
  let bias: Parameter
  let output: Tensor
  let statistics: Tensor

  var name: String { "layer norm" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output, statistics] }
  var parameters: [Parameter] { [weight, bias] }
  var saved: [Tensor] { [input, statistics] }

  func flops(position: Double) -> Double { Double(8 * input.columns) }

  func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    var statistics = w.value(statistics).mutableSpan
    layerNorm(
      into: &y, statistics: &statistics, w.value(input).span, weight: w.weight(weight).span,
      bias: w.weight(bias).span, N: w.rows, C: input.columns)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    var dX = w.gradient(input).mutableSpan
    var dWeight = w.gradient(weight).mutableSpan
    var dBias = w.gradient(bias).mutableSpan
    layerNormBackward(
      into: &dX, dWeight: &dWeight, dBias: &dBias, w.gradient(output).span, w.value(input).span,
      statistics: w.value(statistics).span, weight: w.weight(weight).span, N: w.rows,
      C: input.columns, adding: accumulation.addsInput(0),
      addingParameters: accumulation.addsParameter(0))
  }
}

/// Y = X·W + b, plus a residual where there is one; W is (K, M).
struct Linear: Operation {
  let input: Tensor
  let weight: Parameter
  let bias: Parameter
  /// Added to the product; its gradient is the output's.
  let residual: Tensor?
  let output: Tensor

  var K: Int { input.columns }
  var M: Int { output.columns }
  var name: String { residual == nil ? "linear" : "linear + residual" }
  var inputs: [Tensor] { residual.map { [input, $0] } ?? [input] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [weight, bias] }
  var saved: [Tensor] { [input] }
  var sharingGradient: Tensor? { residual }
  var sharingValue: Tensor? { residual }

  func scratch(_ limits: Limits) -> Int { matmulScratch(K: K, M: M) }
  func flops(position: Double) -> Double { Double(2 * K * M) }

  func forward(_ w: borrowing Workspace) {
    var y = w.value(output).mutableSpan
    if let residual, !w.areShared(residual, output) {
      addBias(into: &y, w.value(residual).span, w.weight(bias).span, N: w.rows, M: M)
    } else if residual != nil {
      addBias(inPlace: &y, w.weight(bias).span, N: w.rows, M: M)
    } else {
      fillBias(into: &y, w.weight(bias).span, N: w.rows, M: M)
    }
    matmul(
      into: &y, w.value(input).span, w.weight(weight).span, N: w.rows, K: K, M: M, adding: true)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dY = w.gradient(output)
    linearBackward(
      w, dY: dY, input: input, weight: weight, bias: bias, K: K, M: M, accumulation)
    if let residual, !accumulation.sharesInput(1) {
      var dResidual = w.gradient(residual).mutableSpan
      if accumulation.addsInput(1) {
        add(dY.span, to: &dResidual)
      } else {
        copy(dY.span, into: &dResidual)
      }
    }
  }
}

/// H = X·W, Y = gelu(H + b); W is (K, M).
struct LinearGELU: Operation {
  let input: Tensor
  let weight: Parameter
  let bias: Parameter
  /// H + b, kept for the backward pass; its gradient takes the place of the output's.
  let hidden: Tensor
  let output: Tensor

  var K: Int { input.columns }
  var M: Int { output.columns }
  var name: String { "linear + gelu" }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [output, hidden] }
  var parameters: [Parameter] { [weight, bias] }
  var saved: [Tensor] { [input, hidden] }

  func scratch(_ limits: Limits) -> Int { matmulScratch(K: K, M: M) }
  func flops(position: Double) -> Double { Double(2 * K * M + 20 * M) }

  func forward(_ w: borrowing Workspace) {
    var h = w.value(hidden).mutableSpan
    var y = w.value(output).mutableSpan
    matmul(into: &h, w.value(input).span, w.weight(weight).span, N: w.rows, K: K, M: M)
    biasGELU(into: &y, &h, w.weight(bias).span, N: w.rows, F: M)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    let dY = w.gradient(output)
    var dH = dY.mutableSpan
    geluBackward(inPlace: &dH, w.value(hidden).span)
    linearBackward(
      w, dY: dY, input: input, weight: weight, bias: bias, K: K, M: M, accumulation)
  }
}

/// dX, dW and db of Y = X·W + b.
private func linearBackward(
  _ w: borrowing Workspace, dY: UnsafeMutableBufferPointer<Float>, input: Tensor,
  weight: Parameter, bias: Parameter, K: Int, M: Int, _ accumulation: Accumulation
) {
  var dBias = w.gradient(bias).mutableSpan
  biasBackward(
    into: &dBias, dY.span, N: w.rows, M: M, adding: accumulation.addsParameter(1))
  var dW = w.gradient(weight).mutableSpan
  matmulBackwardWeight(
    into: &dW, w.value(input).span, dY.span, N: w.rows, K: K, M: M,
    adding: accumulation.addsParameter(0))
  var dX = w.gradient(input).mutableSpan
  var scratch = w.scratch.mutableSpan
  matmulBackwardInput(
    into: &dX, dY.span, w.weight(weight).span, N: w.rows, K: K, M: M,
    adding: accumulation.addsInput(0), scratch: &scratch)
}

/// Causal attention inside each sentence of the lane; qkv is (N, 3·H·D).
struct Attention: Operation {
  let qkv: Tensor
  let heads: Int
  let output: Tensor
  let logSumExp: Tensor

  var D: Int { output.columns / heads }
  var name: String { "causal attention" }
  var inputs: [Tensor] { [qkv] }
  var outputs: [Tensor] { [output, logSumExp] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [qkv, output, logSumExp] }

  func scratch(_ limits: Limits) -> Int { attentionScratch(T: limits.segment, D: D) }
  func flops(position: Double) -> Double { 4 * position * Double(output.columns) }

  func forward(_ w: borrowing Workspace) {
    var o = w.value(output).mutableSpan
    var logSumExp = w.value(logSumExp).mutableSpan
    var scratch = w.scratch.mutableSpan
    causalAttention(
      into: &o, logSumExp: &logSumExp, qkv: w.value(qkv).span, offsets: w.lane.offsets.span,
      H: heads, D: D, scratch: &scratch)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    precondition(!accumulation.addsInput(0), "attention does not share its qkv")
    var dQKV = w.gradient(qkv).mutableSpan
    var scratch = w.scratch.mutableSpan
    causalAttentionBackward(
      into: &dQKV, w.gradient(output).span, o: w.value(output).span,
      logSumExp: w.value(logSumExp).span, qkv: w.value(qkv).span, offsets: w.lane.offsets.span,
      H: heads, D: D, scratch: &scratch)
  }
}

/// Attention of one new row per live sequence over its cache.
struct CachedAttention: Operation {
  let qkv: Tensor
  let heads: Int
  let context: Int
  let cache: Int
  let output: Tensor

  var D: Int { output.columns / heads }
  var name: String { "cached attention" }
  var inputs: [Tensor] { [qkv] }
  var outputs: [Tensor] { [output] }
  var parameters: [Parameter] { [] }
  var saved: [Tensor] { [] }

  func scratch(_ limits: Limits) -> Int { cachedAttentionScratch(context: context, D: D) }
  func flops(position: Double) -> Double { 4 * position * Double(output.columns) }

  func forward(_ w: borrowing Workspace) {
    var o = w.value(output).mutableSpan
    var scratch = w.scratch.mutableSpan
    let stride = w.lane.cacheStride
    let caches = UnsafeMutableBufferPointer(
      rebasing: w.lane.caches[cache * stride..<(cache + 1) * stride])
    var layerCache = caches.mutableSpan
    cachedAttention(
      into: &o, cache: &layerCache, qkv: w.value(qkv).span, slots: w.lane.slots.span,
      positions: w.lane.positions.span, context: context, H: heads, D: D, scratch: &scratch)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    preconditionFailure("cached attention has no backward pass")
  }
}

/// Label head with softmax; W is (V, C).
///
/// Training computes loss and gradients together in the backward pass, so that each chunk of logits
/// exists once; otherwise the forward pass writes the log-probabilities that the lane asks for.
struct LabelHead: Operation {
  let input: Tensor
  let weight: Parameter
  let V: Int
  let losses: Tensor
  let isTraining: Bool

  var C: Int { input.columns }
  var name: String { "head + softmax" + (isTraining ? " + cross-entropy" : "") }
  var inputs: [Tensor] { [input] }
  var outputs: [Tensor] { [losses] }
  var parameters: [Parameter] { [weight] }
  var saved: [Tensor] { [input, losses] }

  func scratch(_ limits: Limits) -> Int { headScratch(C: C, V: V) }
  func flops(position: Double) -> Double { Double(2 * C * V + 20 * V) }

  func forward(_ w: borrowing Workspace) {
    if isTraining { return }
    var labelLogProbabilities = w.lane.labelLogProbabilities.mutableSpan
    var logProbabilities = w.lane.logProbabilities.mutableSpan
    var scratch = w.scratch.mutableSpan
    head(
      labelLogProbabilities: &labelLogProbabilities, logProbabilities: &logProbabilities,
      w.value(input).span, w.weight(weight).span, labels: w.lane.labels.span, N: w.rows, C: C, V: V,
      scratch: &scratch)
  }

  func backward(_ w: borrowing Workspace, _ accumulation: Accumulation) {
    precondition(!accumulation.addsInput(0), "the head does not share its input")
    var losses = w.value(losses).mutableSpan
    var dX = w.gradient(input).mutableSpan
    var dW = w.gradient(weight).mutableSpan
    var scratch = w.scratch.mutableSpan
    headCrossEntropy(
      losses: &losses, dX: &dX, dW: &dW, w.value(input).span, w.weight(weight).span,
      labels: w.lane.labels.span, N: w.rows, C: C, V: V, scale: w.lossScale,
      addingWeights: accumulation.addsParameter(0), scratch: &scratch)
  }
}
