/// What evaluation asks of a model: logits over its labels, for whole documents or step by step.
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
  /// Logits at every position of packed documents.
  ///
  /// - Parameters:
  ///   - rows: per table (N) row ids, documents end to end.
  ///   - offsets: (documents + 1) first position of each document, then N.
  ///   - logits: (≥ N · labels) overwritten in front, row-major (N, labels).
  func score(rows: [[UInt32]], offsets: [Int], into logits: inout [Float]) throws

  /// Forgets all sequences; the next `advance` is at position 0.
  func restart(sequences: Int) throws

  /// Feeds one position to each of `slots` and returns the logits of the next label.
  ///
  /// Slots are in 0..<sequences, ascending; a slot left out once never comes back before `restart`.
  /// All slots of a call stand at the same position.
  ///
  /// - Parameters:
  ///   - rows: per table (slots.count) row ids.
  ///   - logits: (≥ slots.count · labels) overwritten in front.
  func advance(rows: [[UInt32]], slots: [Int], into logits: inout [Float]) throws
}
