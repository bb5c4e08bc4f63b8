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
