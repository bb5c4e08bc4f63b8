import Kernels

/// What the products of one operation's backward pass ask for from main memory meanwhile: the values,
/// written long ago by the forward pass, that the next operations of the backward pass read.
struct LookAhead: Sendable {
  private var first: Tensor?
  private var second: Tensor?

  /// For each of `operations`, in forward order: the largest two tensors that the operation before
  /// it saved, and, where that one has no products to hide behind, the one before that.
  static func derive(_ operations: [any Operation], _ limits: Limits) -> [LookAhead] {
    operations.indices.map { index in
      var saved: [Tensor] = []
      var next = index - 1
      while next >= 0 {
        saved += operations[next].saved
        if operations[next].isHeavy(limits) { break }
        next -= 1
      }
      saved.sort { $0.columns > $1.columns }
      return LookAhead(first: saved.first, second: saved.dropFirst().first)
    }
  }

  func announce(_ w: borrowing Workspace) {
    lookAhead(
      first.map { UnsafeBufferPointer(w.value($0)) },
      second.map { UnsafeBufferPointer(w.value($0)) })
  }
}

extension Operation {
  /// Whether products, rather than memory, take its time.
  fileprivate func isHeavy(_ limits: Limits) -> Bool {
    let columns = (inputs + outputs).reduce(0) { $0 + $1.columns }
    return flops(position: Double(limits.segment) / 2) > 32 * Double(columns)
  }
}
