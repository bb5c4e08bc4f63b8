import Engine
import Models
import NGrams
import Stores

/// Where continuation takes the rows of f-grams from.
package protocol FGramRows: AnyObject {
  var set: FGramSet { get }

  /// Copies the rows of these f-grams: (ids, C). A negative id leaves its row as it is.
  func gather(_ ids: Span<Int>, into output: inout MutableSpan<Float>)
}

/// Rows that a store has, in memory or on a disk: those of a step are asked for together.
package final class StoredFGramRows: FGramRows {
  private let store: FGramStore
  package var set: FGramSet { store.set }

  package init(_ store: FGramStore) { self.store = store }

  package func gather(_ ids: Span<Int>, into output: inout MutableSpan<Float>) {
    store.gather(ids, into: &output)
  }
}

/// Rows that the f-gram model makes each time they are asked for.
package final class ComputedFGramRows: FGramRows {
  package let set: FGramSet
  private let engine: FGramEngine

  /// - Parameters:
  ///   - model: with its weights loaded.
  ///   - capacity: f-grams that run together.
  package init(_ model: EngineModel, set: FGramSet, capacity: Int, threads: Int = 1) {
    self.set = set
    engine = model.fGramEngine(capacity: max(1, capacity), threads: threads)
  }

  package func gather(_ ids: Span<Int>, into output: inout MutableSpan<Float>) {
    let wanted = (0..<ids.count).filter { ids[$0] >= 0 }
    let rows = engine.rows(
      of: wanted.map { set.tokens(of: ids[$0]).map { Int32(bitPattern: $0) } })
    let width = engine.columns
    for (number, place) in wanted.enumerated() {
      for c in 0..<width { output[place * width + c] = rows[number * width + c] }
    }
  }
}

/// Continues sequences of a model with f-grams whose rows are given.
///
/// Each step follows the longest f-gram of every live sequence by its last token, asks for the rows of all of
/// them together, and feeds the positions. With numbers in single precision the log-probabilities have the bits
/// that the f-gram model's own rows give, whichever sequences live side by side.
///
/// Source: SCONE, Algorithm 1 and figure 1, at inference.
package final class FGramContinuation {
  private let rows: any FGramRows
  private let engine: DecodingEngine
  private let parameters: ParameterStore
  private let width: Int
  /// Of the tables beside the f-grams, where there are any.
  private let mapper: OverEncodingMapper?
  /// Of each live sequence.
  private var sequences: [(match: LongestMatch, tables: OverEncodingHistory?)] = []
  private var ids: [Int]
  private var inputs: [Int32] = []

  /// - Parameters:
  ///   - model: with its weights loaded.
  ///   - capacity: sequences that live at a time at most.
  package init(_ model: EngineModel, rows: any FGramRows, sequences capacity: Int) {
    self.rows = rows
    let stored = model.withStoredRows(capacity)
    (parameters, width) = (stored.parameters, model.configuration.width)
    mapper = model.configuration.overEncoding.map { OverEncodingMapper($0.layout) }
    // Nothing is remembered between sequences: a step's rows stand in the places of others' rows.
    engine = DecodingEngine(
      stored.configuration, parameters: parameters, capacity: capacity, beginnings: 0)
    ids = [Int](repeating: -1, count: capacity)
  }

  /// Live sequences.
  package var live: Int { engine.live }

  /// Forgets all sequences and begins so many new ones.
  package func restart(sequences count: Int) {
    engine.reset(sequences: 0)
    sequences.removeAll(keepingCapacity: true)
    begin(sequences: count)
  }

  /// Begins so many more behind the live ones.
  package func begin(sequences count: Int) {
    engine.begin(sequences: count)
    for _ in 0..<count {
      sequences.append((LongestMatch(rows.set), mapper.map(OverEncodingHistory.init)))
    }
  }

  /// Keeps the live sequences n for which `isLive(n)` holds; the others end.
  package func retain(_ isLive: (_ sequence: Int) -> Bool) {
    sequences = sequences.indices.filter(isLive).map { sequences[$0] }
    engine.retain(isLive)
  }

  /// Feeds a token to each live sequence and lends the log-probabilities (live, V) of the next one, in nats.
  package func advance(
    _ tokens: [UInt32], _ body: (UnsafeBufferPointer<Float>) throws -> Void
  ) rethrows {
    precondition(tokens.count == live, "\(tokens.count) tokens for \(live) sequences")
    inputs.removeAll(keepingCapacity: true)
    let tables = mapper?.layout.embedders.count ?? 0
    for (n, token) in tokens.enumerated() {
      let length = sequences[n].match.push(token)
      sequences[n].tables?.push(token)
      ids[n] = length > 1 ? sequences[n].match.id(ofLength: length) : -1
      inputs.append(Int32(bitPattern: token))
      inputs.append(length > 1 ? Int32(n + 1) : 0)
      for e in 0..<tables {
        inputs.append(Int32(bitPattern: sequences[n].tables?.row(of: e) ?? 0))
      }
    }
    var target = UnsafeMutableBufferPointer(
      rebasing: parameters.tables[0].weights[..<(tokens.count * width)]
    ).mutableSpan
    rows.gather(ids.span.extracting(..<tokens.count), into: &target)
    try engine.step(inputs: inputs, tables: 2 + tables, body)
  }
}
