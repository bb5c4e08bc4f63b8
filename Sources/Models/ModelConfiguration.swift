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
  case olmo2
}

/// What OLMo 2 has beyond the keys of every model.
package struct OLMo2Settings: Sendable, Equatable {
  /// Columns of the feed-forward layer, F; 0 for ⌊8C/3⌋ rounded up to a multiple of 16. (The
  /// released models round up to 256: give theirs by number.)
  package var hiddenWidth: Int
  /// θ of the rotary positions.
  package var ropeTheta: Double
  /// ε of every RMSNorm.
  package var normEpsilon: Double

  /// The released models' θ and ε.
  package init(hiddenWidth: Int = 0, ropeTheta: Double = 500_000, normEpsilon: Double = 1e-6) {
    self.hiddenWidth = hiddenWidth
    self.ropeTheta = ropeTheta
    self.normEpsilon = normEpsilon
  }

  /// Reads the keys `hiddenWidth`, `ropeTheta` and `normEpsilon`.
  init(reader: inout ConfigReader) throws {
    let standard = Self()
    hiddenWidth = try reader.int(
      "hiddenWidth", default: standard.hiddenWidth, in: 0...10_000_000)
    ropeTheta = try reader.double("ropeTheta", default: standard.ropeTheta)
    normEpsilon = try reader.double("normEpsilon", default: standard.normEpsilon)
  }

  /// - Throws: `UserError` when the numbers do not make a model of heads of `headWidth` columns.
  func validate(headWidth: Int) throws {
    if hiddenWidth < 0 {
      throw UserError("model hiddenWidth", expected: "0 or more", found: "\(hiddenWidth)")
    }
    if headWidth % 2 != 0 {
      throw UserError(
        "model width", expected: "an even number of columns a head, for rotary positions",
        found: "\(headWidth)", remedy: "Change width or heads.")
    }
    for (name, value) in [("ropeTheta", ropeTheta), ("normEpsilon", normEpsilon)]
    where !(value > 0 && value.isFinite) {
      throw UserError("model \(name)", expected: "a number above 0", found: "\(value)")
    }
  }

  /// F for a model of C columns.
  package func hiddenWidth(of C: Int) -> Int {
    hiddenWidth > 0 ? hiddenWidth : (8 * C / 3 + 15) & ~15
  }
}

/// Everything that decides the parameters of a model.
package struct ModelConfiguration: Sendable, Equatable {
  /// The settings of an OLMo 2; nil for a GPT-2.
  package var olmo2: OLMo2Settings?
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
  /// N-gram tables beside the one input table, of order 1; nil for the sum of `inputs`.
  package var overEncoding: OverEncoding?

  package init(
    layers: Int, width: Int, heads: Int, context: Int, inputs: [InputTable], labels: Int,
    tied: Bool = false, olmo2: OLMo2Settings? = nil, overEncoding: OverEncoding? = nil
  ) throws {
    self.olmo2 = olmo2
    self.layers = layers
    self.width = width
    self.heads = heads
    self.context = context
    self.inputs = inputs
    self.labels = labels
    self.tied = tied
    self.overEncoding = overEncoding
    try validate()
  }

  /// Reads the keys `architecture`, `layers`, `width`, `heads`, `context`, `inputs` (a list of
  /// {order, rows}), `labels` and `tied`, those of `OLMo2Settings` where the architecture has them
  /// and, for an over-encoded input, `overEncoding`. The caller finishes `reader`.
  package init(reader: inout ConfigReader) throws {
    switch try reader.choice("architecture", Architecture.self) {
    case .gpt2: olmo2 = nil
    case .olmo2: olmo2 = try OLMo2Settings(reader: &reader)
    }
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
    if var object = try reader.optionalObject("overEncoding") {
      overEncoding = try OverEncoding(
        reader: &object, vocabulary: inputs.first?.rows ?? 0, width: width)
      try object.finish()
    }
    try validate()
  }

  package var architecture: Architecture { olmo2 == nil ? .gpt2 : .olmo2 }

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
    try olmo2?.validate(headWidth: width / heads)
    if inputs.isEmpty || inputs.contains(where: { $0.order < 1 || $0.rows < 1 }) {
      throw UserError(
        "model inputs", expected: "one or more tables with order and rows of at least 1",
        found: "\(inputs.map { "order \($0.order), rows \($0.rows)" })")
    }
    if Set(inputs.map(\.order)).count != inputs.count {
      throw UserError(
        "model inputs", expected: "distinct orders", found: "\(inputs.map(\.order))")
    }
    if let overEncoding {
      let layout = overEncoding.layout
      guard inputs.count == 1, inputs[0].order == 1, inputs[0].rows == layout.vocabulary,
        layout.width == width
      else {
        throw UserError(
          "over-encoded model",
          expected: "one input table of order 1 with \(layout.vocabulary) rows of \(layout.width)",
          found: inputs.map { "order \($0.order) with \($0.rows) rows of \(width)" }
            .joined(separator: ", "),
          remedy: "Map the tokens without other input orders.")
      }
    }
    if tied && (inputs.count != 1 || inputs[0].order != 1 || inputs[0].rows != labels) {
      throw UserError(
        "tied head", expected: "a single input table of order 1 with \(labels) rows",
        found: inputs.map { "order \($0.order) with \($0.rows) rows" }.joined(separator: ", "),
        remedy: "Set tied to false.")
    }
  }

  // MARK: - Costs in closed form

  /// Columns of the feed-forward layer, F: 4C in a GPT-2.
  package var hiddenWidth: Int { olmo2?.hiddenWidth(of: width) ?? 4 * width }

  /// Weights of one block's matrices: attention 4C² and two of (C, F) in a GPT-2, three in an OLMo 2.
  private var blockWeights: Int {
    4 * width * width + (olmo2 == nil ? 2 : 3) * width * hiddenWidth
  }

  /// Gains and biases of one block: in a GPT-2 biases 4C + F + C and two norms 4C, in an OLMo 2 four
  /// gains.
  private var blockVectors: Int { olmo2 == nil ? 9 * width + hiddenWidth : 4 * width }

  /// Rows of all input tables in use.
  package var inputRows: Int {
    hasInputTables || tied ? inputs.reduce(0) { $0 + $1.rows } : 0
  }

  /// Whether `inputs` are terms of the embedding.
  var hasInputTables: Bool { overEncoding?.token ?? true }

  /// Columns of a lane's inputs: one for each input table, then one for each table of over-encoding.
  package var inputColumns: Int { inputs.count + (overEncoding?.layout.embedders.count ?? 0) }

  /// (ΣM + [not tied] V)·C + L·(block) + the last norm, T·C learned positions in a GPT-2, and tables
  /// and projections of over-encoding. A block is 12C² + 13C in a GPT-2, 4C² + 3CF + 4C in an OLMo 2.
  package var parameterCount: Int {
    let rows = inputRows + (tied ? 0 : labels) + (olmo2 == nil ? context : 0)
    let lastNorm = olmo2 == nil ? 2 * width : width
    return rows * width + layers * (blockWeights + blockVectors) + lastNorm
      + (overEncoding?.parameterCount ?? 0)
  }

  /// Multiply-adds counted as two: forward FLOPs of one position in a sentence of `length`
  /// positions, averaged over the sentence: matrix products 2·(L·(4C² + 2CF or 3CF) + CV), the
  /// projections of over-encoding, 2·C·Σ widths, and attention 4·L·C·(length + 1)/2. Norms,
  /// activations, rotations, softmax and lookups are left out.
  package func forwardFLOPs(perTokenAt length: Int) -> Double {
    let weights = layers * blockWeights + width * (labels + (overEncoding?.columns ?? 0))
    let products = 2 * Double(weights)
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
