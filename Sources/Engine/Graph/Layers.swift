import Kernels

/// The layers that models are composed of: each declares its parameters under `name` and appends
/// its operations.
extension GraphBuilder {
  /// Σ of one row of each table and, where there is one, of the position table.
  package mutating func embeddingSum(
    tables: [Parameter], positions: Parameter?, columns: Int, space: RowSpace = .positions
  ) -> Tensor {
    let output = tensor(columns: columns, space: space)
    append(EmbeddingSum(tables: tables, positions: positions, output: output))
    return output
  }

  /// scale · (tableScale · Σ over tables of (one row)·W + one row of `tokens`) + one row of `positions`,
  /// for over-encoding. Tables are `<name>.oe_embedders.<i>.weight` (rows, width); their projections lie
  /// stacked in `<name>.oe_proj.weight` (Σ widths, columns), table i's below those of the tables
  /// before it. Normalized rows pass an RMSNorm `<name>.oe_norm` in between.
  package mutating func overEncoding(
    tables: [(rows: Int, width: Int)], tokens: Parameter?, base: Tensor? = nil,
    positions: Parameter?, columns: Int,
    scale: Double, tableScale: Double = 1, isNormalized: Bool = false, deviation: Double,
    projectionDeviation: Double, named name: String
  ) -> Tensor {
    precondition(tokens == nil || base == nil, "one of the two stands for the token")
    let declared = tables.enumerated().map { i, table in
      self.table(
        "\(name).oe_embedders.\(i).weight", rows: table.rows, width: table.width,
        deviation: deviation)
    }
    var rows = tensor(columns: tables.reduce(0) { $0 + $1.width })
    append(TableRows(tables: declared, output: rows))
    if isNormalized { rows = rmsNorm(rows, named: name + ".oe_norm", epsilon: 1e-6) }
    let projection = parameter(
      name + ".oe_proj.weight", [rows.columns, columns], .normal(projectionDeviation))
    let output = tensor(columns: columns)
    append(
      OverEncodingSum(
        rows: rows, projection: projection, tokens: tokens, base: base, positions: positions,
        scale: Float(scale), tableScale: Float(tableScale), output: output))
    return output
  }

  /// A row of `table` for each position that has one, else its token's row of `tokens`; plus, where there
  /// is one, a row of the position table. The table's column of ids has 1 + the row, or 0 for none.
  package mutating func storedRows(
    of table: Table, orElse tokens: Parameter, positions: Parameter?
  ) -> Tensor {
    let output = tensor(columns: table.width)
    append(StoredRows(table: table, tokens: tokens, positions: positions, output: output))
    return output
  }

  /// - Parameters:
  ///   - gain: what the weights start as.
  ///   - isShared: whether several tensors pass the norm of that name.
  package mutating func layerNorm(
    _ x: Tensor, named name: String, gain: Double = 1, isShared: Bool = false
  ) -> Tensor {
    let output = tensor(columns: x.columns, space: x.space)
    append(
      Normalization(
        input: x,
        weight: parameter(
          name + ".weight", [x.columns], gain == 1 ? .ones : .constant(gain), isShared: isShared),
        bias: parameter(name + ".bias", [x.columns], .zeros, isShared: isShared), output: output,
        statistics: tensor(columns: 2, space: x.space)))
    return output
  }

  /// Gain without bias: RMSNorm(X) (+ residual).
  ///
  /// - Parameters:
  ///   - gain: what the weights start as.
  ///   - isShared: whether several tensors pass the norm of that name.
  package mutating func rmsNorm(
    _ x: Tensor, named name: String, epsilon: Double, residual: Tensor? = nil, gain: Double = 1,
    isShared: Bool = false
  ) -> Tensor {
    let output = tensor(columns: x.columns, space: x.space)
    append(
      RMSNormalization(
        input: x,
        weight: parameter(
          name + ".weight", [x.columns], gain == 1 ? .ones : .constant(gain), isShared: isShared),
        residual: residual, epsilon: Float(epsilon), output: output,
        scales: tensor(columns: 1, space: x.space)))
    return output
  }

  /// f(X)·W (+ b) (+ residual), W (in, out), for an activation f of an X that nothing else reads.
  ///
  /// - Parameter addsBiasLast: whether the bias is added to the product, not the product to the bias.
  package mutating func linear(
    _ x: Tensor, activation: Activation = .none, to columns: Int, named name: String,
    deviation: Double, bias: Bool = true, addsBiasLast: Bool = false, residual: Tensor? = nil
  ) -> Tensor {
    precondition(!addsBiasLast || residual == nil, "a residual comes after the bias")
    let output = tensor(columns: columns, space: x.space)
    append(
      Linear(
        input: x, activation: activation,
        weight: parameter(name + ".weight", [x.columns, columns], .normal(deviation)),
        bias: bias ? parameter(name + ".bias", [columns], .zeros) : nil,
        addsBiasLast: addsBiasLast, residual: residual, output: output))
    return output
  }

  /// silu(gate) ∘ up.
  package mutating func swiGLU(gate: Tensor, up: Tensor) -> Tensor {
    precondition(gate.columns == up.columns, "\(gate.columns) gates for \(up.columns) columns")
    let output = tensor(columns: up.columns, space: up.space)
    append(SwiGLU(gate: gate, up: up, output: output))
    return output
  }

  /// Queries and keys turned by their positions, and the values, side by side for `attention`.
  package mutating func rotary(q: Tensor, k: Tensor, v: Tensor, angles: RotaryAngles) -> Tensor {
    precondition(
      q.columns == k.columns && q.columns == v.columns && q.columns % angles.D == 0,
      "\(q.columns), \(k.columns) and \(v.columns) columns for heads of \(angles.D)")
    let output = tensor(columns: 3 * q.columns, space: q.space)
    append(Rotary(q: q, k: k, v: v, angles: angles, output: output))
    return output
  }

  /// Causal attention of packed sentences, or over caches when decoding.
  package mutating func attention(qkv: Tensor, heads: Int) -> Tensor {
    precondition(qkv.columns % (3 * heads) == 0, "\(qkv.columns) columns for \(heads) heads")
    let output = tensor(columns: qkv.columns / 3, space: qkv.space)
    if case .decoding(let context) = mode, qkv.space == .positions {
      append(
        CachedAttention(
          qkv: qkv, heads: heads, context: context, cache: nextCache(), output: output))
    } else {
      append(
        Attention(
          qkv: qkv, heads: heads, isShort: hasShortSegments(qkv.space), output: output,
          logSumExp: tensor(columns: heads, space: qkv.space)))
    }
    return output
  }

  /// Softmax over V labels with W (V, C): the row losses, in nats, when training. Rows whose label in
  /// that column of the lane is `PackedLane.noLabel` have none.
  package mutating func labelHead(
    _ x: Tensor, weight: Parameter, labels V: Int, column: Int = 0
  ) -> Tensor {
    precondition(x.space == .positions, "labels belong to positions")
    let losses = tensor(columns: 1)
    append(
      LabelHead(
        input: x, weight: weight, V: V, labelColumn: column, losses: losses,
        isTraining: mode == .training, isDecoding: mode.isDecoding))
    return losses
  }

  /// y[r] = x[r + distance], 0 where that row is none of the same sentence.
  package mutating func shift(_ x: Tensor, by distance: Int) -> Tensor {
    precondition(distance > 0, "a shift by \(distance) rows")
    let output = tensor(columns: x.columns, space: x.space)
    append(Shift(input: x, distance: distance, output: output))
    return output
  }

  /// The columns of `left`, then those of `right`.
  package mutating func sideBySide(_ left: Tensor, _ right: Tensor) -> Tensor {
    precondition(left.space == right.space, "rows of two spaces")
    let output = tensor(columns: left.columns + right.columns, space: left.space)
    append(SideBySide(left: left, right: right, output: output))
    return output
  }

  /// Rows that the caller of a decoding step lends, of `columns` columns; `index` is 0 or 1.
  package mutating func lentRows(_ index: Int, columns: Int) -> Tensor {
    let output = tensor(columns: columns)
    append(LentRows(index: index, output: output))
    return output
  }

  /// Leaves the rows of `x` with the caller of a decoding step.
  package mutating func takeRows(_ x: Tensor) { append(TakenRows(input: x)) }

  /// y[r] = x[the row that r stands for], 0 where it stands for none; x lies in the link's second
  /// space, y in its first.
  package mutating func gather(_ x: Tensor, _ link: RowLink) -> Tensor {
    precondition(x.space == link.to, "gather from space \(x.space.id) by a link to \(link.to.id)")
    let output = tensor(columns: x.columns, space: link.from)
    append(Gather(input: x, link: link, output: output))
    return output
  }

  /// One row for each position: that of x that it stands for, or its token's row of `table` where it
  /// stands for none; plus, where there is one, a row of the position table.
  package mutating func linkedRows(
    _ x: Tensor, _ link: RowLink, orElse table: Parameter, positions: Parameter?
  ) -> Tensor {
    precondition(
      x.space == link.to && link.from == .positions,
      "rows of space \(x.space.id) by a link from \(link.from.id) to \(link.to.id)")
    let output = tensor(columns: x.columns)
    append(
      LinkedRows(input: x, link: link, table: table, positions: positions, output: output))
    return output
  }

  /// y[r] = Σ of x over the rows that stand for r, in their order; x lies in the link's first space,
  /// y in its second.
  package mutating func scatterSum(_ x: Tensor, _ link: RowLink) -> Tensor {
    precondition(x.space == link.from, "rows of space \(x.space.id) by a link of \(link.from.id)")
    let output = tensor(columns: x.columns, space: link.to)
    append(ScatterSum(input: x, link: link, output: output))
    return output
  }
}
