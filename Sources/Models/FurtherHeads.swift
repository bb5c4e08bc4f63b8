import Engine
import Support

/// Heads 2…n, each on the token so many ahead: what trains more than the next token, and what may propose
/// tokens in generation. A model has one kind of them at most.
///
/// Head i predicts at row t the label of row t + i − 1 of the same sentence, and nothing where there is
/// no such row. Its loss is named `ahead<i>` and weighted by λᵢ. Heads that do not read one another run
/// one after another, each forward, loss and backward, so that memory does not grow with n.
package protocol FurtherHeads: Output {
  /// The key of the object in a configuration's `model`.
  static var key: String { get }
  /// Output classes, V.
  var labels: Int { get }
  /// λ₂…λₙ.
  var weights: [Double] { get }
  /// Whether head i reads the rows that head i − 1 passes on, and the embedding of the token i − 1 ahead;
  /// otherwise each reads what the first one does.
  var isChain: Bool { get }

  /// - Throws: `UserError` for settings of its own that do not go with the trunk.
  func validateSettings(trunk: any Trunk) throws

  /// The rows of the model that the first head reads.
  func source(_ rows: ModelRows) -> Tensor

  /// Traces head `i`.
  ///
  /// - Parameters:
  ///   - x: rows that it reads (N, C).
  ///   - embedding: of the token i − 1 ahead of each row, (N, C), 0 beyond the sentence; in chains.
  ///   - next: the head of the model, whose unembedding may be shared.
  func head(
    _ i: Int, on x: Tensor, embedding: Tensor?, of trunk: any Trunk, next: NextToken,
    in g: inout GraphBuilder
  ) -> FurtherHead
}

/// A traced head.
package struct FurtherHead {
  /// What `unembedding` is multiplied by, (N, columns).
  let rows: Tensor
  /// (V, columns).
  let unembedding: Parameter
  /// What the next head of a chain reads, (N, C).
  let passedOn: Tensor
}

extension FurtherHeads {
  package var isTied: Bool { false }
  /// n, the tokens ahead of the last head.
  package var furthest: Int { weights.count + 1 }
  package var labelsAhead: [Int] { weights.isEmpty ? [] : Array(2...furthest) }

  package func callAsFunction(
    _ rows: ModelRows, labelColumn: Int, in g: inout GraphBuilder
  ) {
    var x = source(rows)
    for i in labelsAhead {
      if isChain {
        let embedding = g.shift(rows.embedding, by: i - 1)
        x = addLoss(i, on: x, embedding: embedding, rows, labelColumn, in: &g).passedOn
      } else {
        g.postpone { g in
          _ = addLoss(i, on: x, embedding: nil, rows, labelColumn, in: &g)
        }
      }
    }
  }

  private func addLoss(
    _ i: Int, on x: Tensor, embedding: Tensor?, _ rows: ModelRows, _ labelColumn: Int,
    in g: inout GraphBuilder
  ) -> FurtherHead {
    let head = head(i, on: x, embedding: embedding, of: rows.trunk, next: rows.next, in: &g)
    g.addLoss(
      "ahead\(i)",
      g.labelHead(
        head.rows, weight: head.unembedding, labels: labels, column: labelColumn + i - 2),
      weight: weights[i - 2])
    return head
  }

  // MARK: - Configuration

  /// Reads `heads`, n, and `weights`, λ₂…λₙ.
  ///
  /// - Throws: `UserError` for less than two heads, and for weights that are not one for each further head
  ///   or no finite numbers from 0 on.
  static func readWeights(_ reader: inout ConfigReader) throws -> [Double] {
    let heads = try reader.int("heads", in: 2...64)
    let weights = try reader.doubles("weights")
    guard weights.count == heads - 1 else {
      throw reader.fault(
        "weights", expected: "\(heads - 1) numbers, λ of heads 2 to \(heads)",
        found: "\(weights.count)", remedy: "Give each head but the first its weight.")
    }
    guard weights.allSatisfy({ $0 >= 0 && $0 <= 1e3 }) else {
      throw reader.fault("weights", expected: "numbers in 0.0...1000.0", found: "\(weights)")
    }
    return weights
  }

  package func validate(tables: [InputTable], trunk: any Trunk) throws {
    guard furthest >= 2 else {
      throw UserError("model \(Self.key).heads", expected: "at least 2", found: "\(furthest)")
    }
    // At n = context + 1 the label would lie behind the sentence.
    guard furthest <= trunk.size.context else {
      throw UserError(
        "model \(Self.key).heads",
        expected: "at most \(trunk.size.context), the positions of the context",
        found: "\(furthest)", remedy: "Lower heads or raise context.")
    }
    try validateSettings(trunk: trunk)
  }

  package func validateSettings(trunk: any Trunk) throws {}
}

extension Trunk {
  /// What one block costs.
  var blockParameterCount: Int { with(layers: 1).parameterCount - with(layers: 0).parameterCount }
  /// Those of a block's parameters that a row does not meet.
  var blockIdleParameterCount: Int {
    let one = with(layers: 1)
    return one.parameterCount - one.activeParameterCount
  }
  var blockProductFLOPs: Double { with(layers: 1).productFLOPs }
  /// What the backward pass reads of a block, but for its input, and of a last norm behind it.
  var headSavedColumns: Int { with(layers: 1).savedColumns - size.width }

  func blockAttentionFLOPs(perTokenAt length: Int) -> Double {
    with(layers: 1).attentionFLOPs(perTokenAt: length)
  }
}

/// Which norm stands between a head's block and the unembedding.
package enum HeadNorm: String, CaseIterable, Sendable {
  /// The trunk's last norm, with its parameters.
  case shared
  /// One of the head's own.
  case own

  /// Parameters of the norms of so many heads.
  func parameterCount(_ trunk: any Trunk) -> Int {
    self == .own ? trunk.normParameterCount : 0
  }
}
