/// What evaluation asks of a model: log-probabilities of its labels, for whole documents or step by
/// step.
///
/// A row of them is normalised, and then rounded to Float: the probabilities of a row sum to 1 but for
/// that rounding.
package protocol LabelModel {
  /// Number of label classes.
  var labels: Int { get }
  /// Number of input tables.
  var tables: Int { get }
  /// The most positions a document may have.
  var context: Int { get }

  /// A worker's own state (activations, caches); used by one thread at a time.
  ///
  /// - Parameters:
  ///   - rows: most positions of one `score` call.
  ///   - sequences: most sequences generated side by side.
  func makeSession(rows: Int, sequences: Int) throws -> any LabelSession
}

/// A model whose weights are replaced from snapshot to snapshot.
package protocol SnapshotModel: LabelModel {
  /// Takes the weights of a safetensors file; sessions see them from their next `restart` or `score` on.
  ///
  /// - Throws: `UserError` for a file of another model.
  func load(_ path: String) throws
}

/// One worker's view of a model whose further heads propose tokens; see `DraftingEngine`.
package protocol DraftingSession: AnyObject {
  /// The most tokens that are proposed for a sequence.
  var drafts: Int { get }

  /// Forgets all sequences.
  func restart() throws

  /// Begins `sequences` more behind the live ones.
  func begin(sequences: Int) throws

  /// Feeds `counts[n]` positions to live sequence n; see `LabelSession.advance`.
  ///
  /// - Parameters:
  ///   - rows: (Σ counts, tables) row ids.
  ///   - logProbabilities: (≥ Σ counts · labels), overwritten in front or made longer.
  func verify(rows: [UInt32], counts: [Int], into logProbabilities: inout [Float]) throws

  /// Keeps the first `counts[n]` positions of those that were fed to sequence n.
  func accept(_ counts: [Int]) throws

  /// Log-probabilities of the label `head` + 2 ahead of the last position of some sequences.
  ///
  /// - Parameters:
  ///   - head: counted from 0; those before it were asked before.
  ///   - sequences: live ones, ascending.
  ///   - rows: (sequences, tables) row ids of the token `head` + 1 ahead.
  ///   - logProbabilities: (≥ sequences · labels), overwritten in front or made longer.
  func draft(
    head: Int, of sequences: [Int], rows: [UInt32], into logProbabilities: inout [Float]) throws

  /// Keeps the live sequences n for which `isLive(n)` holds; the others end.
  func retain(_ isLive: (_ sequence: Int) -> Bool) throws
}

/// One worker's view of a model.
package protocol LabelSession: AnyObject {
  /// Log-probabilities of the next label at every position of packed documents.
  ///
  /// - Parameters:
  ///   - rows: per table (N) row ids, documents end to end.
  ///   - offsets: (documents + 1) first position of each document, then N.
  ///   - logProbabilities: (≥ N · labels) overwritten in front, row-major (N, labels).
  func score(rows: [[UInt32]], offsets: [Int], into logProbabilities: inout [Float]) throws

  /// Forgets all sequences and begins `sequences` new ones.
  func restart(sequences: Int) throws

  /// Begins `sequences` more behind the live ones, as many as are wanted side by side at most.
  func begin(sequences: Int) throws

  /// Feeds one position to each live sequence, in the order in which they began, and returns the
  /// log-probabilities of the next label.
  ///
  /// - Parameters:
  ///   - rows: per table (live) row ids.
  ///   - logProbabilities: (≥ live · labels) overwritten in front.
  func advance(rows: [[UInt32]], into logProbabilities: inout [Float]) throws

  /// Keeps the live sequences n for which `isLive(n)` holds; the others end.
  func retain(_ isLive: (_ sequence: Int) -> Bool) throws
}
