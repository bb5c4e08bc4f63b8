import Support

/// One table of the input embedding.
package struct InputTable: Sendable, Equatable {
  /// Symbols that a row id stands for: 1 for plain tokens.
  package var order: Int
  package var rows: Int

  package init(order: Int, rows: Int) {
    self.order = order
    self.rows = rows
  }
}

/// The families of models.
package enum Architecture: String, CaseIterable, Sendable {
  case gpt2
}

/// Everything that decides the parameters of a model.
package struct ModelConfiguration: Sendable, Equatable {
  package var architecture: Architecture = .gpt2
  /// L.
  package var layers: Int
  /// C.
  package var width: Int
  /// H.
  package var heads: Int
  /// Positions of the longest sentence.
  package var context: Int
  /// Summed in this order; orders are distinct.
  package var inputs: [InputTable]
  /// Output classes, V.
  package var labels: Int
  /// Whether the head is the input table.
  package var tied: Bool

  package init(
    layers: Int, width: Int, heads: Int, context: Int, inputs: [InputTable], labels: Int,
    tied: Bool = false
  ) throws {
    self.layers = layers
    self.width = width
    self.heads = heads
    self.context = context
    self.inputs = inputs
    self.labels = labels
    self.tied = tied
    try validate()
  }

  /// Reads the keys `architecture`, `layers`, `width`, `heads`, `context`, `inputs` (a list of
  /// {order, rows}), `labels` and `tied`. The caller finishes `reader`.
  package init(reader: inout ConfigReader) throws {
    architecture = try reader.choice("architecture", Architecture.self)
    layers = try reader.int("layers", in: 1...1_000)
    width = try reader.int("width", in: 1...1_000_000)
    heads = try reader.int("heads", in: 1...100_000)
    context = try reader.int("context", in: 1...10_000_000)
    inputs = try reader.objects("inputs").map { table in
      var table = table
      let result = InputTable(
        order: try table.int("order", in: 1...64),
        rows: try table.int("rows", in: 1...Int(Int32.max)))
      try table.finish()
      return result
    }
    labels = try reader.int("labels", in: 1...Int(Int32.max))
    tied = try reader.bool("tied", default: false)
    try validate()
  }

  /// - Throws: `UserError` when the numbers do not make a model.
  package func validate() throws {
    for (name, value) in [
      ("layers", layers), ("width", width), ("heads", heads), ("context", context),
      ("labels", labels),
    ] where value < 1 {
      throw UserError("model \(name)", expected: "at least 1", found: "\(value)")
    }
    if width % heads != 0 {
      throw UserError(
        "model width", expected: "a multiple of \(heads) heads", found: "\(width)",
        remedy: "Change width or heads.")
    }
    if inputs.isEmpty || inputs.contains(where: { $0.order < 1 || $0.rows < 1 }) {
      throw UserError(
        "model inputs", expected: "one or more tables with order and rows of at least 1",
        found: "\(inputs.map { "order \($0.order), rows \($0.rows)" })")
    }
    if Set(inputs.map(\.order)).count != inputs.count {
      throw UserError(
        "model inputs", expected: "distinct orders", found: "\(inputs.map(\.order))")
    }
    if tied && (inputs.count != 1 || inputs[0].order != 1 || inputs[0].rows != labels) {
      throw UserError(
        "tied head", expected: "a single input table of order 1 with \(labels) rows",
        found: inputs.map { "order \($0.order) with \($0.rows) rows" }.joined(separator: ", "),
        remedy: "Set tied to false.")
    }
  }

  // MARK: - Costs in closed form

  /// Columns of the feed-forward layer, F = 4C.
  package var hiddenWidth: Int { 4 * width }

  /// Parameters of one block: attention 4C² + 4C, feed-forward 8C² + 5C, two norms 4C.
  private var blockParameters: Int { 12 * width * width + 13 * width }

  /// Rows of all input tables.
  package var inputRows: Int { inputs.reduce(0) { $0 + $1.rows } }

  /// (ΣM + T + [not tied] V)·C + L·(12C² + 13C) + 2C.
  package var parameterCount: Int {
    (inputRows + context + (tied ? 0 : labels)) * width + layers * blockParameters + 2 * width
  }

  /// Multiply-adds counted as two: forward FLOPs of one position in a sentence of `length`
  /// positions, averaged over the sentence: matrix products 2·(12LC² + CV) and attention
  /// 4·L·C·(length + 1)/2. Norms, GELU and softmax are left out.
  package func forwardFLOPs(perTokenAt length: Int) -> Double {
    let products = 2 * Double(12 * layers * width * width + width * labels)
    return products + 4 * Double(layers * width) * Double(length + 1) / 2
  }

  /// Training FLOPs of one position: three forward passes.
  package func trainingFLOPs(perTokenAt length: Int) -> Double {
    3 * forwardFLOPs(perTokenAt: length)
  }

  // MARK: - Presets

  /// The paper's larger model, 12 layers of 768 columns and 12 heads (Over-Tokenized Transformer,
  /// §3.1).
  package static func paperLarge(inputs: [InputTable], labels: Int, context: Int) throws -> Self {
    try Self(layers: 12, width: 768, heads: 12, context: context, inputs: inputs, labels: labels)
  }

  /// The paper's smaller model, 12 layers of 128 columns and 2 heads.
  package static func paperSmall(inputs: [InputTable], labels: Int, context: Int) throws -> Self {
    try Self(layers: 12, width: 128, heads: 2, context: context, inputs: inputs, labels: labels)
  }
}
