import Engine
import Support

/// Multi-token prediction (MTP): heads 2…n are one block each of the trunk's own kind, side by side on
/// the trunk's rows, with the unembedding of the first.
///
///     p(token i ahead | t) = softmax(norm(blockᵢ(Z))[t]·W),   Z the trunk's rows before its last norm
///
/// The block is `mtp.<i>.block.…`, its own norm, where it has one, `mtp.<i>.norm`. Here the first head is
/// the trunk's last norm alone: the further heads are added to the trunk, and no layer of it is taken away
/// for them. Gloeckle et al. do not say whether the
/// last norm is shared; it is, unless `norm` says otherwise.
///
/// Source: Gloeckle et al. 2024, "Better & Faster Large Language Models via Multi-token Prediction", §2.
package struct MultiToken: FurtherHeads {
  package static let key = "mtp"

  package let labels: Int
  package let weights: [Double]
  package let norm: HeadNorm

  package init(labels: Int, weights: [Double], norm: HeadNorm = .shared) {
    (self.labels, self.weights, self.norm) = (labels, weights, norm)
  }

  package var isChain: Bool { false }

  // MARK: - Configuration

  /// Reads the object `mtp`: `heads`, `weights` and `norm` (shared).
  package static func read(_ reader: inout ConfigReader) throws -> MultiToken? {
    guard var object = try reader.optionalObject(key) else { return nil }
    let labels = try reader.int("labels", in: 1...Int(Int32.max))
    let result = MultiToken(
      labels: labels, weights: try readWeights(&object),
      norm: try object.choice("norm", HeadNorm.self, default: .shared))
    try object.finish()
    return result
  }

  // MARK: - Closed forms

  /// n − 1 blocks, and their norms where they have some.
  package func parameterCount(on trunk: any Trunk) -> Int {
    weights.count * (trunk.blockParameterCount + norm.parameterCount(trunk))
  }

  package func idleParameterCount(on trunk: any Trunk) -> Int {
    weights.count * trunk.blockIdleParameterCount
  }

  /// n − 1 times a block and 2·C·V.
  package func productFLOPs(on trunk: any Trunk) -> Double {
    Double(weights.count) * (trunk.blockProductFLOPs + 2 * Double(trunk.size.width * labels))
  }

  package func attentionFLOPs(on trunk: any Trunk, perTokenAt length: Int) -> Double {
    Double(weights.count) * trunk.blockAttentionFLOPs(perTokenAt: length)
  }

  /// All losses, and a block and a norm of one head.
  package func savedColumns(on trunk: any Trunk) -> Int {
    weights.count * (1 + trunk.lossColumns) + trunk.headSavedColumns
  }

  // MARK: - Trace

  package func source(_ rows: ModelRows) -> Tensor { rows.hidden }

  package func head(
    _ i: Int, on x: Tensor, embedding: Tensor?, of trunk: any Trunk, next: NextToken,
    in g: inout GraphBuilder
  ) -> FurtherHead {
    let name = "mtp.\(i)"
    let block = trunk.block(x, named: name + ".block", in: &g)
    return FurtherHead(
      rows: trunk.norm(block, named: norm == .own ? name + ".norm" : nil, in: &g),
      unembedding: next.unembedding(of: trunk, in: &g), passedOn: x)
  }
}
