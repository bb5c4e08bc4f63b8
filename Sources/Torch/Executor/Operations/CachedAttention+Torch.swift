import Engine

/// Products, softmax, products over all positions up to the longest sequence's: −∞ is added to the scores of
/// those behind a row's own.
extension CachedAttention: TorchOperation {
  package func forward(_ r: DeviceRun) throws {
    guard let decoding = r.decoding else { preconditionFailure("a batch without caches") }
    let (H, C, T) = (heads, output.columns, decoding.longest)
    let qkv = try r.value(qkv).cast(to: .float32)
    let n = qkv.shape[0]
    let columns = { (first: Int) in try qkv.part(first..<first + C, of: 1).copied() }
    let (keys, values) = decoding.caches[cache]
    try keys.put(columns(C), at: decoding.written)
    try values.put(columns(2 * C), at: decoding.written)
    /// (n·H, T, D) of the live sequences.
    let past = { (cache: DeviceTensor) in
      try cache.view(
        [cache.shape[0] / context, T, C], strides: [context * C, C, 1]
      ).rows(decoding.slots).view([n, H, T, D], strides: [T * C, D, C, 1]).copied()
        .reshaped([n * H, T, D])
    }
    let q = try columns(0).reshaped([n * H, 1, D])
    let scores = try q.product3(past(keys).transposed()).times(1 / Float(D).squareRoot())
    let p = try scores.reshaped([n, H, T]).plus(decoding.behind).softmax().reshaped([n * H, 1, T])
    r.set(output, try p.product3(past(values)).reshaped([n, C]))
  }

  package func backward(_ r: DeviceRun) throws {
    preconditionFailure("rows that are decoded have no gradients")
  }
}
