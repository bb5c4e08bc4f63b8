import Support

/// The trunks that a configuration can name, by the value of its key `architecture`.
package enum Architecture: String, CaseIterable, Sendable {
  case gpt2
  case olmo2
  case olmoe

  package var trunk: any Trunk.Type {
    switch self {
    case .gpt2: GPT2.self
    case .olmo2: OLMo2.self
    case .olmoe: OLMoE.self
    }
  }

  /// The members of a configuration's `model` without the keys that only other trunks have, for
  /// settings that have a default for the keys of all of them.
  package func withoutKeysOfOthers(
    _ members: [String: ConfigValue]
  ) throws -> [String: ConfigValue] {
    let own = try trunk.keys
    var result = members
    for other in Self.allCases {
      for key in try other.trunk.keys where !own.contains(key) { result[key] = nil }
    }
    return result
  }
}

/// The inputs and outputs that a configuration can name, by keys of their own.
package enum Registry {
  /// A model has the first that finds its keys; the last one needs none.
  static let inputs: [any Input.Type] = [
    OverEncodedFGrams.self, FGrams.self, OverEncoding.self, TableSum.self,
  ]
  /// A model has all that find their keys, in this order; that of the next token is always there.
  static let outputs: [any Output.Type] = [
    NextToken.self, OverDecoding.self, MultiToken.self, MultiTokenChain.self,
  ]
  /// The kinds of further heads, of which a model has one at most.
  package static var furtherHeads: [any FurtherHeads.Type] {
    outputs.compactMap { $0 as? any FurtherHeads.Type }
  }
}
