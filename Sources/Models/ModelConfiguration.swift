import Support

/// A model: input × trunk × outputs. Everything that decides its parameters.
///
/// Each part is a file that owns its keys, validation, closed forms and trace; here they are put
/// together.
package struct ModelConfiguration: Sendable {
  package let input: any Input
  package let trunk: any Trunk
  /// A `NextToken`, then others.
  package let outputs: [any Output]
  /// The first output, by which models are scored and generate.
  let next: NextToken

  /// - Parameter outputs: the first is a `NextToken`.
  /// - Throws: `UserError` when the parts do not make a model.
  package init(input: any Input, trunk: any Trunk, outputs: [any Output]) throws {
    guard let next = outputs.first as? NextToken else {
      preconditionFailure("a model predicts the next token before all else")
    }
    self.input = input
    self.trunk = trunk
    self.outputs = outputs
    self.next = next
    try validate()
  }

  private init(scoring model: ModelConfiguration) {
    (input, trunk, outputs, next) = (model.input, model.trunk, [model.next], model.next)
  }

  private init(_ input: any Input, _ model: ModelConfiguration) {
    (self.input, trunk, outputs, next) = (input, model.trunk, [model.next], model.next)
  }

  /// The scored model with another input, which goes with its parts.
  func with(_ input: any Input) -> ModelConfiguration { ModelConfiguration(input, self) }

  /// A model that predicts the next of V labels.
  package init(
    input: any Input, trunk: any Trunk, labels: Int, tied: Bool = false
  ) throws {
    try self.init(
      input: input, trunk: trunk, outputs: [NextToken(labels: labels, isTied: tied)])
  }

  /// Reads `architecture`, the keys of `TrunkSize` and of the trunk's own settings, `inputs` (a list of
  /// {order, rows}), and the keys of the inputs and outputs that it has. The caller finishes `reader`.
  package init(reader: inout ConfigReader) throws {
    let architecture = try reader.choice("architecture", Architecture.self)
    let size = try TrunkSize(reader: &reader)
    let trunk = try architecture.trunk.init(size, reader: &reader)
    let tables = try reader.objects("inputs").map { table in
      var table = table
      let result = try InputTable(reader: &table)
      try table.finish()
      return result
    }
    let outputs = try Registry.outputs.compactMap { try $0.read(&reader) as (any Output)? }
    for type in Registry.inputs {
      if let input = try type.read(&reader, tables: tables, trunk: trunk) as (any Input)? {
        do {
          try self.init(input: input, trunk: trunk, outputs: outputs)
        } catch let error as UserError {
          throw UserError(
            "\(reader.source): \(error.what)", expected: error.expected, found: error.found,
            remedy: error.remedy)
        }
        return
      }
    }
    preconditionFailure("the last input needs no keys")
  }

  /// - Throws: `UserError` when the parts do not make a model.
  private func validate() throws {
    try trunk.validate()
    try input.validate(width: width)
    for output in outputs { try output.validate(tables: input.tables, trunk: trunk) }
    let further = outputs.compactMap { ($0 as? any FurtherHeads).map { type(of: $0).key } }
    if further.count > 1 {
      throw UserError(
        "model outputs", expected: "further heads of one kind",
        found: further.joined(separator: " and "), remedy: "Keep the one you mean.")
    }
  }

  // MARK: - Sizes

  /// L.
  package var layers: Int { trunk.size.layers }
  /// C.
  package var width: Int { trunk.size.width }
  /// H.
  package var heads: Int { trunk.size.heads }
  /// Positions of the longest sentence.
  package var context: Int { trunk.size.context }
  /// Output classes, V.
  package var labels: Int { next.labels }
  /// The tables of the map set.
  package var inputs: [InputTable] { input.tables }
  /// Columns of a lane's inputs.
  package var inputColumns: Int { input.columnRows.count }
  /// For each column of a lane's labels when training, how many tokens ahead they are.
  package var labelsAhead: [Int] { outputs.flatMap(\.labelsAhead) }
  /// Columns of a lane's labels when training.
  package var labelColumns: Int { labelsAhead.count }
  /// The heads that predict tokens further ahead than the next.
  package var furtherHeads: (any FurtherHeads)? {
    outputs.lazy.compactMap { $0 as? any FurtherHeads }.first
  }
  /// What scoring and plain generation run: the model without further heads.
  package var scored: ModelConfiguration { ModelConfiguration(scoring: self) }

  /// Those of `inputs` that the embedding or a tied head among `outputs` uses: all or none.
  func tables(for outputs: [any Output]) -> [InputTable] {
    input.readsTables || outputs.contains(where: \.isTied) ? input.tables : []
  }

  // MARK: - Closed forms

  /// ΣM·C over the input tables in use, and what input, trunk and outputs have of their own.
  package var parameterCount: Int {
    tables(for: outputs).reduce(0) { $0 + $1.rows } * width + input.parameterCount(width: width)
      + trunk.parameterCount + outputs.reduce(0) { $0 + $1.parameterCount(on: trunk) }
  }

  /// Those that a row meets: fewer where the trunk routes it to some experts of many. Tables count whole.
  package var activeParameterCount: Int {
    parameterCount - trunk.parameterCount + trunk.activeParameterCount
      - input.idleParameterCount - outputs.reduce(0) { $0 + $1.idleParameterCount(on: trunk) }
  }

  /// Parameters in tables of the input, of which a step touches the rows of its batch only.
  package var tableParameterCount: Int { input.tableParameterCount }

  /// All others.
  package var denseParameterCount: Int { parameterCount - tableParameterCount }

  /// Forward FLOPs of one position in products with weights, a multiply-add counted as two.
  package var productFLOPs: Double {
    input.productFLOPs(width: width) + trunk.productFLOPs
      + outputs.reduce(0) { $0 + $1.productFLOPs(on: trunk) }
  }

  /// Forward FLOPs of one position in a sentence of `length` positions, averaged over the sentence:
  /// products and attention. Norms, activations, rotations, softmax and lookups are left out.
  ///
  /// - Parameter fGramRows: rows of distinct f-grams for each position; nil: as usual.
  package func forwardFLOPs(perTokenAt length: Int, fGramRows: Double? = nil) -> Double {
    productFLOPs + trunk.attentionFLOPs(perTokenAt: length)
      + outputs.reduce(0) { $0 + $1.attentionFLOPs(on: trunk, perTokenAt: length) }
      + (fGramRows ?? input.usualFGramRows) * input.fGramRowFLOPs
  }

  /// Training FLOPs of one position: three forward passes.
  package func trainingFLOPs(perTokenAt length: Int, fGramRows: Double? = nil) -> Double {
    3 * forwardFLOPs(perTokenAt: length, fGramRows: fGramRows)
  }

  /// Bytes that the backward pass of a position reads; of heads that run one after another those of one.
  package var activationBytes: Int { activationBytes(fGramRows: input.usualFGramRows) }

  /// The same with so many rows of distinct f-grams for each position, rounded up to whole floats.
  package func activationBytes(fGramRows: Double) -> Int {
    4
      * (input.savedColumns + trunk.savedColumns + trunk.lossColumns
        + outputs.reduce(0) { $0 + $1.savedColumns(on: trunk) }
        + Int((fGramRows * Double(input.fGramSavedColumns)).rounded(.up)))
  }

  /// Bytes of keys and values that generation keeps of a position.
  package var cacheBytes: Int { 4 * trunk.cacheColumns }
}

extension ModelConfiguration: Equatable {
  package static func == (a: Self, b: Self) -> Bool {
    isEqual(a.input, b.input) && isEqual(a.trunk, b.trunk)
      && a.outputs.count == b.outputs.count && zip(a.outputs, b.outputs).allSatisfy(isEqual)
  }
}

/// Whether both are of one type and equal.
func isEqual(_ a: any Equatable, _ b: any Equatable) -> Bool {
  func compare<T: Equatable>(_ a: T) -> Bool { (b as? T) == a }
  return compare(a)
}
