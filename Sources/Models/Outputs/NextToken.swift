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

  package var labelsAhead: [Int] { [1] }

  // MARK: - Configuration

  /// Reads the keys `labels` and `tied` (false).
  package static func read(_ reader: inout ConfigReader) throws -> NextToken? {
    NextToken(
      labels: try reader.int("labels", in: 1...Int(Int32.max)),
      isTied: try reader.bool("tied", default: false))
  }

  package func validate(tables: [InputTable], trunk: any Trunk) throws {
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
  package func parameterCount(on trunk: any Trunk) -> Int {
    isTied ? 0 : labels * trunk.size.width
  }

  /// 2·C·V.
  package func productFLOPs(on trunk: any Trunk) -> Double {
    2 * Double(trunk.size.width * labels)
  }

  /// The loss. Logits live in a chunk of rows at a time.
  package func savedColumns(on trunk: any Trunk) -> Int { 1 }

  // MARK: - Trace

  package func callAsFunction(_ rows: ModelRows, labelColumn: Int, in g: inout GraphBuilder) {
    g.addLoss(
      "next",
      g.labelHead(
        rows.normed, weight: unembedding(of: rows.trunk, in: &g), labels: labels,
        column: labelColumn))
  }

  /// W, declared unless it is already: other heads on the same labels may share it.
  func unembedding(of trunk: any Trunk, in g: inout GraphBuilder) -> Parameter {
    isTied
      ? trunk.table(InputTable(order: 1, rows: labels), isShared: true, in: &g)
      : g.parameter(
        "lm_head.weight", [labels, trunk.size.width], .normal(trunk.size.deviation),
        isShared: true)
  }
}
