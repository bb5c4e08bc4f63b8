import Engine
import NGrams
import Support

/// The input of a trained model with f-grams whose rows are looked up, as `FGramEngine` made them:
///
///     X[n] = F[f-gram n]   where an f-gram ends there, else T[x_n]
///
/// with the bits of `FGrams` on the same rows, and of `OverEncodedFGrams` where tables are beside it. It neither
/// learns nor stands in a configuration.
///
/// Source: SCONE, Algorithm 1, at inference.
package struct StoredFGrams: Input {
  /// V.
  package let vocabulary: Int
  /// S, rows of F.
  package let rows: Int
  /// Tables of n-grams beside it.
  package let overEncoding: OverEncoding?

  /// The table of the store that F is.
  static let table = "fgrams.rows"

  package static func read(
    _ reader: inout ConfigReader, tables: [InputTable], trunk: any Trunk
  ) -> StoredFGrams? { nil }

  package func validate(width: Int) {}

  package var tables: [InputTable] { [InputTable(order: 1, rows: vocabulary)] }
  package var readsTables: Bool { true }
  /// The token, 1 + the row of its f-gram, or 0 where there is none, and the row in each table beside it.
  package var columnRows: [Int] {
    [vocabulary, rows + 1] + (overEncoding?.columnRows.dropFirst() ?? [])
  }

  package func parameterCount(width: Int) -> Int {
    rows * width + (overEncoding?.parameterCount(width: width) ?? 0)
  }

  package func callAsFunction(
    tables declared: [Parameter], positions: Parameter?, width: Int, named name: String,
    in g: inout GraphBuilder
  ) -> Tensor {
    precondition(g.mode != .training, "rows of a store do not learn")
    let table = g.table(Self.table, rows: rows, width: width, deviation: 0)
    let base = g.storedRows(
      of: table, orElse: declared[0], positions: overEncoding == nil ? positions : nil)
    return overEncoding?.terms(
      tokens: nil, base: base, positions: positions, width: width, named: name, in: &g) ?? base
  }
}

extension ModelConfiguration {
  /// What scores and generates with the rows of so many f-grams in place of their model.
  ///
  /// - Precondition: the model has f-grams, and a table has so many rows.
  package func stored(rows: Int) -> ModelConfiguration {
    guard let fGrams, rows >= 1, rows < Int(Int32.max) else {
      preconditionFailure("\(rows) rows of f-grams")
    }
    return with(
      StoredFGrams(vocabulary: fGrams.vocabulary, rows: rows, overEncoding: overEncoding))
  }

  /// Weights of a model that `stored(rows:)` made, all zeros; its rows are the first table.
  package func makeStoredParameters() -> ParameterStore {
    ParameterStore(layout: plan(.scoring, rows: 1).layout, moments: false)
  }

  /// Leaves in `store`, of what `stored(rows:)` made, the weights that it shares with this model.
  ///
  /// - Parameter parameters: weights of this configuration.
  package func share(_ parameters: ParameterStore, with store: ParameterStore) {
    for slot in store.layout.slots {
      guard let source = parameters.layout.slot(named: slot.name) else {
        preconditionFailure("no parameter \(slot.name) in the store")
      }
      parameters.withFloats(source, of: .weights) { values in
        store.withMutableFloats(slot, of: .weights) { _ = $0.update(fromContentsOf: values) }
      }
    }
    for (own, source) in zip(store.tables.dropFirst(), parameters.tables) {
      _ = own.weights.update(fromContentsOf: source.weights)
    }
  }

  /// Leaves in `store` the weights that a stored model shares with this one, and the rows of `fGrams` in
  /// their order.
  ///
  /// - Parameters:
  ///   - store: of `stored(rows:)` with as many rows or more.
  ///   - parameters: weights of this configuration.
  package func fill(
    _ store: ParameterStore, from parameters: ParameterStore, fGrams: [[Int32]], threads: Int
  ) {
    share(parameters, with: store)
    let engine = FGramEngine(
      self, parameters: parameters, capacity: Self.fGramsAtATime, threads: threads)
    let part = engine.capacity * max(threads, 1)
    let target = store.tables[0].weights
    for first in stride(from: 0, to: fGrams.count, by: part) {
      let rows = engine.rows(of: Array(fGrams[first..<min(first + part, fGrams.count)]))
      _ = target[(first * width)...].update(fromContentsOf: rows)
    }
  }

  /// That a worker runs together.
  private static let fGramsAtATime = 256
}
