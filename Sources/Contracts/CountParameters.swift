import Support

/// Stage count: n-gram models of the text that a training run reads, scored on map sets. What a table of
/// counts can do, beside which a model of the same text is to be read.
package struct CountParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.count

  /// Models of the orders 2…order.
  @Key(in: 2...8) package var order: Int
  /// Of the run: which windows it reads. Each is counted once, however often it is read.
  @Key(in: 1...10_000_000) package var context: Int
  @Key(in: 1...1 << 40) package var steps: Int
  @Key(in: 1...1 << 30) package var batchSequences: Int
  @Key() package var dataSeed: UInt64
  /// Of the run's evaluation: which rows are scored, 0 for all.
  @Key(in: 1...10_000_000) package var stride: Int
  @Key(in: 0...1 << 50) package var positions: Int

  package init() {}

  package func check(_ reader: ConfigReader) throws {
    guard stride <= context else {
      throw reader.fault("stride", expected: "at most context = \(context)", found: "\(stride)")
    }
  }
}
