import Support

/// Closed-form sizes of a model.
package struct ModelFacts: Sendable {
  package let layers, width, context: Int
  package let inputRows, labels: Int
  package let parameterCount: Int

  package init(
    model: ConfigValue, source: String, inputs: [(order: Int, rows: Int)], labels: Int
  ) throws {
    guard case .integer(let layers)? = model["layers"], case .integer(let width)? = model["width"],
      case .integer(let context)? = model["context"]
    else {
      throw UserError(
        "\(source): model", expected: "layers, width and context", found: model.summary)
    }
    self.layers = layers
    self.width = width
    self.context = context
    self.labels = labels
    inputRows = inputs.reduce(0) { $0 + $1.rows }
    let block = 12 * width * width + 13 * width
    parameterCount =
      layers * block + 2 * width + (inputRows + context) * width
      + (model["tied"] == true ? 0 : labels * width)
  }

  /// Forward FLOPs a row: `2·(12·L·C² + C·V)` for the products and `4·L·C·t` for attention over a
  /// mean of t positions.
  package func forwardFlops(rowsPerSentence: Double) -> Double {
    let (L, C, V) = (Double(layers), Double(width), Double(labels))
    return 2 * (12 * L * C * C + C * V) + 4 * L * C * rowsPerSentence / 2
  }

  /// Saved for the backward pass: about 18 rows of C a layer.
  package func activationBytes(rows: Double) -> Double {
    4 * rows * Double(width) * Double(18 * layers + 6)
  }

  /// Keys and values of every layer.
  package func cacheBytes(rows: Double) -> Double { 8 * rows * Double(width * layers) }
}
