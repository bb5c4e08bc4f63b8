import Engine
import Support

/// Over-decoding: heads 2…n with tables of their own on the hidden row of the first.
///
///     p(token i ahead = v | t) = softmax_v(X[t]·Pᵢ·Wᵢ[v])
///
/// Wᵢ (V, d) is `over_decoding.<i>.weight`; Pᵢ (C, d), where there is a rank d, `over_decoding.<i>.proj`,
/// otherwise d = C and there is none. With an output embedding that is a sum over positions, the softmax
/// over n-grams factorises into just these (equation 7).
///
/// Source: Over-Tokenized Transformer, appendix C, equation 8 and Algorithm 2, whose slices are along
/// the sentence and whose layers have no biases.
package struct OverDecoding: FurtherHeads {
  package static let key = "overDecoding"

  package let labels: Int
  package let weights: [Double]
  /// d; 0 for C, without projections.
  package let rank: Int

  package init(labels: Int, weights: [Double], rank: Int = 0) {
    (self.labels, self.weights, self.rank) = (labels, weights, rank)
  }

  package var isChain: Bool { false }

  // MARK: - Configuration

  /// Reads the object `overDecoding`: `heads`, `weights` and `rank` (0).
  package static func read(_ reader: inout ConfigReader) throws -> OverDecoding? {
    guard var object = try reader.optionalObject(key) else { return nil }
    let labels = try reader.int("labels", in: 1...Int(Int32.max))
    let result = OverDecoding(
      labels: labels, weights: try readWeights(&object),
      rank: try object.int("rank", default: 0, in: 0...1_000_000))
    try object.finish()
    return result
  }

  package func validateSettings(trunk: any Trunk) throws {
    guard rank >= 0, rank <= trunk.size.width else {
      throw UserError(
        "model overDecoding.rank",
        expected: "0, or at most \(trunk.size.width), the columns of the trunk", found: "\(rank)",
        remedy: "Set rank to 0 for no projection.")
    }
  }

  // MARK: - Closed forms

  private func weightsOfHead(_ trunk: any Trunk) -> Int {
    rank == 0 ? labels * trunk.size.width : (labels + trunk.size.width) * rank
  }

  /// (n − 1)·V·C, or (n − 1)·(V + C)·d.
  package func parameterCount(on trunk: any Trunk) -> Int {
    weights.count * weightsOfHead(trunk)
  }

  package func productFLOPs(on trunk: any Trunk) -> Double {
    2 * Double(weights.count * weightsOfHead(trunk))
  }

  /// The losses, and the projected row of one head.
  package func savedColumns(on trunk: any Trunk) -> Int { weights.count + rank }

  // MARK: - Trace

  package func source(_ rows: ModelRows) -> Tensor { rows.normed }

  package func head(
    _ i: Int, on x: Tensor, embedding: Tensor?, of trunk: any Trunk, next: NextToken,
    in g: inout GraphBuilder
  ) -> FurtherHead {
    let name = "over_decoding.\(i)"
    // A projected row starts as large as the row.
    let rows =
      rank == 0
      ? x
      : g.linear(
        x, to: rank, named: name + ".proj", deviation: 1 / Double(x.columns).squareRoot(),
        bias: false)
    let table = g.parameter(
      name + ".weight", [labels, rows.columns], .normal(trunk.size.deviation))
    return FurtherHead(rows: rows, unembedding: table, passedOn: x)
  }
}
