import Engine
import NGrams
import Support

/// The beginning of a model: from a position's row ids to its embedding (N, C). A new kind is a file
/// with a conformance and its line in `Registry.inputs`.
package protocol Input: Sendable, Equatable {
  /// The tables of the map set, one for each of the first columns of a lane's inputs.
  var tables: [InputTable] { get }
  /// Whether `tables` are terms of the embedding. If not, only a tied head makes a model have them.
  var readsTables: Bool { get }
  /// Rows to choose from in every column of a lane's inputs: `tables`, then tables of the input's own.
  var columnRows: [Int] { get }
  /// What those columns are of a map set of text. Where they are lengths of f-grams, lanes bring the rows of
  /// the distinct ones of their own: `PackedLane(longestMatch:)`.
  var textColumns: TextColumns { get }

  /// Reads the input's keys.
  ///
  /// - Parameter tables: those of the map set.
  /// - Returns: nil where the configuration has none of the keys.
  static func read(
    _ reader: inout ConfigReader, tables: [InputTable], trunk: any Trunk
  ) throws -> Self?

  /// - Throws: `UserError` when this is no input of a trunk of `width` columns.
  func validate(width: Int) throws

  // MARK: Closed forms, beyond those of `tables`

  func parameterCount(width: Int) -> Int
  /// Those of them that a row does not meet: experts of blocks of its own.
  var idleParameterCount: Int { get }
  /// Those of `parameterCount(width:)` that lie in tables outside of the flat arrays, of which a step
  /// touches the rows of its batch only.
  var tableParameterCount: Int { get }
  /// Forward FLOPs of one position in products, a multiply-add counted as two.
  func productFLOPs(width: Int) -> Double
  /// Floats of a position that the backward pass reads; not the embedding itself, which the trunk
  /// counts.
  var savedColumns: Int { get }

  // MARK: Closed forms of rows that lanes bring of f-grams; 0 for inputs without

  /// Such rows of a position where nobody has counted them.
  var usualFGramRows: Double { get }
  /// Forward FLOPs of such a row in products with weights and attention.
  var fGramRowFLOPs: Double { get }
  /// Floats of such a row that the backward pass reads.
  var fGramSavedColumns: Int { get }

  // MARK: Trace

  /// Traces the embedding (N, `width`).
  ///
  /// - Parameters:
  ///   - declared: the declared ones of `tables`.
  ///   - positions: learned positions to be added, where the trunk has them.
  ///   - name: prefix of the names of the input's own parameters.
  func callAsFunction(
    tables declared: [Parameter], positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor
}

extension Input {
  package var textColumns: TextColumns { .tokens }
  package var idleParameterCount: Int { 0 }
  package var tableParameterCount: Int { 0 }
  package func productFLOPs(width: Int) -> Double { 0 }
  package var savedColumns: Int { 0 }
  package var usualFGramRows: Double { 0 }
  package var fGramRowFLOPs: Double { 0 }
  package var fGramSavedColumns: Int { 0 }
}

/// One table of the input embedding.
package struct InputTable: Sendable, Equatable {
  /// Symbols that a row id stands for: 1 for plain tokens.
  package var order: Int
  package var rows: Int

  package init(order: Int, rows: Int) {
    self.order = order
    self.rows = rows
  }

  /// Reads the keys `order` and `rows`.
  init(reader: inout ConfigReader) throws {
    order = try reader.int("order", in: 1...64)
    rows = try reader.int("rows", in: 1...Int(Int32.max))
  }
}
