import Engine
import Support

/// Multi-token prediction in a causal chain (MTP-DS): head i goes on from the rows of head i − 1 and the
/// embedding of the token i − 1 ahead, which is given to it.
///
///     H¹ = the trunk's rows,   Hⁱ[t] = blockᵢ([norm(E[t + i − 1]) | norm(Hⁱ⁻¹[t])]·Mᵢ)
///     p(token i ahead | t) = softmax(norm(Hⁱ)[t]·W)
///
/// E is the model's whole input, learned positions included: over-encoded where the model's input is,
/// which makes this the Over-Tokenized Transformer. Beyond the sentence E is 0; no row that predicts
/// anything sees it. Parameters are `mtp_ds.<i>.enorm`, `.hnorm`, `.eh_proj` (2C, C), `.block.…` and,
/// where a head has its own last norm, `.norm`; enorm and hnorm are RMSNorms.
///
/// Source: DeepSeek-V3 (2024), §2.2, whose λ over the number of heads is each of `weights`;
/// Over-Tokenized Transformer, section 3.
package struct MultiTokenChain: FurtherHeads {
  /// Which of the two is first in the rows that Mᵢ projects: a permutation of its rows, which matters
  /// for weights that come from elsewhere.
  package enum Order: String, CaseIterable, Sendable {
    /// As in DeepSeek's released weights.
    case embeddingFirst
    /// As in its paper.
    case hiddenFirst
  }

  /// Which rows of the trunk, and then of each head, the next head reads.
  package enum Hidden: String, CaseIterable, Sendable {
    case beforeNorm
    case afterNorm
  }

  package static let key = "mtpDS"

  package let labels: Int
  package let weights: [Double]
  package let order: Order
  package let hidden: Hidden
  package let norm: HeadNorm

  package init(
    labels: Int, weights: [Double], order: Order = .embeddingFirst, hidden: Hidden = .afterNorm,
    norm: HeadNorm = .own
  ) {
    (self.labels, self.weights) = (labels, weights)
    (self.order, self.hidden, self.norm) = (order, hidden, norm)
  }

  package var isChain: Bool { true }

  // MARK: - Configuration

  /// Reads the object `mtpDS`: `heads`, `weights`, `order` (embeddingFirst), `hidden` (afterNorm) and
  /// `norm` (own).
  package static func read(_ reader: inout ConfigReader) throws -> MultiTokenChain? {
    guard var object = try reader.optionalObject(key) else { return nil }
    let labels = try reader.int("labels", in: 1...Int(Int32.max))
    let result = MultiTokenChain(
      labels: labels, weights: try readWeights(&object),
      order: try object.choice("order", Order.self, default: .embeddingFirst),
      hidden: try object.choice("hidden", Hidden.self, default: .afterNorm),
      norm: try object.choice("norm", HeadNorm.self, default: .own))
    try object.finish()
    return result
  }

  // MARK: - Closed forms

  /// n − 1 times two gains, 2C², a block, and a norm where heads have their own.
  package func parameterCount(on trunk: any Trunk) -> Int {
    let C = trunk.size.width
    return weights.count
      * (2 * C + 2 * C * C + trunk.blockParameterCount + norm.parameterCount(trunk))
  }

  package func idleParameterCount(on trunk: any Trunk) -> Int {
    weights.count * trunk.blockIdleParameterCount
  }

  /// n − 1 times 4·C², a block and 2·C·V.
  package func productFLOPs(on trunk: any Trunk) -> Double {
    let C = trunk.size.width
    return Double(weights.count)
      * (4 * Double(C * C) + trunk.blockProductFLOPs + 2 * Double(C * labels))
  }

  package func attentionFLOPs(on trunk: any Trunk, perTokenAt length: Int) -> Double {
    Double(weights.count) * trunk.blockAttentionFLOPs(perTokenAt: length)
  }

  /// n − 1 times the losses, the embedding ahead (C), two scales, both normed rows side by side (2C), the
  /// block's input (C), and the block and its norm: a chain is as deep as it is long.
  package func savedColumns(on trunk: any Trunk) -> Int {
    weights.count * (4 * trunk.size.width + 3 + trunk.lossColumns + trunk.headSavedColumns)
  }

  // MARK: - Trace

  package func source(_ rows: ModelRows) -> Tensor {
    hidden == .beforeNorm ? rows.hidden : rows.normed
  }

  /// ε of enorm and hnorm.
  private static let epsilon = 1e-6

  package func head(
    _ i: Int, on x: Tensor, embedding: Tensor?, of trunk: any Trunk, next: NextToken,
    in g: inout GraphBuilder
  ) -> FurtherHead {
    guard let embedding else { preconditionFailure("a chain needs the embeddings ahead") }
    let name = "mtp_ds.\(i)"
    let e = g.rmsNorm(embedding, named: name + ".enorm", epsilon: Self.epsilon)
    let h = g.rmsNorm(x, named: name + ".hnorm", epsilon: Self.epsilon)
    let joined = order == .embeddingFirst ? g.sideBySide(e, h) : g.sideBySide(h, e)
    let projected = g.linear(
      joined, to: x.columns, named: name + ".eh_proj", deviation: trunk.size.deviation,
      bias: false)
    let block = trunk.block(projected, named: name + ".block", in: &g)
    let normed = trunk.norm(block, named: norm == .own ? name + ".norm" : nil, in: &g)
    return FurtherHead(
      rows: normed, unembedding: next.unembedding(of: trunk, in: &g),
      passedOn: hidden == .beforeNorm ? block : normed)
  }
}
