import Engine
import NGrams
import Support

/// The input of a trained model with f-grams whose rows are looked up, as `FGramEngine` made them:
///
///     X[n] = F[f-gram n]   where an f-gram ends there, else T[x_n]
///
/// with the bits of `FGrams` on the same rows. It neither learns nor stands in a configuration.
///
/// Source: SCONE, Algorithm 1, at inference.
package struct StoredFGrams: Input {
  /// V.
  package let vocabulary: Int
  /// S, rows of F.
  package let rows: Int

  /// The table of the store that F is.
  static let table = "fgrams.rows"

  package static func read(
    _ reader: inout ConfigReader, tables: [InputTable], trunk: any Trunk
  ) -> StoredFGrams? { nil }

  package func validate(width: Int) throws {
    guard (1...Int(Int32.max) - 1).contains(rows) else {
      throw UserError(
        "rows of f-grams", expected: "1 to \(Int32.max - 1)", found: "\(rows)")
    }
  }

  package var tables: [InputTable] { [InputTable(order: 1, rows: vocabulary)] }
  package var readsTables: Bool { true }
  /// The token, and 1 + the row of its f-gram, or 0 where there is none.
  package var columnRows: [Int] { [vocabulary, rows + 1] }

  package func parameterCount(width: Int) -> Int { rows * width }
  package var tableParameterCount: Int { 0 }
  package func productFLOPs(width: Int) -> Double { 0 }
  package var savedColumns: Int { 0 }

  package func callAsFunction(
    tables declared: [Parameter], positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor {
    precondition(g.mode != .training, "rows of a store do not learn")
    let table = g.table(Self.table, rows: rows, width: width, deviation: 0)
    return g.storedRows(of: table, orElse: declared[0], positions: positions)
  }
}

extension ModelConfiguration {
  /// What scores and generates with the rows of so many f-grams in place of their model.
  ///
  /// - Precondition: the model has f-grams.
  /// - Throws: `UserError` for a number of rows that no table has.
  package func stored(rows: Int) throws -> ModelConfiguration {
    guard let fGrams else { preconditionFailure("a store of a model without f-grams") }
    return try ModelConfiguration(
      input: StoredFGrams(vocabulary: fGrams.vocabulary, rows: rows), trunk: trunk,
      outputs: [next])
  }

  /// The weights of `stored(rows:)`: those of this model, and the rows of all `fGrams` in their order.
  ///
  /// - Parameter parameters: weights of this configuration.
  package func storedParameters(
    _ parameters: ParameterStore, fGrams: [[Int32]], threads: Int
  ) throws -> ParameterStore {
    let model = try stored(rows: fGrams.count)
    let result = ParameterStore(layout: model.plan(.scoring, rows: 1).layout, moments: false)
    for slot in result.layout.slots {
      guard let source = parameters.layout.slot(named: slot.name) else {
        preconditionFailure("no parameter \(slot.name) in the store")
      }
      let values = parameters.values(source)
      result.withMutableFloats(slot, of: .weights) { _ = $0.update(from: values) }
    }
    let engine = FGramEngine(
      self, parameters: parameters, capacity: Self.fGramsAtATime, threads: threads)
    let part = engine.capacity * max(threads, 1)
    for first in stride(from: 0, to: fGrams.count, by: part) {
      let rows = engine.rows(of: Array(fGrams[first..<min(first + part, fGrams.count)]))
      let target = result.tables[0].weights
      for (i, value) in rows.enumerated() { target[first * width + i] = value }
    }
    return result
  }

  /// That a worker runs together.
  private static let fGramsAtATime = 256
}
