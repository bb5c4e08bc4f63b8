import Evaluation

/// What continues sequences by their tokens, all side by side.
protocol TokenSession {
  /// - Parameters:
  ///   - tokens: the next of each sequence.
  ///   - body: reads the log-probabilities (sequences, V) of what follows them, in nats.
  func advance(
    _ tokens: [UInt32], _ body: (UnsafeBufferPointer<Float>) throws -> Void
  ) throws
  /// The others leave; those that stay keep their order.
  func retain(_ isLive: (Int) -> Bool) throws
}

extension FGramContinuation: TokenSession {}

/// A session of row ids that follows its sequences' tokens.
final class LabelTokenSession: TokenSession {
  private let session: any LabelSession
  private let columns: Int
  private var histories: [TokenHistory]
  private var logProbabilities: [Float]

  init(_ model: EngineModel, _ rows: TokenRows, sequences: Int) throws {
    session = model.makeSession(rows: 1, sequences: sequences)
    try session.restart(sequences: sequences)
    columns = rows.columns
    histories = (0..<sequences).map { _ in TokenHistory(rows) }
    logProbabilities = [Float](repeating: 0, count: sequences * model.labels)
  }

  func advance(
    _ tokens: [UInt32], _ body: (UnsafeBufferPointer<Float>) throws -> Void
  ) throws {
    for (n, token) in tokens.enumerated() { histories[n].push(token) }
    try session.advance(
      rows: (0..<columns).map { column in histories.map { $0.row(column) } },
      into: &logProbabilities)
    try logProbabilities.withUnsafeBufferPointer(body)
  }

  func retain(_ isLive: (Int) -> Bool) throws {
    histories = histories.indices.filter(isLive).map { histories[$0] }
    try session.retain(isLive)
  }
}
