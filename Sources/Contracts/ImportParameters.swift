import Support

/// Stage import: a Hugging Face directory becomes a run of no steps, whose one snapshot are its weights.
package struct ImportParameters: StageParameters, KeyedParameters {
  package static let stage = Stage.import

  /// How many tokens the model knows.
  package enum Vocabulary: String, CaseIterable, Sendable {
    /// As many as its table has rows: those that no tokenizer makes, which pad it, included.
    case model
    /// As many as the tokenizer has: the rows behind them are left out, and so is their share of every
    /// probability. What over-encoding is added to needs this.
    case tokenizer
  }

  /// Always text.
  @Key() package var kind: DataKind
  @Key() package var vocabulary: Vocabulary
  /// Keys of `config.json` that are not known here and change no number of inference.
  @Key() package var ignoredKeys: [String]

  package init() {}

  package func check(_ reader: ConfigReader) throws {
    guard kind == .text else {
      throw reader.fault(
        "kind", expected: "'\(DataKind.text.rawValue)'", found: "'\(kind.rawValue)'")
    }
  }
}
