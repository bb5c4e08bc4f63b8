import Engine
import Models
import NGrams
import Stores

/// Continues sequences of a model with f-grams whose rows come from a store, without its f-gram model.
///
/// Each step follows the longest f-gram of every live sequence by its last token, asks the store for the rows of
/// all of them together, and feeds the positions. With numbers in single precision the log-probabilities have
/// the bits that the f-gram model's own rows give, whichever sequences live side by side.
///
/// Source: SCONE, Algorithm 1 and figure 1, at inference.
package final class StoredContinuation {
  private let store: FGramStore
  private let engine: DecodingEngine
  private let parameters: ParameterStore
  /// Of each live sequence.
  private var matches: [LongestMatch] = []
  private var ids: [Int]
  private var inputs: [Int32] = []

  /// - Parameters:
  ///   - model: with its weights loaded.
  ///   - sequences: that live at a time at most.
  package init(_ model: EngineModel, store: FGramStore, sequences: Int) {
    self.store = store
    let stored = model.withStoredRows(sequences)
    parameters = stored.parameters
    // Nothing is remembered between sequences: a step's rows stand in the places of others' rows.
    engine = DecodingEngine(
      stored.configuration, parameters: parameters, capacity: sequences, beginnings: 0)
    ids = [Int](repeating: -1, count: sequences)
  }

  /// Live sequences.
  package var live: Int { engine.live }

  /// Forgets all sequences and begins `sequences` new ones.
  package func restart(sequences: Int) {
    engine.reset(sequences: 0)
    matches.removeAll(keepingCapacity: true)
    begin(sequences: sequences)
  }

  /// Begins `sequences` more behind the live ones.
  package func begin(sequences: Int) {
    engine.begin(sequences: sequences)
    for _ in 0..<sequences { matches.append(LongestMatch(store.set)) }
  }

  /// Keeps the live sequences n for which `isLive(n)` holds; the others end.
  package func retain(_ isLive: (_ sequence: Int) -> Bool) {
    matches = matches.indices.filter(isLive).map { matches[$0] }
    engine.retain(isLive)
  }

  /// Feeds a token to each live sequence and lends the log-probabilities (live, V) of the next one, in nats.
  package func advance<R>(
    _ tokens: [UInt32], _ body: (UnsafeBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    precondition(tokens.count == live, "\(tokens.count) tokens for \(live) sequences")
    inputs.removeAll(keepingCapacity: true)
    for n in tokens.indices {
      let length = matches[n].push(tokens[n])
      ids[n] = length > 1 ? matches[n].id(ofLength: length) : -1
      inputs.append(Int32(bitPattern: tokens[n]))
      inputs.append(length > 1 ? Int32(n + 1) : 0)
    }
    let width = store.description.width
    var target = UnsafeMutableBufferPointer(
      rebasing: parameters.tables[0].weights[..<(tokens.count * width)]
    ).mutableSpan
    store.gather(ids.span.extracting(..<tokens.count), into: &target)
    return try engine.step(inputs: inputs, tables: 2, body)
  }
}
