import Engine
import Support

/// An end of a model: a head on the trunk's rows (N, C), with losses of its own. A new kind is a file
/// with a conformance and its line in `Registry.outputs`.
package protocol Output: Sendable, Equatable {
  /// Whether the head is the table of tokens.
  var isTied: Bool { get }
  /// For each column of a lane's labels that is for this output, how many tokens ahead they are.
  var labelsAhead: [Int] { get }

  /// Reads the output's keys.
  ///
  /// - Returns: nil where the configuration has none of the keys.
  static func read(_ reader: inout ConfigReader) throws -> Self?

  /// - Parameter tables: those of the map set.
  /// - Throws: `UserError` when this is no output of a model with this input and trunk.
  func validate(tables: [InputTable], trunk: any Trunk) throws

  // MARK: Closed forms

  /// Parameters of a head on the rows of `trunk`; not those of a tied table.
  func parameterCount(on trunk: any Trunk) -> Int
  /// Those of them that a row does not meet: experts of blocks like the trunk's.
  func idleParameterCount(on trunk: any Trunk) -> Int
  /// Forward FLOPs of one position in products with weights, a multiply-add counted as two.
  func productFLOPs(on trunk: any Trunk) -> Double
  /// Those of attention, averaged over the positions of a sentence of `length`.
  func attentionFLOPs(on trunk: any Trunk, perTokenAt length: Int) -> Double
  /// Floats of a position that the backward pass reads at a time; not the trunk's rows, which the trunk
  /// counts.
  func savedColumns(on trunk: any Trunk) -> Int

  // MARK: Trace

  /// Traces the head and adds its losses.
  ///
  /// - Parameters:
  ///   - rows: of the model so far.
  ///   - labelColumn: the first of its columns of labels.
  func callAsFunction(_ rows: ModelRows, labelColumn: Int, in g: inout GraphBuilder)
}

extension Output {
  package func idleParameterCount(on trunk: any Trunk) -> Int { 0 }

  package func attentionFLOPs(on trunk: any Trunk, perTokenAt length: Int) -> Double { 0 }
}

/// What outputs read of a model that is traced, (N, C) each.
package struct ModelRows {
  package let trunk: any Trunk
  /// The head that every model has.
  package let next: NextToken
  /// The trunk's input, learned positions included.
  package let embedding: Tensor
  /// The trunk's rows before and after its last norm.
  package let hidden: Tensor
  package let normed: Tensor

  package init(
    trunk: any Trunk, next: NextToken, embedding: Tensor, hidden: Tensor, normed: Tensor
  ) {
    (self.trunk, self.next, self.embedding) = (trunk, next, embedding)
    (self.hidden, self.normed) = (hidden, normed)
  }
}
