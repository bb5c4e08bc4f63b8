import Support

/// Stage discover: the n-grams that occur often in the documents of a token set.
package struct DiscoverParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.discover

  /// K: n-grams of 2…K tokens.
  @Key(in: 2...8) package var longest: Int
  /// Occurrences inside documents of an n-gram that is kept.
  @Key(in: 1...Int.max) package var minimumCount: Int

  package init() {}
}
