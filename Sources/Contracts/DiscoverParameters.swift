import Support

/// Stage discover: the n-grams that occur often in the documents of a token set.
package struct DiscoverParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.discover

  /// K: n-grams of 2…K tokens.
  @Key(in: 2...8) package var longest: Int
  /// Occurrences inside documents of an n-gram that is kept.
  @Key(in: 1...Int.max) package var minimumCount: Int
  /// Of the documents, which are drawn one by one; left out for all of them.
  @Key(in: 1e-9...1) package var share: Double?

  package init() {}
}
