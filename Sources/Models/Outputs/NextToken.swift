import Engine
import Support

/// The head that every model has: softmax over the label of the next token.
///
///     p(v | n) = softmax_v(X[n]·W[v])        W (V, C): `lm_head.weight`, or the table of tokens
///
/// Its loss, −log p of the label in nats, is named `next` and has the weight 1.
package struct NextToken: Output {
  /// Output classes, V.
  package let labels: Int
  package let isTied: Bool

  package init(labels: Int, isTied: Bool = false) {
    self.labels = labels
    self.isTied = isTied
  }

  package var labelColumns: Int { 1 }

  // MARK: - Configuration

  /// Reads the keys `labels` and `tied` (false).
  package static func read(_ reader: inout ConfigReader) throws -> NextToken? {
    NextToken(
      labels: try reader.int("labels", in: 1...Int(Int32.max)),
      isTied: try reader.bool("tied", default: false))
  }

  package func validate(tables: [InputTable]) throws {
    if labels < 1 {
      throw UserError("model labels", expected: "at least 1", found: "\(labels)")
    }
    if isTied && (tables.count != 1 || tables[0].order != 1 || tables[0].rows != labels) {
      throw UserError(
        "tied head", expected: "a single input table of order 1 with \(labels) rows",
        found: tables.map { "order \($0.order) with \($0.rows) rows" }.joined(separator: ", "),
        remedy: "Set tied to false.")
    }
  }

  // MARK: - Closed forms

  /// V·C, or none where tied.
  package func parameterCount(width: Int) -> Int { isTied ? 0 : labels * width }

  /// 2·C·V.
  package func productFLOPs(width: Int) -> Double { 2 * Double(width * labels) }

  /// The loss. Logits live in a chunk of rows at a time.
  package var savedColumns: Int { 1 }

  // MARK: - Trace

  package func callAsFunction(
    _ x: Tensor, tokens: Parameter?, deviation: Double, labelColumn: Int,
    in g: inout GraphBuilder
  ) {
    let weight: Parameter
    if isTied {
      guard let tokens else { preconditionFailure("a tied head needs the table of tokens") }
      weight = tokens
    } else {
      weight = g.parameter("lm_head.weight", [labels, x.columns], .normal(deviation))
    }
    g.addLoss("next", g.labelHead(x, weight: weight, labels: labels, column: labelColumn))
  }
}
