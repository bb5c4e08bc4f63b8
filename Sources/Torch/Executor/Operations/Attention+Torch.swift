import Engine

extension Attention: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    let form = r.attention(D: D)
    let qkv = try form == .products ? r.value(qkv).cast(to: .float32) : r.factor(r.value(qkv))
    let sentences = r.batch[self.qkv.space].sentences
    if form == .varying {
      let (o, kept) = try VaryingAttention(H: heads, D: D, sentences).forward(qkv)
      r.keep(kept)
      return r.set(output, o)
    }
    var (outputs, kept): ([DeviceTensor], [DeviceTensor]) = ([], [])
    for group in sentences.groups {
      let places = try Places(qkv, group, sentences, heads: heads)
      let (o, statistics) = try form.forward(places) {
        try r.shared("future \(places.T)", places.future)
      }
      kept += [o, statistics]
      outputs.append(try places.rows(o))
    }
    r.keep(kept)
    r.set(output, try sentences.inRows(outputs, columns: output.columns))
  }

  package func backward(_ r: DeviceRun) throws {
    let form = r.attention(D: D)
    let value = r.value(qkv)
    let qkv = try form == .products ? value.cast(to: .float32) : r.factor(value)
    let dO = try r.gradient(output).cast(to: qkv.form)
    let (sentences, kept) = (r.batch[self.qkv.space].sentences, r.keptTensors)
    if form == .varying {
      let varying = VaryingAttention(H: heads, D: D, sentences)
      return try r.addGradient(self.qkv, varying.backward(dO, qkv, kept))
    }
    var gradients: [DeviceTensor] = []
    for (i, group) in sentences.groups.enumerated() {
      let places = try Places(qkv, group, sentences, heads: heads)
      let d = try form.backward(
        places.heads(of: dO, group, sentences), places, o: kept[2 * i], statistics: kept[2 * i + 1])
      gradients.append(try .joined(d.map { try places.rows($0) }, along: 1))
    }
    try r.addGradient(self.qkv, sentences.inRows(gradients, columns: self.qkv.columns))
  }
}

/// How attention is computed.
package enum AttentionForm: Equatable, Sendable {
  /// Products, softmax, products: on any device, with all T² scores of a sentence in memory. The twin of
  /// the others.
  case products
  /// One operator of the CPU for sentences of one length.
  case even
  /// One operator of GPUs for sentences of any lengths, in bfloat16.
  case varying

  /// O (S, H, T, D), and what the backward pass needs of the softmax.
  ///
  /// - Parameter future: what is added to the scores.
  func forward(
    _ p: Places, future: () throws -> DeviceTensor
  ) throws -> (DeviceTensor, DeviceTensor) {
    if self == .even {
      let results = try p.q.library.call(
        "aten::_scaled_dot_product_flash_attention_for_cpu", results: 2,
        [.tensor(p.q), .tensor(p.k), .tensor(p.v), .number(0), .bool(true), .none, .none])
      return (results[0], results[1])
    }
    let scores = try p.flat(p.q).product3(p.flat(p.k).transposed()).times(p.scale).plus(future())
    let probabilities = try scores.softmax()
    let o = try probabilities.product3(p.flat(p.v))
    return (try o.reshaped([p.S, p.H, p.T, p.D]), probabilities)
  }

  /// dQ, dK and dV, (S, H, T, D) each.
  func backward(
    _ dO: DeviceTensor, _ p: Places, o: DeviceTensor, statistics: DeviceTensor
  ) throws -> [DeviceTensor] {
    if self == .even {
      return try p.q.library.call(
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward", results: 3,
        [
          .tensor(dO), .tensor(p.q), .tensor(p.k), .tensor(p.v), .tensor(o), .tensor(statistics),
          .number(0), .bool(true), .none, .none,
        ])
    }
    let (d, P) = (try p.flat(dO), statistics)
    let dScores = try P.softmaxGradient(d.product3(p.flat(p.v).transposed())).times(p.scale)
    return try [
      dScores.product3(p.flat(p.k)), dScores.transposed().product3(p.flat(p.q)),
      P.transposed().product3(d),
    ].map { try $0.reshaped([p.S, p.H, p.T, p.D]) }
  }
}

extension DeviceRun {
  /// The form that was asked for, else the fastest.
  fileprivate func attention(D: Int) -> AttentionForm {
    if let form { return form }
    if library.device == .cpu { return .even }
    return weights.factorForm == .bfloat16 && D % 8 == 0 && D <= 256 ? .varying : .products
  }
}

/// Queries, keys and values of a group of sentences, (S, H, T, D) each.
struct Places {
  let S, T, H, D: Int
  let q, k, v: DeviceTensor

  init(
    _ qkv: DeviceTensor, _ group: DeviceSentences.Group, _ sentences: DeviceSentences, heads: Int
  ) throws {
    let C = qkv.shape[1] / 3
    (S, T, H, D) = (group.count, group.length, heads, C / heads)
    let rows = try sentences.areInPlace ? qkv : qkv.rows(group.rows)
    let (shape, strides) = ([S, H, T, D], [T * 3 * C, D, 3 * C, 1])
    q = try rows.view(shape, strides: strides)
    k = try rows.view(shape, strides: strides, offset: C)
    v = try rows.view(shape, strides: strides, offset: 2 * C)
  }

  var scale: Float { 1 / Float(D).squareRoot() }

  /// (S·T, C) of (S, H, T, D).
  func rows(_ x: DeviceTensor) throws -> DeviceTensor {
    try x.permuted([0, 2, 1, 3]).copied().reshaped([S * T, H * D])
  }

  /// (S, H, T, D) of the rows (N, C) of a batch; 0 behind the ends of sentences.
  func heads(
    of dO: DeviceTensor, _ group: DeviceSentences.Group, _ sentences: DeviceSentences
  ) throws -> DeviceTensor {
    var rows = sentences.areInPlace ? dO : try dO.rows(group.rows)
    if let mask = group.mask { rows = try rows.times(mask.cast(to: rows.form)) }
    return try rows.view([S, H, T, D], strides: [T * H * D, D, H * D, 1])
  }

  /// (S·H, T, D), row-major.
  func flat(_ x: DeviceTensor) throws -> DeviceTensor { try x.copied().reshaped([S * H, T, D]) }

  /// (T, T): −∞ where a key comes after the query, else 0.
  func future() throws -> DeviceTensor {
    var values = [Float](repeating: 0, count: T * T)
    for t in 0..<T { for later in t + 1..<max(T, t + 1) { values[t * T + later] = -.infinity } }
    return try DeviceTensor.copy(of: values, [T, T], q.library)
  }
}

extension DeviceTensor {
  /// a·b of three dimensions.
  func product3(_ other: DeviceTensor) throws -> DeviceTensor {
    let result = try DeviceTensor.empty([shape[0], shape[1], other.shape[2]], form, library)
    try result.becomeProduct(self, other)
    return result
  }
}

extension DeviceSentences {
  /// (N, C) of the rows of all groups.
  fileprivate func inRows(_ groups: [DeviceTensor], columns: Int) throws -> DeviceTensor {
    if areInPlace { return groups[0] }
    if groups.isEmpty { return try .zeros([0, columns], .float32, places.library) }
    return try (groups.count == 1 ? groups[0] : .joined(groups, along: 0)).rows(places)
  }
}

/// Attention over sentences laid end to end, by FlashAttention (Dao 2023) as PyTorch has it for GPUs.
struct VaryingAttention {
  let H, D: Int
  let sentences: DeviceSentences

  init(H: Int, D: Int, _ sentences: DeviceSentences) {
    (self.H, self.D, self.sentences) = (H, D, sentences)
  }

  /// (N, H, D) of the columns from `first` on.
  private func heads(_ x: DeviceTensor, from first: Int = 0) throws -> DeviceTensor {
    try x.view([x.shape[0], H, D], strides: [x.shape[1], D, 1], offset: first)
  }

  /// O (N, C), and what the backward pass needs: O, log-sums and two states of a dropout that is not.
  func forward(_ qkv: DeviceTensor) throws -> (DeviceTensor, [DeviceTensor]) {
    let C = H * D
    let results = try qkv.library.call(
      "aten::_flash_attention_forward", results: 5,
      [
        .tensor(heads(qkv)), .tensor(heads(qkv, from: C)), .tensor(heads(qkv, from: 2 * C)),
        .perhaps(sentences.starts), .perhaps(sentences.starts), .int(sentences.longest),
        .int(sentences.longest), .number(0), .bool(true), .bool(false), .none,
      ])
    return (try results[0].reshaped([qkv.shape[0], C]), Array(results[..<4]))
  }

  func backward(
    _ dO: DeviceTensor, _ qkv: DeviceTensor, _ kept: [DeviceTensor]
  ) throws -> DeviceTensor {
    let C = H * D
    let d = try qkv.library.call(
      "aten::_flash_attention_backward", results: 3,
      [
        .tensor(heads(dO)), .tensor(heads(qkv)), .tensor(heads(qkv, from: C)),
        .tensor(heads(qkv, from: 2 * C)), .tensor(kept[0]), .tensor(kept[1]),
        .tensor(sentences.starts), .tensor(sentences.starts), .int(sentences.longest),
        .int(sentences.longest), .number(0), .bool(true), .tensor(kept[2]), .tensor(kept[3]), .none,
      ])
    return try .joined(d.map { try $0.copied().reshaped([qkv.shape[0], C]) }, along: 1)
  }
}
