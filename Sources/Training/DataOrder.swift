import Support

/// Which documents a step trains on: a function of (seed, step) alone.
///
/// Positions of the run are numbered from 0; step `t` (from 1) covers `(t − 1)·B ..< t·B`. Position
/// `q` lies in epoch `e = q / D` and is document `Permutation(D, seed, "epoch-e")[q mod D]`, so every
/// epoch visits every document once and a batch may span two epochs. The permutation is keyed, not
/// stored: the state of the data is the step number.
package struct DataOrder: Sendable {
  package let documents: Int
  package let batchSequences: Int
  package let seed: UInt64

  /// - Precondition: `1 ≤ batchSequences ≤ documents`.
  package init(documents: Int, batchSequences: Int, seed: UInt64) {
    precondition(batchSequences >= 1 && batchSequences <= documents, "a batch fits in an epoch")
    self.documents = documents
    self.batchSequences = batchSequences
    self.seed = seed
  }

  /// Writes the documents of `step` (counted from 1) over `batch`, in the order of the run.
  package func fill(_ batch: inout [Int], step: Int) {
    precondition(step >= 1, "steps are counted from 1")
    batch.removeAll(keepingCapacity: true)
    var position = (step - 1) * batchSequences
    let end = position + batchSequences
    while position < end {
      let epoch = position / documents
      let permutation = Permutation(count: documents, seed: seed, name: "epoch-\(epoch)")
      let stop = min(end, (epoch + 1) * documents)
      while position < stop {
        batch.append(permutation[position - epoch * documents])
        position += 1
      }
    }
  }
}
