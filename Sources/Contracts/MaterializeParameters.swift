import Support

/// Stage materialize: the rows of all f-grams of a run, as its f-gram model makes them after the last step.
package struct MaterializeParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.materialize

  /// Of the numbers: float32 keeps every bit of a score, bfloat16 halves the store.
  @Key() package var precision: Precision

  package init() {}
}
