import Checkpoints
import Engine
import Models
import Support

/// A trained model as evaluation sees it: weights that are replaced from snapshot to snapshot, and
/// sessions whose plans and buffers are made once.
// Unchecked: weights are written by `load` only, which is not called while sessions run.
package final class EngineModel: SnapshotModel, @unchecked Sendable {
  package let configuration: ModelConfiguration
  private let parameters: ParameterStore
  /// What continues sequences where rows of f-grams are looked up.
  private let stored: Stored?

  /// A model whose rows of f-grams follow from the weights.
  private struct Stored {
    let configuration: ModelConfiguration
    let parameters: ParameterStore
    let fGrams: [[Int32]]
    let threads: Int
  }

  package var labels: Int { configuration.labels }
  package var tables: Int { configuration.inputs.count }
  package var context: Int { configuration.context }

  /// All weights zero until `load`.
  package init(_ configuration: ModelConfiguration) {
    self.configuration = configuration
    parameters = configuration.makeParameters(moments: false)
    stored = nil
  }

  /// A model that continues sequences.
  ///
  /// - Parameters:
  ///   - fGrams: all those that sequences have, where the model reads f-grams: the id of one is 1 + its
  ///     place.
  ///   - threads: workers for their rows; they change no bit.
  package init(_ configuration: ModelConfiguration, fGrams: [[Int32]], threads: Int) {
    self.configuration = configuration
    parameters = configuration.makeParameters(moments: false)
    stored = configuration.fGrams.map { _ in
      let stored = configuration.stored(rows: max(1, fGrams.count))
      return Stored(
        configuration: stored, parameters: stored.makeStoredParameters(), fGrams: fGrams,
        threads: threads)
    }
  }

  /// Takes the weights of a safetensors file.
  /// - Throws: `UserError` for a file of another model.
  package func load(_ path: String) throws {
    try ParameterFile.read(into: parameters, arrays: [.weights], from: path)
    if let stored {
      configuration.fill(
        stored.parameters, from: parameters, fGrams: stored.fGrams, threads: stored.threads)
    }
  }

  /// An engine that scores lanes of at most `rows` rows with the weights that are loaded when it runs.
  package func scoringEngine(rows: Int, threads: Int) -> ScoringEngine {
    ScoringEngine(
      configuration, parameters: parameters, laneCapacity: max(1, rows), threads: threads)
  }

  /// An engine that makes rows of f-grams with the weights that are loaded when it runs.
  package func fGramEngine(capacity: Int, threads: Int) -> FGramEngine {
    FGramEngine(configuration, parameters: parameters, capacity: capacity, threads: threads)
  }

  /// A model with so many stored rows, and its weights: those that are loaded here, rows of zeros.
  func withStoredRows(
    _ rows: Int
  ) -> (configuration: ModelConfiguration, parameters: ParameterStore) {
    let stored = configuration.stored(rows: rows)
    let store = stored.makeStoredParameters()
    configuration.share(parameters, with: store)
    return (stored, store)
  }

  /// An engine that scores continuations with the weights that are loaded when it runs.
  package func continuationEngine() -> ContinuationEngine {
    ContinuationEngine(
      stored?.configuration ?? configuration, parameters: stored?.parameters ?? parameters)
  }

  /// Takes the weights of another store of this configuration, without tables.
  package func copy(_ other: ParameterStore) {
    precondition(
      other.layout.slots == parameters.layout.slots && parameters.tables.isEmpty,
      "weights of another model")
    for slot in parameters.layout.slots {
      let values = other.values(slot)
      parameters.withMutableFloats(slot, of: .weights) { _ = $0.update(from: values) }
    }
  }

  /// Draws the weights anew from the streams of `seed`.
  package func initialize(seed: UInt64) { parameters.initialize(seed: seed) }

  /// Remembered rows for each sequence that is generated side by side.
  private static let beginningsPerSequence = 4

  /// A worker's own state for generation in which the first `drafts` further heads propose tokens.
  package func makeDraftingSession(sequences: Int, drafts: Int) -> any DraftingSession {
    EngineDraftingSession(
      DraftingEngine(
        configuration, parameters: parameters, capacity: max(1, sequences), drafts: drafts),
      tables: tables)
  }

  package func makeSession(rows: Int, sequences: Int) -> any LabelSession {
    let configuration = stored?.configuration ?? configuration
    let parameters = stored?.parameters ?? parameters
    return EngineSession(
      configuration,
      scoring: ScoringEngine(
        configuration, parameters: parameters, laneCapacity: max(1, rows), threads: 1),
      decoding: DecodingEngine(
        configuration, parameters: parameters, capacity: max(1, sequences),
        beginnings: Self.beginningsPerSequence * sequences))
  }
}

extension PackedLane {
  /// Documents end to end without labels, as a session is given them; see `LabelSession.score`.
  init(rows: [[UInt32]], offsets: [Int]) {
    self.init(tables: rows.count, capacity: offsets[offsets.count - 1])
    for k in 0..<offsets.count - 1 {
      for t in offsets[k]..<offsets[k + 1] {
        appendRow(label: 0) { Int32(bitPattern: rows[$0][t]) }
      }
      endSegment()
    }
  }
}

/// One worker's engines on the shared weights.
private final class EngineSession: LabelSession {
  private let configuration: ModelConfiguration
  private let scoring: ScoringEngine
  private let decoding: DecodingEngine
  private var inputs: [Int32] = []

  init(_ configuration: ModelConfiguration, scoring: ScoringEngine, decoding: DecodingEngine) {
    self.configuration = configuration
    self.scoring = scoring
    self.decoding = decoding
  }

  func score(rows: [[UInt32]], offsets: [Int], into logProbabilities: inout [Float]) {
    let result = scoring.logProbabilities([PackedLane(rows: rows, offsets: offsets)])[0]
    logProbabilities.replaceSubrange(0..<result.count, with: result)
  }

  func restart(sequences: Int) { decoding.reset(sequences: sequences) }

  func begin(sequences: Int) { decoding.begin(sequences: sequences) }

  func retain(_ isLive: (Int) -> Bool) { decoding.retain(isLive) }

  func advance(rows: [[UInt32]], into logProbabilities: inout [Float]) {
    inputs.removeAll(keepingCapacity: true)
    for n in 0..<decoding.live {
      for g in rows.indices { inputs.append(Int32(bitPattern: rows[g][n])) }
    }
    decoding.step(inputs: inputs, tables: rows.count) { row in
      logProbabilities.withUnsafeMutableBufferPointer { target in
        _ = UnsafeMutableBufferPointer(rebasing: target[..<row.count]).update(fromContentsOf: row)
      }
    }
  }
}

/// One worker's engine that drafts on the shared weights.
private final class EngineDraftingSession: DraftingSession {
  private let engine: DraftingEngine
  private let tables: Int

  init(_ engine: DraftingEngine, tables: Int) { (self.engine, self.tables) = (engine, tables) }

  var drafts: Int { engine.drafts }

  func restart() { engine.reset() }

  func begin(sequences: Int) { engine.begin(sequences: sequences) }

  func retain(_ isLive: (Int) -> Bool) { engine.retain(isLive) }

  func accept(_ counts: [Int]) { engine.accept(counts) }

  func verify(rows: [UInt32], counts: [Int], into logProbabilities: inout [Float]) {
    engine.verify(counts: counts, inputs: rows.map { Int32(bitPattern: $0) }, tables: tables) {
      write($0, into: &logProbabilities)
    }
  }

  func draft(
    head: Int, of sequences: [Int], rows: [UInt32], into logProbabilities: inout [Float]
  ) {
    engine.draft(
      head: head, of: sequences, inputs: rows.map { Int32(bitPattern: $0) }, tables: tables
    ) {
      write($0, into: &logProbabilities)
    }
  }

  private func write(_ values: UnsafeBufferPointer<Float>, into target: inout [Float]) {
    while target.count < values.count { target.append(0) }
    for (i, value) in values.enumerated() { target[i] = value }
  }
}
