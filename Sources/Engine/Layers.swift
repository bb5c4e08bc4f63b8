/// The layers that models are composed of: each declares its parameters under `name` and appends
/// its operations.
extension GraphBuilder {
  /// Σ of one row of each table and of the position table.
  package mutating func embeddingSum(tables: [Parameter], positions: Parameter, columns: Int)
    -> Tensor
  {
    let output = tensor(columns: columns)
    append(EmbeddingSum(tables: tables, positions: positions, output: output))
    return output
  }

  package mutating func layerNorm(_ x: Tensor, named name: String) -> Tensor {
    let output = tensor(columns: x.columns)
    append(
      Normalization(
        input: x, weight: parameter(name + ".weight", [x.columns], .ones),
        bias: parameter(name + ".bias", [x.columns], .zeros), output: output,
        statistics: tensor(columns: 2)))
    return output
  }

  /// X·W + b (+ residual), W (in, out).
  package mutating func linear(
    _ x: Tensor, to columns: Int, named name: String, deviation: Double, residual: Tensor? = nil
  ) -> Tensor {
    let output = tensor(columns: columns)
    append(
      Linear(
        input: x, weight: parameter(name + ".weight", [x.columns, columns], .normal(deviation)),
        bias: parameter(name + ".bias", [columns], .zeros), residual: residual, output: output))
    return output
  }

  /// gelu(X·W + b).
  package mutating func linearGELU(
    _ x: Tensor, to columns: Int, named name: String, deviation: Double
  ) -> Tensor {
    let output = tensor(columns: columns)
    append(
      LinearGELU(
        input: x, weight: parameter(name + ".weight", [x.columns, columns], .normal(deviation)),
        bias: parameter(name + ".bias", [columns], .zeros), hidden: tensor(columns: columns),
        output: output))
    return output
  }

  /// Causal attention of packed sentences, or over caches when decoding.
  package mutating func attention(qkv: Tensor, heads: Int) -> Tensor {
    precondition(qkv.columns % (3 * heads) == 0, "\(qkv.columns) columns for \(heads) heads")
    let output = tensor(columns: qkv.columns / 3)
    if case .decoding(let context) = mode {
      append(
        CachedAttention(
          qkv: qkv, heads: heads, context: context, cache: nextCache(), output: output))
    } else {
      append(
        Attention(qkv: qkv, heads: heads, output: output, logSumExp: tensor(columns: heads)))
    }
    return output
  }

  /// Softmax over V labels with W (V, C); the result is the row losses when training.
  package mutating func labelHead(_ x: Tensor, weight: Parameter, labels V: Int) -> Tensor {
    let losses = tensor(columns: 1)
    append(
      LabelHead(input: x, weight: weight, V: V, losses: losses, isTraining: mode == .training))
    return losses
  }
}
