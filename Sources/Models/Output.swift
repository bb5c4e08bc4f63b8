import Engine
import Support

/// An end of a model: a head on the trunk's rows (N, C), with losses of its own. A new kind is a file
/// with a conformance and its line in `Registry.outputs`.
package protocol Output: Sendable, Equatable {
  /// Whether the head is the table of tokens.
  var isTied: Bool { get }
  /// Columns of a lane's labels that are for this output.
  var labelColumns: Int { get }

  /// Reads the output's keys.
  ///
  /// - Returns: nil where the configuration has none of the keys.
  static func read(_ reader: inout ConfigReader) throws -> Self?

  /// - Parameter tables: those of the map set.
  /// - Throws: `UserError` when this is no output of a model with this input.
  func validate(tables: [InputTable]) throws

  // MARK: Closed forms

  /// Parameters of a head on rows of `width` columns; not those of a tied table.
  func parameterCount(width: Int) -> Int
  /// Forward FLOPs of one position in products, a multiply-add counted as two.
  func productFLOPs(width: Int) -> Double
  /// Floats of a position that the backward pass reads; not the trunk's row, which the trunk counts.
  var savedColumns: Int { get }

  // MARK: Trace

  /// Traces the head and adds its losses.
  ///
  /// - Parameters:
  ///   - x: rows of the trunk (N, C).
  ///   - tokens: the table of tokens, where the model has one.
  ///   - deviation: standard deviation at the start of a head that is not tied.
  ///   - labelColumn: the first of its `labelColumns`.
  func callAsFunction(
    _ x: Tensor, tokens: Parameter?, deviation: Double, labelColumn: Int,
    in g: inout GraphBuilder
  )
}
